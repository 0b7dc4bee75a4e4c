"""What a command costs, beside an import of click."""

import statistics

from benchmarks.commands import COMMANDS, FLOOR, queue, taken
from benchmarks.scheduler.figures import Found, Table, ratio
from benchmarks.scheduler.parts.base import Part
from benchmarks.scheduler.sides.base import Bench

WAITING, ENDED, TIMES = 100_000, 1_000_000, 15
ABOUT = f"""
Commands as people run them, a process each, in turns with `python -c "import click"`; with an empty queue, and with
{WAITING:,} jobs that wait and {ENDED:,} that have ended. Medians; and how many times an import of click each takes, of
the time that passes and of processor time (the steadier one where other programs run). `make bench-commands` has more:
ten thousand blocks in one go, and who waits meanwhile.
"""


def measure(bench: Bench) -> Found:
    """Both queues."""
    tables = []
    for waiting, ended in ((0, 0), (1_000, 1_000)) if bench.quick else ((0, 0), (WAITING, ENDED)):
        with queue(waiting, ended):
            found = taken(3 if bench.quick else TIMES)
        rows = []
        for name in COMMANDS:
            cells = [name]
            for which in (0, 1):
                times, floor = ([one[which] for one in found[key]] for key in (name, FLOOR))
                cells += [
                    f"{1000 * statistics.median(times):.1f}",
                    "" if name == FLOOR else f"{ratio(times, floor):.2f}",
                ]
            rows.append(tuple(cells))
        head = ("", "ms", "times click", "CPU ms", "times click")
        tables.append((f"{waiting:,} jobs wait, {ended:,} have ended:", Table(head, rows)))
    return Found(tables)


PART = Part("commands", "What a command costs", ABOUT, measure, limit=3600.0)
