"""``python -m labsched.ephys synth``: a synthetic block with known spikes."""

import argparse
import json
import time
from collections.abc import Sequence

from .block import make
from .recipe import Recipe

HELP = {
    "name": "name of the block and its folder",
    "seconds": "length of the recording, s",
    "seed": "the same seed gives the same block, bit by bit",
    "shanks": "shanks of the probe",
    "sites": "sites on each shank",
    "units": "known units on each shank",
    "rate": "sampling rate, Hz",
    "epochs": "number of .mat files",
    "gap": "time between two files, s",
    "noise": "each channel's own noise above 500 Hz, µV",
    "common": "noise that all channels share, 200 to 3000 Hz, µV",
    "spread": "how unequal the channels' shares of it are (0.4: 0.6 to 1.4)",
    "hum": "mains hum, µV",
    "lfp": "slow field potential, µV",
    "movement": "movement artefacts, µV",
    "dead": "number of dead channels",
    "noisy": "number of noisy channels",
    "flat": "number of flat channels",
    "clipped": "number of clipped channels",
    "uncorrelated": "number of channels of another recording",
    "outside": "number of sites of the first shank that are out of the brain",
    "layout": "how a shank's sites lie: staggered, linear, two-column or tetrode",
    "pitch": "distance from one site to the next, µm",
    "movements": "movements a minute",
    "saturations": "saturations a minute, of 20 to 120 ms on all channels",
    "mains": "frequency of the hum, Hz",
    "format": "MATLAB's format: v7.3 or v5",
    "dtype": "type of the values: int16, single or double",
}


def main(words: Sequence[str]) -> int:
    """Make a block as the words say; prints where it is and what to omit."""
    parser = argparse.ArgumentParser(
        prog="python -m labsched.ephys synth",
        description="Make a synthetic block, as a Spike2 export looks, with its ground truth, rig and probe beside it.",
        epilog="example: python -m labsched.ephys synth data/mat --name demo --seconds 60 --seed 1",
    )
    parser.add_argument("folder", metavar="FOLDER", help="the block becomes FOLDER/NAME")
    ready = Recipe()
    for key, says in HELP.items():
        default = getattr(ready, key)
        parser.add_argument(f"--{key}", type=type(default), default=default, help=f"{says} (default: {default})")
    parser.add_argument("--no-times", dest="times", action="store_false", help="leave out the times of the samples")
    parser.add_argument("--overwrite", action="store_true", help="replace a block of that name")
    parser.add_argument("--json", action="store_true", help="say where everything is as JSON")
    asked = vars(parser.parse_args(list(words)))
    folder, overwrite, as_json = asked.pop("folder"), asked.pop("overwrite"), asked.pop("json")
    started = time.monotonic()
    recipe = Recipe(**asked)
    made = make(folder, recipe, overwrite=overwrite)
    seconds = time.monotonic() - started
    paths = {"block": made.folder, "truth": made.truth_file, "rig": made.rig, "probe": made.probe}
    if as_json:
        print(json.dumps({**{key: str(path) for key, path in paths.items()}, "omit": made.omit}))
        return 0
    print(
        f"made {recipe.name}: {recipe.channels} channels on {recipe.shanks} shanks, {recipe.seconds:g} s at "
        f"{recipe.rate:g} Hz, {len(made.truth.units)} units, {sum(len(u.samples) for u in made.truth.units):,} spikes, "
        f"in {seconds:.1f} s"
    )
    for key, path in paths.items():
        print(f"  {key:<6} {path}")
    print(f"  omit   {made.omit or 'nothing'}")
    return 0
