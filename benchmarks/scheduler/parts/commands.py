"""What a command costs, beside an import of click."""

import statistics

from benchmarks.commands import COMMANDS, FLOOR, measured
from benchmarks.scheduler.figures import Found, Table, ratio
from benchmarks.scheduler.parts.base import Part
from benchmarks.scheduler.sides.base import Bench

WAITING, ENDED, TIMES = 100_000, 1_000_000, 15
ABOUT = f"""
Commands as people run them, a process each, in turns with `python -c "import click"`; with an empty queue, and with
{WAITING:,} jobs that wait and {ENDED:,} that have ended. Medians; and how many times an import of click each takes.
"""


def measure(bench: Bench) -> Found:
    """Both queues."""
    queues = ((0, 0), (1_000, 1_000)) if bench.quick else ((0, 0), (WAITING, ENDED))
    found = [measured(waiting, ended, 3 if bench.quick else TIMES) for waiting, ended in queues]
    rows = []
    for name in COMMANDS:
        cells = [name]
        for times in found:
            cells.append(f"{1000 * statistics.median(times[name]):.1f}")
            cells.append("" if name == FLOOR else f"{ratio(times[name], times[FLOOR]):.2f}")
        rows.append(tuple(cells))
    head = ["", *(word for w, e in queues for word in (f"{w:,} wait, {e:,} ended: ms", "times click"))]
    return Found([("", Table(head, rows))])


PART = Part("commands", "What a command costs", ABOUT, measure, limit=3600.0)
