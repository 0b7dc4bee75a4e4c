"""Make a synthetic block with known spikes: a Spike2 export as the lab's, and what a good sorting must find in it.

    python examples/make_block.py /tmp/lab/data/mat --name rat00_Site01

does the same as ``python -m labsched.ephys synth``; this file shows how to do it from Python. Everything is decided by
the seed: the same seed gives the same block, to the bit.
"""

import argparse

from labsched.ephys.synth import Recipe, make

parser = argparse.ArgumentParser(description="Make a synthetic block with known spikes.")
parser.add_argument("folder", help="the block becomes FOLDER/NAME")
parser.add_argument("--name", default="demo_Site01")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--seconds", type=float, default=60.0)
parser.add_argument("--overwrite", action="store_true", help="replace a block of that name")
asked = parser.parse_args()

# Two shanks of eight sites with five units each. One channel is dead and one is noisy: they are to be omitted.
# Noise that all channels share (unequally), mains hum and movements are what the denoise stage is for.
recipe = Recipe(
    name=asked.name,
    seconds=asked.seconds,
    seed=asked.seed,
    shanks=2,
    sites=8,
    units=5,
    rate=20000.0,  # Hz
    epochs=2,  # .mat files, one after the other, with a gap between them
    noise=8.0,  # µV, each channel's own, above 500 Hz
    common=22.0,  # µV, shared by all channels …
    spread=0.4,  # … with gains from 0.6 to 1.4
    hum=60.0,  # µV
    movement=600.0,  # µV
)
made = make(asked.folder, recipe, overwrite=asked.overwrite)

print(f"block  {made.folder}")
print(f"rig    {made.rig}")
print(f"truth  {made.truth_file}")
print(f"omit   {made.omit}")
for unit in made.truth.units:
    print(f"unit {unit.name}: shank {unit.shank}, {unit.amplitude:.0f} µV on {unit.peak}, {len(unit.samples)} spikes")
