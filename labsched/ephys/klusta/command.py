"""``python -m labsched.ephys klusta``: stage 2 from the command line."""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import fields

from .params import SECTIONS

GRANTED = "LABSCHED_SLOTS_CPU"


def threads(word: str) -> int:
    """A number; or ``granted``: the slots that a stage of labsched holds, one where nobody said."""
    return int(os.environ.get(GRANTED, "1") if word == "granted" else word)


def main(words: Sequence[str]) -> int:
    """Sort a de-noised block; exit code 0, or 143 after a SIGTERM (130 after Ctrl-C)."""
    parser = argparse.ArgumentParser(
        prog="python -m labsched.ephys klusta",
        description="Sort a de-noised block with klusta: NAME.kwik, NAME.kwx and NAME.sorting.json in the target.",
        epilog="example: python -m labsched.ephys klusta --target data/phy/demo --name demo --threads 2",
    )
    parser.add_argument("--target", metavar="DIR", help="the folder where the denoise stage left its results")
    parser.add_argument("--name", help="name of the block")
    parser.add_argument(
        "--threads", type=threads, default=1, metavar="N",
        help=f"processors to use (default: 1); granted: as many as ${GRANTED} says",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed, the same result (default: 1)")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE",
        help="an option of klusta's, as spikedetekt.filter_low=300; may be repeated",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace a finished sorting")
    parser.add_argument("--stock", action="store_true", help="klusta's own code, with nothing seeded but by --seed")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON at the end")
    parser.add_argument("--settings", dest="show", action="store_true", help="list klusta's options and end")
    asked = parser.parse_args(list(words))
    if asked.show:
        for section, kind in SECTIONS.items():
            for option in fields(kind):
                print(f"{section}.{option.name} = {option.default}  # {option.metadata['says']}")
        return 0
    if not asked.target or not asked.name:
        parser.error("--target and --name are required")
    from ..attend import Stopped
    from .run import sort

    try:
        sorting = sort(
            asked.target,
            asked.name,
            threads=asked.threads,
            seed=asked.seed,
            settings=asked.settings,
            overwrite=asked.overwrite,
            stock=asked.stock,
            say=lambda line: print(line, flush=True),
        )
    except Stopped as stop:
        print("stopped: the next attempt goes on from what is done so far", flush=True)
        return 128 + int(stop.args[0])
    for warning in sorting.warnings:
        print(f"WARNING: {warning}")
    print(f"sorted {sorting.name}: {sorting.note()}, in {sorting.wall_s:.1f} s")
    for shank in sorting.shanks:
        print(f"  shank {shank.number}: {len(shank.samples):,} spikes, {len(shank.units)} clusters")
    print(f"  {sorting.kwik}")
    if asked.json:
        print(json.dumps(json.loads(sorting.summary.read_text(encoding="utf-8"))))
    return 0
