"""What a part is, and what several of them do: run every side that is there, and compare."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.scheduler.figures import Found, Table, in_turns, ratio, span
from benchmarks.scheduler.sides.base import Bench, Side


@dataclass(frozen=True)
class Part:
    """A section of the page. `limit`: seconds after which it is given up."""

    name: str
    title: str
    about: str  # what is measured, and how
    measure: Callable[[Bench], Found]
    limit: float = 1800.0


@dataclass(frozen=True)
class Way:
    """One row: a way to give jobs to a side, so many at a time; `run` returns seconds."""

    label: str
    count: int
    run: Callable[[], float]


def installed(bench: Bench, sides: Sequence[Side]) -> tuple[dict[str, str], list[str], list[Side]]:
    """The versions of the sides that are there, what is missing and how to get it, and those that are there."""
    known = {side.name: side.version(bench) for side in sides}
    there = {name: version for name, version in known.items() if version is not None}
    missing = [f"{side.name} is not installed ({side.install})" for side in sides if known[side.name] is None]
    return there, missing, [side for side in sides if side.name in there]


def noop_ways(bench: Bench, sides: Sequence[Side]) -> list[Way]:
    """Each way to run no-op jobs."""
    few = 10 if bench.quick else 1
    return [
        Way(label, max(count // few, 8), partial(run, bench, max(count // few, 8)))
        for side in sides
        for label, (count, run) in side.noops.items()
    ]


def pair_ways(bench: Bench, sides: Sequence[Side], command: Sequence[str], exactly: int | None = None) -> list[Way]:
    """Each way to run two-stage jobs of this command; `exactly` so many, if given."""
    few = 10 if bench.quick else 1
    ways = []
    for side in sides:
        for label, (count, run) in side.pairs.items():
            number = exactly or max(count // few, 8)
            ways.append(Way(label, number, partial(run, bench, number, command)))
    return ways


def rates(ways: Sequence[Way], rounds: int, unit: str, against: str) -> Table:
    """Jobs a second of each way, and how many times those of the way `against`."""
    found = in_turns({way.label: _rate(way) for way in ways}, rounds)
    base = found.get(against)
    rows = []
    for way in ways:
        values = found[way.label]
        times = f"{ratio(values, base):.2f}" if base else ""
        rows.append((way.label, str(way.count), f"{statistics.median(values):,.1f}", span(values, 1), times))
    return Table(("", f"{unit} a round", f"{unit} a second", "lowest to highest", f"times {against}"), rows)


def _rate(way: Way) -> Callable[[], float]:
    return lambda: way.count / way.run()


def named(found: Mapping[str, str]) -> str:
    """Versions as a phrase."""
    return ", ".join(f"{name} {version}" for name, version in found.items())
