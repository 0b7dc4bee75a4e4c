"""Gaps in a channel's sample times, found without reading all of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

LEAF = 4096


class Backwards(Exception):
    """The times go back, or are no numbers, at sample `args[0]`."""


@dataclass(frozen=True)
class Run:
    """Samples without a gap: index of the first one, how many, and when the first was taken (s)."""

    first: int
    count: int
    start_s: float


def jumps(times: NDArray, interval: float, first: int = 0) -> list[int]:
    """Indices (plus `first`) of the samples that come more than half an interval late after their predecessor."""
    late = np.diff(times) - interval
    wrong = np.flatnonzero(~(late > -0.5 * interval))
    if wrong.size:
        raise Backwards(first + int(wrong[0]) + 1)
    return (np.flatnonzero(late > 0.5 * interval) + 1 + first).tolist()


def runs(fetch: Callable[[int, int], NDArray], count: int, interval: float) -> list[Run]:
    """The runs of `count` samples whose times (s) ``fetch(start, stop)`` gives.

    Bisection: a stretch whose ends are as far apart as its samples say has no gap in it. Raises Backwards.
    """

    def at(index: int) -> float:
        return float(fetch(index, index + 1)[0])

    def search(low: int, high: int, early: float, late: float) -> Iterable[int]:
        extra = late - early - (high - low) * interval
        if abs(extra) <= 0.5 * interval:
            return
        if high - low <= LEAF:
            yield from jumps(np.asarray(fetch(low, high + 1), dtype=float), interval, low)
            return
        middle = (low + high) // 2
        between = at(middle)
        yield from search(low, middle, early, between)
        yield from search(middle, high, between, late)

    start = at(0)
    cuts = [0, *search(0, count - 1, start, at(count - 1)), count]
    return [Run(a, b - a, at(a)) for a, b in pairwise(cuts)]


def runs_of_stream(parts: Iterable[NDArray], interval: float) -> list[Run]:
    """The same for times that come piece by piece, in order (a compressed file)."""
    found: list[tuple[int, float]] = []
    seen, last = 0, 0.0
    for part in parts:
        if not part.size:
            continue
        joined = np.concatenate(([last], part)) if seen else part
        found += [(0, float(part[0]))] if not seen else []
        found += [(i, float(part[i - seen])) for i in jumps(joined, interval, seen - 1 if seen else 0)]
        seen, last = seen + part.size, float(part[-1])
    ends = [*(first for first, _ in found[1:]), seen]
    return [Run(first, end - first, start) for (first, start), end in zip(found, ends, strict=True)]
