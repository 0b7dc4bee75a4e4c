"""``make bench-klusta``: how fast stage 2 is, and what memory it takes, beside stock klusta in the same run.

python -m benchmarks.klusta [blocks] [scaling] [long] [--rounds 1] [--quick] [--page FILE]
"""

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from pathlib import Path

from benchmarks import page
from benchmarks.scheduler import machine
from benchmarks.scheduler.figures import Table

from . import sides
from .recordings import World, made

BLOCKS = (
    World("4 shanks of 8 channels, 300 s"),
    World("16 channels with noise, 120 s", shanks=1, channels=16, seconds=120.0, rate=160.0, common=25.0),
)
SCALING = (
    World("1 shank of 8 channels, 60 s", shanks=1, seconds=60.0),
    World("2 shanks", shanks=2, seconds=60.0),
    World("4 shanks", seconds=60.0),
    World("4 shanks, three times the spikes", seconds=60.0, rate=96.0),
)
LONG = World("a million spikes: 4 shanks of 8 channels, 2600 s", seconds=2600.0, rate=96.0)
HEAD = ["", "spikes", "detection, s", "clustering, s", "whole, s", "CPU, s", "peak MB"]
ABOUT = {
    "blocks": """\
## Stage 2

Stock klusta (`--stock --seed 1`) and labsched on the same recordings, {threads} threads, one after the other, medians
of {rounds}; both leave the same .kwik and .kwx. From the start of a process to the end of the step; the whole ends with
metrics and report, which both make. Peak memory is of all processes together, what they share counted once.""",
    "scaling": "### Stage 2 by shanks, processors and spikes",
    "long": "### Stage 2, a million spikes\n\nlabsched alone; stock klusta would take many hours.",
}


def main() -> int:
    """Measure, print the tables, write each part into the page unless it is but a look."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.klusta", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(ABOUT)} (default: blocks, scaling)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a look: a tenth of the lengths; the page is not written")
    parser.add_argument("--bench", type=Path, default=Path(".bench"), help="where recordings are")
    parser.add_argument("--page", type=Path, default=page.PAGE, help="the page to write")
    given = parser.parse_args()
    if wrong := set(given.parts) - set(ABOUT):
        parser.error(f"there is no part {wrong.pop()}: it is one of {', '.join(ABOUT)}")
    home, most = (given.bench / "klusta").absolute(), len(os.sched_getaffinity(0))
    for part in given.parts or ("blocks", "scaling"):
        load = os.getloadavg()[0]
        where = f"{date.today()} · {machine.machine(given.bench)} · load {load:.1f} before the start"
        lines = [ABOUT[part].format(threads=min(most, 2), rounds=given.rounds)]
        worlds = {"blocks": BLOCKS, "scaling": SCALING, "long": (LONG,)}[part]
        counts = [k for k in (1, 2, 4, 8) if k <= most] if part == "scaling" else [min(most, 2)]
        for world in worlds:
            lines.append(_compared(home, world, counts, part != "long", given.quick, given.rounds))
        text = "\n\n".join([*lines, f"`make bench-klusta` · {where} · {machine.versions()}"])
        print(text)
        if not given.quick:
            page.write(given.page, "", (), {f"klusta_{part}": text})
    return 0


def _compared(home: Path, world: World, counts: Sequence[int], stock: bool, quick: bool, rounds: int) -> str:
    world = World(**{**vars(world), "seconds": world.seconds / 10}) if quick else world
    print(f"{world.name} …", file=sys.stderr, flush=True)
    folder, found = made(home, world), {}
    asked = [("stock klusta", counts[-1], True)] if stock else []
    asked += [(f"labsched, {count} thread" + ("s" if count > 1 else ""), count, False) for count in counts]
    for _ in range(rounds):
        for name, count, whose in asked:
            found.setdefault(name, []).append(sides.run(folder, count, stock=whose))
            print(f"  {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    rows = [[name, *_row(_median(runs))] for name, runs in found.items()]
    lines = [f"**{world.name}**, {world.n_bytes / 1e6:.0f} MB", Table(HEAD, rows).markdown()]
    if stock:
        theirs, ours = _median(found["stock klusta"]), _median(found[asked[-1][0]])
        times = [getattr(theirs, step) / getattr(ours, step) for step in ("detection", "clustering", "whole", "cpu")]
        lines.append(
            "Detection is {:.1f} times as fast as stock klusta's, clustering {:.1f} times, the whole {:.1f} times; the "
            "processor time is {:.1f} times less.".format(*times)
        )
    return "\n\n".join(lines)


def _median(runs: Sequence[sides.Run]) -> sides.Run:
    middle = {
        each.name: statistics.median(getattr(run, each.name) for run in runs)
        for each in fields(sides.Run)
        if each.name != "code"
    }
    return sides.Run(**middle, code=runs[0].code)


def _row(run: sides.Run) -> list[str]:
    seconds = [f"{value:.1f}" for value in (run.detection, run.clustering, run.whole, run.cpu)]
    return [f"{run.spikes:,.0f}", *seconds, f"{run.rss / 1e6:.0f}"]


if __name__ == "__main__":
    sys.exit(main())
