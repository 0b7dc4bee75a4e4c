"""plan(snapshot, now) -> what starts now. THE scheduling decision; `explain` says the same in words.

The order is: priority; then fair share (the person who holds the least, as a share of the pools, goes first); then
first come, first served. A stage starts if its pools have room, and if its owner would not hold more of a pool than
one person may; one that is wider than that by itself (it was queued before, or has to be alone) may start while its
owner holds nothing of the pool. One that does not fit reserves what it needs if it is the first to lack those slots, so
that whoever comes later can only overtake it where that cannot delay it: a wide stage is never starved by narrow ones.
Stages that need a paused pool, or more than a pool has or their owner may hold, reserve nothing.

Stages that agree in needs, priority and owner are interchangeable but for their age, so the plan works on such
*lines*: the oldest of a line speaks for all of it, and the cost grows with the number of lines and of starts, never
with the length of the queue (and hardly faster than these: `store.limits` bounds the lines of one person).
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from heapq import heapify, heappop, heappush

from labsched.core.model import Holding, Snapshot, Waiting


class Obstacle(StrEnum):
    """What stands in a stage's way."""

    PAUSED = "paused"  # its pool is paused
    TOO_WIDE = "too_wide"  # it needs more slots than the pool has
    NO_POOL = "no_pool"
    FULL = "full"  # others hold the slots
    RESERVED = "reserved"  # the slots are free, but kept for a stage that came first
    SHARE = "share"  # its owner holds as much of the pool as one person may


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a line does not start.

    `by` is the stage for which the slots are kept; `after` the attempt whose end makes room, and `at` when that may be
    (seconds since the epoch); each None where there is none, or nobody can tell.
    """

    obstacle: Obstacle
    pool: str
    by: Waiting | None = None
    after: Holding | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What starts, in order, and what stands in the way of the first of each line that does not."""

    starts: tuple[Waiting, ...]
    blocked: Mapping["LineKey", Blocked]


Items = tuple[tuple[str, int], ...]
"""Needs as a value that can be looked up, sorted by pool."""
LineKey = tuple[int, str, Items]
Rank = tuple[int, float, int, LineKey]  # the lowest goes first; it only grows while we plan


def line_of(stage: Waiting) -> LineKey:
    """What the plan looks at in a stage, its age apart."""
    return (stage.priority, stage.user, tuple(sorted(stage.needs.items())))


def plan(snapshot: Snapshot, now: float) -> Plan:
    """Decide what starts, at `now` (seconds since the epoch).

    Pure, total and deterministic; `snapshot.waiting` may come in any order.
    """
    kinds = _kinds(snapshot.holdings)
    free = _free(snapshot, kinds)
    share = _shares(snapshot, kinds)
    lines = _lines(snapshot.waiting)
    held: dict[tuple[str, str], int] = {}  # by person and pool
    for (user, items), count in kinds.items():
        _hold(held, user, items, count)
    starts: list[Waiting] = []
    blocked: dict[LineKey, Blocked] = {}
    kept: dict[str, Waiting] = {}  # by pool: the stage for which whatever is free there is kept
    stopped: dict[Items, Blocked] = {}  # for want of room, whoever needs the same
    ahead = [_rank(key, lines[key], share) for key in lines]
    heapify(ahead)
    while ahead:
        rank = heappop(ahead)
        key = rank[-1]
        if rank != (now_ranks := _rank(key, lines[key], share)):  # they have got something since: others may come first
            heappush(ahead, now_ranks)
            continue
        stage = lines[key][0]
        _, user, items = key
        obstacle = (
            _unable(snapshot, items)
            or _sated(snapshot, user, items, held)
            or stopped.get(items)
            or _lacking(snapshot, free, items, kept, now)
        )
        if obstacle is None:
            starts.append(stage)
            _take(free, items)
            share[user] += _share_of(snapshot, items)
            _hold(held, user, items)
            lines[key].popleft()
            if lines[key]:
                heappush(ahead, _rank(key, lines[key], share))
            continue
        # Room only shrinks while we plan: what stops the first of a line stops all of it, and all who need the same.
        blocked[key] = obstacle
        if obstacle.obstacle is Obstacle.FULL:
            lacking = [pool for pool, n in items if n and n > free[pool]]
            _take(free, items)
            kept.update((pool, stage) for pool in lacking)
            stopped[items] = Blocked(Obstacle.RESERVED, obstacle.pool, by=stage)
        elif obstacle.obstacle is Obstacle.RESERVED:
            stopped[items] = obstacle
    return Plan(tuple(starts), blocked)


def _rank(key: LineKey, line: deque[Waiting], share: Mapping[str, float]) -> Rank:
    priority, user, _ = key
    return -priority, share[user], line[0].stage, key


def free_slots(snapshot: Snapshot) -> dict[str, int]:
    """Slots that nobody holds, by pool; below zero where a pool was shrunk under what runs in it."""
    return _free(snapshot, _kinds(snapshot.holdings))


def _kinds(holdings: Iterable[Holding]) -> Counter[tuple[str, Items]]:
    """How many attempts of each person hold the same: a thousand of them are of a few kinds."""
    return Counter((holding.user, tuple(sorted(holding.needs.items()))) for holding in holdings)


def _free(snapshot: Snapshot, kinds: Mapping[tuple[str, Items], int]) -> dict[str, int]:
    free = {name: pool.slots for name, pool in snapshot.pools.items()}
    for (_, items), count in kinds.items():
        _take(free, items, count)
    return free


def _shares(snapshot: Snapshot, kinds: Mapping[tuple[str, Items], int]) -> dict[str, float]:
    """By person: the sum over what they hold of the largest share of a pool that each takes (as in dominant-resource
    fairness: Ghodsi et al., NSDI 2011)."""
    result: dict[str, float] = defaultdict(float)
    for (user, items), count in sorted(kinds.items()):  # the same sum, in whatever order they come
        result[user] += count * _share_of(snapshot, items)
    return result


def _lines(waiting: Iterable[Waiting]) -> dict[LineKey, deque[Waiting]]:
    lines: dict[LineKey, deque[Waiting]] = defaultdict(deque)
    for stage in sorted(waiting, key=lambda w: w.stage):
        lines[line_of(stage)].append(stage)
    return lines


def _unable(snapshot: Snapshot, items: Items) -> Blocked | None:
    for name, n in items:
        pool = snapshot.pools.get(name)
        if n == 0:
            continue
        if pool is None:
            return Blocked(Obstacle.NO_POOL, name)
        if n > pool.slots:
            return Blocked(Obstacle.TOO_WIDE, name)
        if pool.paused:
            return Blocked(Obstacle.PAUSED, name)
    return None


def _sated(snapshot: Snapshot, user: str, items: Items, held: Mapping[tuple[str, str], int]) -> Blocked | None:
    if not snapshot.shares:
        return None
    for pool, n in items:
        has = held.get((user, pool), 0)
        if n and has and pool in snapshot.shares and has + n > snapshot.shares[pool]:
            return Blocked(Obstacle.SHARE, pool)
    return None


def _hold(held: dict[tuple[str, str], int], user: str, items: Items, count: int = 1) -> None:
    for pool, n in items:
        held[user, pool] = held.get((user, pool), 0) + n * count


def _lacking(
    snapshot: Snapshot, free: Mapping[str, int], items: Items, kept: Mapping[str, Waiting], now: float
) -> Blocked | None:
    lacking = [(pool, n) for pool, n in items if n and n > free[pool]]
    if not lacking:
        return None
    for pool, _ in lacking:
        if pool in kept:
            return Blocked(Obstacle.RESERVED, pool, by=kept[pool])
    pool, n = lacking[0]
    after = _makes_room(snapshot, pool, n - free[pool], now)
    at = max(after.expected_end, now) if after and after.expected_end is not None else None
    return Blocked(Obstacle.FULL, pool, after=after, at=at)


def _makes_room(snapshot: Snapshot, pool: str, lacking: int, now: float) -> Holding | None:
    """The attempt whose end frees the last of the slots that are lacking, as far as ends can be told."""
    holdings = [h for h in snapshot.holdings if h.needs.get(pool)]
    last = float("inf")
    for holding in sorted(
        holdings, key=lambda h: (last if h.expected_end is None else max(h.expected_end, now), h.stage)
    ):
        lacking -= holding.needs[pool]
        if lacking <= 0:
            return holding
    return None


def _take(free: dict[str, int], items: Items, count: int = 1) -> None:
    for pool, n in items:
        free[pool] = free.get(pool, 0) - n * count


def _share_of(snapshot: Snapshot, items: Items) -> float:
    return max((n / max(snapshot.pools[p].slots, 1) for p, n in items if p in snapshot.pools), default=0.0)
