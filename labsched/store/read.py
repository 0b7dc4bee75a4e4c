"""Looking: which jobs a page shows, and all that is known of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from labsched.core.states import Outcome
from labsched.store import tallies
from labsched.store.prepared import Prepared, Row, listed, numbers
from labsched.store.tables import attempts, dependencies, environments, jobs, pools, stages

BAD = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST)
LARGE = ("argv", "cwd", "env", "outputs", "retry")
HEAD = 4096  # characters
_RUNNING = Prepared(
    sa.select(stages.c.job_id)
    .distinct()
    .select_from(attempts)
    .join(stages, stages.c.id == attempts.c.stage_id)
    .join(jobs, jobs.c.id == stages.c.job_id)
    .where(attempts.c.ended_at.is_(None))
    .order_by(jobs.c.priority.desc(), stages.c.job_id)
)
_ROOM = {"room": sa.bindparam("room", type_=sa.Integer), "skipped": sa.bindparam("skipped", type_=sa.Integer)}
_WAITING = Prepared(
    sa.select(jobs.c.id)
    .where(jobs.c.ended_at.is_(None), jobs.c.id.not_in(listed("running")))
    .order_by(jobs.c.priority.desc(), jobs.c.id)
    .limit(_ROOM["room"])
    .offset(_ROOM["skipped"])
)
_SINCE = jobs.c.ended_at > sa.bindparam("since")
_ENDED = Prepared(
    sa.select(jobs.c.id)
    .where(_SINCE)
    .order_by(jobs.c.ended_at.desc(), jobs.c.id.desc())
    .limit(_ROOM["room"])
    .offset(_ROOM["skipped"])
)
_RECENT = Prepared(sa.select(sa.func.count()).where(_SINCE))
# As in the index: what a parameter says is not known when the index is chosen.
_BAD: sa.ColumnElement[bool] = sa.literal_column("outcome IN ('failed', 'timed_out', 'lost')")
_FAILED = Prepared(sa.select(sa.func.count(jobs.c.ended_at)).where(jobs.c.ended_at >= sa.bindparam("today"), _BAD))


def argv_head(table: sa.FromClause, *, first_only: bool = True) -> sa.ColumnElement[str]:
    """The beginning of a stage's command line, as JSON, whatever its length; of stages that are not a job's first only
    where asked for."""
    head = sa.func.substr(sa.type_coerce(table.c.argv, sa.Text), 1, HEAD)
    return sa.case((table.c.position == 0, head), else_="[]") if first_only else head


def _outputs_head(*, whole: bool) -> sa.ColumnElement[str]:
    """The beginning of a stage's outputs, as JSON; in a brief look only of the later stages that succeeded: those of
    the others lead nowhere yet."""
    head = sa.func.substr(sa.type_coerce(stages.c.outputs, sa.Text), 1, HEAD)
    done = stages.c.outcome == Outcome.SUCCEEDED.value
    return sa.case((done, head) if whole else (sa.and_(done, stages.c.position > 0), head), else_="[]")


def _stages(*, whole: bool) -> Prepared:
    columns: list[Any] = [column for column in stages.c if whole or column.name not in LARGE]
    columns.append(argv_head(stages, first_only=not whole).label("argv_head"))
    columns.append(_outputs_head(whole=whole).label("outputs_head"))
    return Prepared(sa.select(*columns).where(_OF_THESE).order_by(stages.c.position))


_OF_THESE = stages.c.job_id.in_(listed())
_JOBS = Prepared(sa.select(jobs).where(jobs.c.id.in_(listed())))
_STAGES, _BRIEF_STAGES = _stages(whole=True), _stages(whole=False)
_OF_STAGES = sa.select(attempts).join(stages).where(_OF_THESE).order_by(attempts.c.number)
_ATTEMPTS = Prepared(_OF_STAGES)
_LAST = sa.select(sa.func.max(attempts.c.id)).join(stages).where(_OF_THESE).group_by(attempts.c.stage_id)
_LAST_ATTEMPTS = Prepared(_OF_STAGES.where(attempts.c.id.in_(_LAST)))
_EARLIER = stages.alias("before")
_AFTER = Prepared(
    sa.select(dependencies.c.stage_id, *(_EARLIER.c[name] for name in ("id", "job_id", "name", "outcome")))
    .join_from(dependencies, stages, stages.c.id == dependencies.c.stage_id)
    .join(_EARLIER, _EARLIER.c.id == dependencies.c.on_stage_id)
    .where(_OF_THESE, _EARLIER.c.job_id != stages.c.job_id)
)
_SIZES = Prepared(sa.select(stages.c.job_id, sa.func.count().label("size")).where(_OF_THESE).group_by(stages.c.job_id))
_KNOWN = Prepared(sa.select(jobs.c.id, jobs.c.uid, jobs.c.ended_at).where(jobs.c.id.in_(listed())))
_OPEN = Prepared(sa.select(attempts).where(attempts.c.ended_at.is_(None)))
_POOLS = Prepared(sa.select(pools).order_by(pools.c.position, pools.c.name))


@dataclass(frozen=True, slots=True)
class Records:
    """Some jobs, in order, with their stages, attempts, and the stages of other jobs that they come after."""

    jobs: list[Row]
    stages: dict[int, list[Row]]
    attempts: dict[int, list[Row]]
    after: dict[int, list[Row]]  # by stage: rows of stages (id, job_id, name, outcome) of other jobs


def load(connection: sa.Connection, ids: Sequence[int], *, whole: bool = True) -> Records:
    """All that is known of these jobs, in this order; numbers that do not exist are left out.

    Without `whole`, as much as a line of a table takes: of the stages neither command line nor folder, environment and
    outputs, which may be megabytes each, and of the attempts the last.
    """
    wanted = numbers(ids)
    found = {row.id: row for row in _JOBS.rows(connection, ids=wanted)}
    by_job: dict[int, list[Row]] = defaultdict(list)
    for row in (_STAGES if whole else _BRIEF_STAGES).rows(connection, ids=wanted):
        by_job[row.job_id].append(row)
    by_stage: dict[int, list[Row]] = defaultdict(list)
    for row in (_ATTEMPTS if whole else _LAST_ATTEMPTS).rows(connection, ids=wanted):
        by_stage[row.stage_id].append(row)
    after: dict[int, list[Row]] = defaultdict(list)
    for row in _AFTER.rows(connection, ids=wanted):
        after[row.stage_id].append(row)
    return Records([found[i] for i in ids if i in found], by_job, by_stage, after)


def page(connection: sa.Connection, since: float, limit: int, offset: int) -> tuple[list[int], int]:
    """The jobs of the status table, and how many more there are: running ones, waiting ones in the order of the plan
    (priority, then age), and those that ended after `since`, the latest first."""
    running = [row.job_id for row in _RUNNING.rows(connection)]
    live, recent = tallies.live_jobs(connection), int(_RECENT.scalar(connection, since=since))
    ids = running[offset : offset + limit]
    asked = {"room": limit - len(ids), "skipped": max(offset - len(running), 0)}
    ids += [row.id for row in _WAITING.rows(connection, running=numbers(running), **asked)]
    asked = {"room": limit - len(ids), "skipped": max(offset - live, 0)}
    ids += [row.id for row in _ENDED.rows(connection, since=since, **asked)]
    return ids, max(live + recent - offset - limit, 0)


def counts(connection: sa.Connection, today: float) -> tuple[int, int, int]:
    """Jobs that run, jobs that wait, and jobs that failed since `today` (and were not queued again)."""
    running = len(_RUNNING.rows(connection))
    return running, tallies.live_jobs(connection) - running, int(_FAILED.scalar(connection, today=today))


def at_most(connection: sa.Connection, ids: Sequence[int], count: int) -> list[int]:
    """The first of these jobs that have `count` stages together, and one more: what a page shows of them."""
    sizes = _sizes(connection, ids)
    shown: list[int] = []
    for number in ids:
        if count <= 0:
            break
        shown.append(number)
        count -= sizes.get(number, 0)
    return shown


def how_many_stages(connection: sa.Connection, ids: Sequence[int]) -> int:
    """How many stages these jobs have together."""
    return sum(_sizes(connection, ids).values())


def _sizes(connection: sa.Connection, ids: Sequence[int]) -> dict[int, int]:
    return {row.job_id: row.size for row in _SIZES.rows(connection, ids=numbers(ids))}


def known(connection: sa.Connection, ids: Sequence[int]) -> dict[int, bool]:
    """Those of these jobs that there are, and whether each has ended."""
    return {row.id: row.ended_at is not None for row in brief(connection, ids)}


def brief(connection: sa.Connection, ids: Iterable[int]) -> list[Row]:
    """Those of these jobs that there are: their id, uid and ended_at."""
    return _KNOWN.rows(connection, ids=numbers(ids))


def mine(connection: sa.Connection, uid: int, verb: str, *, waiting: bool, limit: int) -> list[int]:
    """Of this person's jobs those that it makes sense to cancel, hold or release, the newest first.

    With `waiting`, only those of which nothing runs."""
    query = sa.select(jobs.c.id).where(jobs.c.ended_at.is_(None), jobs.c.uid == uid)
    if verb != "cancel":
        query = query.where(jobs.c.held_by.is_(None) if verb == "hold" else jobs.c.held_by.is_not(None))
    if waiting:
        query = query.where(jobs.c.id.not_in([row.job_id for row in _RUNNING.rows(connection)]))
    return list(connection.execute(query.order_by(jobs.c.id.desc()).limit(limit)).scalars())


def history(
    connection: sa.Connection,
    *,
    limit: int,
    before: int | None = None,
    user: str | None = None,
    outcome: str | None = None,
    name: str | None = None,
) -> list[Row]:
    """Ended jobs (id, name, uid, argv_head), the newest first. `outcome` filters by a job's; `name` is a part of a
    name."""
    first = stages.alias("first")
    query = (
        sa.select(jobs.c.id, jobs.c.name, jobs.c.uid, argv_head(first).label("argv_head"))
        .join(first, sa.and_(first.c.job_id == jobs.c.id, first.c.position == 0))
        .where(jobs.c.ended_at.is_not(None))
        .order_by(jobs.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(jobs.c.id < before)
    if user is not None:
        query = query.where(jobs.c.user == user)
    if name is not None:
        query = query.where(jobs.c.name.contains(name, autoescape=True))
    if outcome == Outcome.FAILED:  # what people mean by it: anything but success and their own cancel
        query = query.where(jobs.c.outcome.in_(BAD))
    elif outcome is not None:
        query = query.where(jobs.c.outcome == outcome)
    return list(connection.execute(query))


def environment(connection: sa.Connection, job_id: int) -> dict[str, str]:
    """The environment of a job, as it was submitted."""
    query = sa.select(environments.c.variables).join(jobs).where(jobs.c.id == job_id)
    return dict(connection.execute(query).scalar_one())


def open_rows(connection: sa.Connection) -> list[Row]:
    """The attempts that have not ended."""
    return _OPEN.rows(connection)


def pool_rows(connection: sa.Connection) -> list[Row]:
    """The pools, in their order."""
    return _POOLS.rows(connection)
