"""No-op jobs a second."""

from benchmarks.scheduler.figures import Found
from benchmarks.scheduler.parts.base import Part, installed, noop_ways, rates
from benchmarks.scheduler.sides import SIDES
from benchmarks.scheduler.sides.base import NOOP, NOOP_SLOTS, Bench

ABOUT = f"""
`{NOOP[0]}`, {NOOP_SLOTS} at a time, from before the first submit until the last job is known to have ended. Each round
starts every side anew, with an empty queue; the sides take turns. "One request": one client queues all jobs in one
`POST /v1/jobs`; "a request each": one client, one after the other; "clients": processes at once, each with its own
connection and a request for each job; "add": the command line, once with a file, or once for each job. task-spooler
keeps no output (`-n`) and nothing on disk; `xargs` and `make` are no queues, but the floor.
"""


def measure(bench: Bench) -> Found:
    """Every way of every side."""
    versions, missing, sides = installed(bench, SIDES)
    table = rates(noop_ways(bench, sides), bench.rounds(5), "jobs", "task-spooler, one client")
    return Found([("", table)], versions, missing)


PART = Part("noop", "No-op jobs a second", ABOUT, measure)
