"""The queues of the plan: which stages may start, and the snapshot that the plan decides on."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from labsched.core.model import Holding, Needs, Pool, Snapshot, Waiting
from labsched.core.plan import free_slots
from labsched.core.states import Outcome, State
from labsched.store import tallies
from labsched.store.prepared import Prepared, listed, numbers
from labsched.store.tables import attempts, dependencies, jobs, pools, stages

HEADS = 64  # stages that need nothing, of a line, that one snapshot shows: those behind them are in nobody's way


def _statement_of_candidates() -> sa.Select[Any]:
    earlier = stages.alias("earlier")
    unmet = sa.exists().where(
        dependencies.c.stage_id == stages.c.id,
        dependencies.c.on_stage_id == earlier.c.id,
        sa.func.coalesce(earlier.c.outcome, "") != Outcome.SUCCEEDED,
    )
    may_start = sa.and_(
        stages.c.state == State.WAITING, stages.c.not_before.is_(None), jobs.c.held_by.is_(None), ~unmet
    )
    return (
        sa.select(
            *(stages.c[name] for name in ("id", "line", "needs", "alone")),
            *(jobs.c.priority, jobs.c.user, may_start.label("may_start")),
        )
        .join(jobs)
        .where(stages.c.job_id.in_(listed()), stages.c.state != State.ENDED)
    )


_CANDIDATES = Prepared(_statement_of_candidates())
_PLACE = Prepared(stages.update().where(stages.c.id == sa.bindparam("stage")).values(line=sa.bindparam("new")))
_NEXT = Prepared(sa.select(sa.func.min(stages.c.not_before)).where(stages.c.not_before.is_not(None)))
_DUE = Prepared(sa.select(stages.c.job_id).where(stages.c.not_before <= sa.bindparam("now")))
_COME = Prepared(stages.update().where(stages.c.not_before <= sa.bindparam("now")).values(not_before=None))
_POOLS = Prepared(sa.select(pools).order_by(pools.c.position, pools.c.name))
# As text: a thousand holdings say the same few things.
_TEXT = sa.func.coalesce(*(sa.type_coerce(said, sa.String) for said in (attempts.c.slots, stages.c.needs)))
_before = attempts.alias("before")
#: Open, and not behind another one that is: that one has the slots.
HOLDS = sa.and_(
    attempts.c.ended_at.is_(None),
    ~sa.exists().where(_before.c.id == attempts.c.behind, _before.c.ended_at.is_(None)),
)
_HELD = Prepared(
    sa.select(stages.c.id, stages.c.job_id, jobs.c.user, _TEXT.label("needs"), stages.c.alone)
    .select_from(attempts)
    .join(stages, stages.c.id == attempts.c.stage_id)
    .join(jobs, jobs.c.id == stages.c.job_id)
    .where(HOLDS)
    .order_by(stages.c.id)
)


def _statement_of_heads() -> sa.Select[Any]:
    wanted = sa.func.json_each(sa.bindparam("lines", type_=sa.String)).table_valued("value").alias("wanted")
    each = stages.alias("each")
    oldest = (
        sa.select(each.c.id)
        .where(each.c.line == wanted.c.value)
        .order_by(each.c.id)
        .limit(sa.bindparam("count", type_=sa.Integer))
        .correlate(wanted)
    )
    return sa.select(stages.c.id, stages.c.job_id, stages.c.line).join_from(wanted, stages, stages.c.id.in_(oldest))


_HEADS = Prepared(_statement_of_heads())


class Line(NamedTuple):
    """What a line's text says."""

    priority: int
    user: str
    needs: Needs


_BETWEEN = Prepared(
    sa.select(sa.func.count()).where(
        stages.c.line == sa.bindparam("line"), stages.c.id >= sa.bindparam("first"), stages.c.id < sa.bindparam("end")
    )
)


def line_text(priority: int, user: str, needs: Needs) -> str:
    """A line as one value of an indexed column."""
    return json.dumps([priority, user, sorted(needs.items())], separators=(",", ":"))


def refresh(connection: sa.Connection, job_ids: Iterable[int]) -> None:
    """Put the stages of these jobs that may start into their lines, and take out those that may not (any more).

    A stage may start if it waits for no time, its job is not held, and every stage before it succeeded.
    """
    found = _CANDIDATES.rows(connection, ids=numbers(job_ids))
    known = all_pools(connection) if any(row.alone for row in found) else {}
    lines = [
        line_text(row.priority, row.user, taken(row.needs, row.alone, known)) if row.may_start else None
        for row in found
    ]
    changes = [{"stage": row.id, "new": line} for row, line in zip(found, lines, strict=True) if line != row.line]
    _PLACE.many(connection, changes)


def taken(needs: Needs, alone: bool, known: Mapping[str, Pool]) -> dict[str, int]:
    """The slots that a stage takes: what it needs, or all of its pools where it has to be alone there."""
    return {pool: max(n, known[pool].slots) if alone and pool in known else n for pool, n in needs.items()}


def due(connection: sa.Connection, now: float) -> float | None:
    """Put the stages whose time has come into their lines; returns when the next one's comes (None: none waits so)."""
    following: float | None = _NEXT.scalar(connection)
    if following is None or following > now:
        return following
    jobs_due = [row.job_id for row in _DUE.rows(connection, now=now)]
    _COME.run(connection, now=now)
    refresh(connection, jobs_due)
    return _NEXT.scalar(connection)  # type: ignore[no-any-return]


def all_pools(connection: sa.Connection) -> dict[str, Pool]:
    """The pools in their order."""
    return {row.name: Pool(row.name, row.slots, row.paused_by is not None) for row in _POOLS.rows(connection)}


def snapshot(connection: sa.Connection, shares: Mapping[str, int] | None = None) -> Snapshot:
    """What the plan needs to know: all pools, all holdings, and of each line as many stages as could possibly start,
    and one more: the first that does not fit must be seen, for it may reserve what it lacks.

    `shares`: the slots of a pool that one person may hold at a time.
    """
    known = all_pools(connection)
    holdings = tuple(_holdings(connection, known))
    free = free_slots(Snapshot(known, holdings, ()))
    lines = {text: parse(text) for text in tallies.lines(connection)}
    wanted: dict[int, list[str]] = {}  # lines, by how many stages of each
    for text, line in lines.items():
        wanted.setdefault(_room(free, line.needs), []).append(text)
    waiting = tuple(
        Waiting(row.id, row.job_id, lines[row.line].user, lines[row.line].needs, lines[row.line].priority)
        for count, texts in wanted.items()
        for row in _HEADS.rows(connection, lines=json.dumps(texts), count=count)
    )
    return Snapshot(known, holdings, waiting, shares or {})


def parse(text: str) -> Line:
    """What `line_text` made."""
    priority, user, needs = msgspec.json.decode(text)
    return Line(priority, user, dict(needs))


def _holdings(connection: sa.Connection, known: Mapping[str, Pool]) -> Iterator[Holding]:
    needs: dict[tuple[str, bool], Needs] = {}
    for row in _HELD.rows(connection):
        key = row.needs, row.alone
        if key not in needs:
            needs[key] = taken(msgspec.json.decode(row.needs), row.alone, known)
        yield Holding(row.id, row.job_id, row.user, needs[key])


def ahead(connection: sa.Connection, waiting: Iterable[tuple[str, int]]) -> dict[int, int]:
    """Of each of these stages (its line, its number): how many of its line are older."""
    by_line: dict[str, list[int]] = {}
    for text, stage in waiting:
        by_line.setdefault(text, []).append(stage)
    found: dict[int, int] = {}
    for text, ids in by_line.items():
        count, after = 0, 0
        for stage in sorted(ids):  # from one to the next, so that each of the line is counted once
            count, after = count + _BETWEEN.scalar(connection, line=text, first=after, end=stage), stage
            found[stage] = count
    return found


def waiting_by_pool(connection: sa.Connection) -> dict[str, int]:
    """How many stages that could start stand in line for each pool."""
    counts: dict[str, int] = {}
    for text, count in tallies.lines(connection).items():
        for pool, _ in msgspec.json.decode(text)[2]:
            counts[pool] = counts.get(pool, 0) + count
    return counts


def _room(free: dict[str, int], needs: Needs) -> int:
    """One more than the stages with these needs that could start at once."""
    fitting = [free.get(pool, 0) // n for pool, n in needs.items() if n]
    return max(0, min(fitting)) + 1 if fitting else HEADS
