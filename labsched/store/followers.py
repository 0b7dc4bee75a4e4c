"""Followers: attempts that are opened while another one of their line still has the slots, to start right after it.

Where the commands of a line end at once, as in a sweep of short ones, each end would cost a turn of its own: a
transaction, an fsync. A shim that knows what comes next goes on by itself instead, and one turn writes down many ends.
A follower has no slots before the one that it is `behind` has ended, and then has just those; so no pool is ever over
its own. If it has to wait after all, it is given back (`core.model.Returned`).
"""

import json
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from labsched.core.model import Ended, Needs, Snapshot
from labsched.core.plan import free_slots
from labsched.store import tallies
from labsched.store.lines import Line, line_text, parse
from labsched.store.prepared import Prepared
from labsched.store.tables import attempts, jobs, stages

QUICK_S = 0.02  # a command that took less is followed
MOST = 8  # behind one

_OPEN = Prepared(
    sa.select(
        attempts.c.id,
        attempts.c.stage_id,
        attempts.c.behind,
        attempts.c.slots,
        stages.c.needs,
        stages.c.alone,
        jobs.c.priority,
        jobs.c.user,
    )
    .select_from(attempts)
    .join(stages, stages.c.id == attempts.c.stage_id)
    .join(jobs, jobs.c.id == stages.c.job_id)
    .where(attempts.c.ended_at.is_(None))
    .order_by(attempts.c.id)
)
_NEXT = Prepared(
    sa.select(stages.c.id, stages.c.tries, stages.c.delays, stages.c.up_to)
    .where(stages.c.line == sa.bindparam("line"))
    .order_by(stages.c.id)
    .limit(sa.bindparam("count", type_=sa.Integer))
)


def is_quick(fact: Ended) -> bool:
    """Whether a command of this kind is worth a follower."""
    return fact.began is not None and 0 <= fact.at - fact.began < QUICK_S


class Chain(NamedTuple):
    """Stages to open, each to follow the one before it, the first an attempt; or nothing, where that is None."""

    stages: Sequence[int]
    attempt: int | None = None
    stage: int | None = None  # of the attempt


def find(connection: sa.Connection, seen: Snapshot, quick: Collection[str]) -> Iterator[Chain]:
    """What is to follow what is open.

    `quick`: the needs, as `needs_text` has them, of commands that have just ended at once. Only for lines that nobody
    else's stages compete with, whose pools are open and have no more attempts than slots; and of stages that were not
    tried before, so that one that is given back is as it was, and that can use no more slots than they need.
    """
    lines = {text: parse(text) for text in tallies.lines(connection)}
    free = free_slots(seen)
    for text, line in lines.items():
        if needs_text(line.needs) in quick and _alone(line, lines) and _open(line.needs, seen, free):
            yield from _behind(connection, text)


def needs_text(needs: Needs) -> str:
    """Needs as a value that can be looked up."""
    return json.dumps(sorted(needs.items()))


def _alone(line: Line, lines: dict[str, Line]) -> bool:
    return sum(any(n and line.needs.get(pool) for pool, n in other.needs.items()) for other in lines.values()) == 1


def _open(needs: Needs, seen: Snapshot, free: dict[str, int]) -> bool:
    wanted = [pool for pool, n in needs.items() if n]
    return all(pool in seen.pools and not seen.pools[pool].paused and free[pool] >= 0 for pool in wanted)


def _behind(connection: sa.Connection, text: str) -> Iterator[Chain]:
    tails = _tails(connection, text)
    lacking = sum(MOST - tail.length for tail in tails)
    given: dict[int, list[int]] = {}
    for row in _NEXT.rows(connection, line=text, count=lacking) if lacking > 0 else ():
        if row.tries or row.delays or row.up_to:
            break  # those behind it come after it
        shortest = min(tails, key=lambda tail: tail.length + len(given.get(tail.attempt, ())))
        given.setdefault(shortest.attempt, []).append(row.id)
    for tail in tails:
        if tail.attempt in given:
            yield Chain(given[tail.attempt], tail.attempt, tail.stage)


class _Tail(NamedTuple):
    """The last attempt behind one that has slots (or that one itself), and how many there are behind it."""

    attempt: int
    stage: int
    length: int


def _tails(connection: sa.Connection, text: str) -> list[_Tail]:
    tails: dict[int, _Tail] = {}
    for row in _OPEN.rows(connection):
        if not row.alone and not row.slots and line_text(row.priority, row.user, row.needs) == text:
            before = tails.pop(row.behind, None)
            tails[row.id] = _Tail(row.id, row.stage_id, before.length + 1 if before else 0)
    return list(tails.values())
