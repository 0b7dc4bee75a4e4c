"""The parts of the benchmark, each a section of docs/performance.md, in their order."""

from benchmarks.scheduler.parts import batch, commands, idle, latency, noop, pairs, plan
from benchmarks.scheduler.parts.base import Part

PARTS: tuple[Part, ...] = (
    *(noop.PART, pairs.PAIRS, latency.PART, pairs.WALL),
    *(commands.PART, batch.PART, idle.PART, plan.PART),
)
