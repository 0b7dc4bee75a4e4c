"""The parts of the benchmark, each a section of docs/performance.md, in their order."""

from benchmarks.scheduler.parts import latency, noop, pairs, plan
from benchmarks.scheduler.parts.base import Part

PARTS: tuple[Part, ...] = (noop.PART, pairs.PAIRS, latency.PART, pairs.WALL, plan.PART)
