"""Two-stage jobs a second, and how near 40 of them come to the ideal."""

import statistics

from benchmarks.scheduler.figures import Found, Table, in_turns, span
from benchmarks.scheduler.parts.base import Part, installed, pair_ways, rates
from benchmarks.scheduler.sides import SIDES
from benchmarks.scheduler.sides.base import CPU, NOOP, RAM, Bench, Side

LENGTH_S, FORTY = 0.2, 40
POOLS = f"through RAM={RAM} and CPU={CPU}"
ABOUT_PAIRS = f"""
Jobs of two stages, `{NOOP[0]}` both, {POOLS}, from before the first submit until the last stage is known to have ended.
Peers without pools come as near as they can: task-spooler as one server of {CPU} slots, of which a first stage takes
{CPU // RAM}; or as two servers, the first stage queueing the second when it has succeeded. `make` knows no pools.
"""
ABOUT_WALL = f"""
{FORTY} jobs of two stages, `sleep {LENGTH_S:g}` both, {POOLS}, from before the first submit until the last stage is
known to have ended. Ideal: {FORTY // RAM} rounds of {RAM} first stages, and the last second stage.
"""


def ideal(count: int, length: float) -> float:
    """The least that it can take, in seconds: either pool is always busy while there is work for it."""
    free, ends = [0.0] * CPU, []
    for i in range(count):
        ready = (i // RAM + 1) * length
        free.sort()
        free[0] = max(free[0], ready) + length
        ends.append(free[0])
    return max(ends)


def _with_pairs(bench: Bench) -> tuple[dict[str, str], list[str], list[Side]]:
    """As `installed`, of those that can run two-stage jobs."""
    versions, missing, sides = installed(bench, [side for side in SIDES if side.pairs])
    unable = {side.name: why for side in sides if (why := side.no_pairs())}
    return versions, [*missing, *unable.values()], [side for side in sides if side.name not in unable]


def measure_pairs(bench: Bench) -> Found:
    """Pairs of no-ops."""
    versions, missing, sides = _with_pairs(bench)
    table = rates(pair_ways(bench, sides, NOOP), bench.rounds(5), "pairs", "task-spooler, one server")
    return Found([("", table)], {side.name: versions[side.name] for side in sides}, missing)


def measure_wall(bench: Bench) -> Found:
    """Forty pairs that take their time."""
    versions, missing, sides = _with_pairs(bench)
    sides = [side for side in sides if side.pools]
    ways = pair_ways(bench, sides, ("sleep", f"{LENGTH_S:g}"), FORTY)
    found = in_turns({way.label: way.run for way in ways}, bench.rounds(3))
    rows = []
    for way in ways:
        over = [seconds / ideal(way.count, LENGTH_S) for seconds in found[way.label]]
        rows.append(
            (way.label, f"{statistics.median(found[way.label]):.2f}", f"{statistics.median(over):.2f}", span(over, 2))
        )
    table = Table(("", "wall, s", "wall over ideal", "lowest to highest"), rows)
    return Found([("", table)], {side.name: versions[side.name] for side in sides}, missing)


PAIRS = Part("pairs", "Two-stage jobs a second", ABOUT_PAIRS, measure_pairs)
WALL = Part("wall", "Forty two-stage jobs of 0.2 s each", ABOUT_WALL, measure_wall)
