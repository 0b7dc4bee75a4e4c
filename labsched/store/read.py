"""Looking: which jobs a page shows, and all that is known of them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from labsched.core.states import OPEN, Outcome, State
from labsched.store.tables import attempts, dependencies, environments, events, jobs, pools, stages

Row = sa.Row[Any]
BAD = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST)


@dataclass(frozen=True, slots=True)
class Records:
    """Some jobs, in order, with their stages, attempts, and the stages of other jobs that they come after."""

    jobs: list[Row]
    stages: dict[int, list[Row]]
    attempts: dict[int, list[Row]]
    after: dict[int, list[Row]]  # by stage: rows of stages (id, job_id, name, outcome) of other jobs


def load(connection: sa.Connection, ids: Sequence[int]) -> Records:
    """All that is known of these jobs, in this order; numbers that do not exist are left out."""
    wanted = list(ids)
    found = {row.id: row for row in connection.execute(sa.select(jobs).where(jobs.c.id.in_(wanted)))}
    by_job: dict[int, list[Row]] = defaultdict(list)
    of_job = stages.c.job_id.in_(wanted)
    for row in connection.execute(sa.select(stages).where(of_job).order_by(stages.c.position)):
        by_job[row.job_id].append(row)
    by_stage: dict[int, list[Row]] = defaultdict(list)
    query = sa.select(attempts).join(stages).where(of_job).order_by(attempts.c.number)
    for row in connection.execute(query):
        by_stage[row.stage_id].append(row)
    before = stages.alias("before")
    after: dict[int, list[Row]] = defaultdict(list)
    query = (
        sa.select(dependencies.c.stage_id, before.c.id, before.c.job_id, before.c.name, before.c.outcome)
        .join_from(dependencies, stages, stages.c.id == dependencies.c.stage_id)
        .join(before, before.c.id == dependencies.c.on_stage_id)
        .where(of_job, before.c.job_id != stages.c.job_id)
    )
    for row in connection.execute(query):
        after[row.stage_id].append(row)
    return Records([found[i] for i in wanted if i in found], by_job, by_stage, after)


def page(connection: sa.Connection, since: float, limit: int, offset: int) -> tuple[list[int], int]:
    """The jobs of the status table, and how many more there are: running ones, waiting ones in the order of the plan
    (priority, then age), and those that ended after `since`, the latest first."""
    state = sa.func.max(stages.c.state.in_(OPEN)).label("open")
    live = sa.select(stages.c.job_id, state).where(stages.c.state != State.ENDED).group_by(stages.c.job_id).subquery()
    total = connection.execute(sa.select(sa.func.count()).select_from(live)).scalar_one()
    query = sa.select(live.c.job_id).join(jobs, jobs.c.id == live.c.job_id)
    order = (live.c.open.desc(), jobs.c.priority.desc(), jobs.c.id)
    ids = list(connection.execute(query.order_by(*order).limit(limit).offset(offset)).scalars())
    recent = _ended_since(connection, since)
    room = limit - len(ids)
    skipped = max(offset - total, 0)
    return ids + recent[skipped : skipped + room], max(total + len(recent) - offset - limit, 0)


def _ended_since(connection: sa.Connection, since: float) -> list[int]:
    live = sa.select(stages.c.job_id).where(stages.c.state != State.ENDED)
    query = (
        sa.select(stages.c.job_id)
        .where(stages.c.ended_at > since, stages.c.job_id.not_in(live))
        .group_by(stages.c.job_id)
        .order_by(sa.func.max(stages.c.ended_at).desc(), stages.c.job_id.desc())
    )
    return list(connection.execute(query).scalars())


def counts(connection: sa.Connection, today: float) -> tuple[int, int, int]:
    """Jobs that run, jobs that wait, and jobs that failed since `today` (and were not queued again)."""
    running = _count(connection, stages.c.state != State.ENDED, stages.c.state.in_(OPEN))
    live = _count(connection, stages.c.state != State.ENDED)
    failed = _count(connection, stages.c.ended_at >= today, stages.c.outcome.in_(BAD))
    return running, live - running, failed


def history(
    connection: sa.Connection,
    *,
    limit: int,
    before: int | None = None,
    user: str | None = None,
    outcome: str | None = None,
    name: str | None = None,
) -> list[int]:
    """The numbers of ended jobs, the newest first. `outcome` filters by a stage's; `name` is a part of a name."""
    live = sa.exists().where(stages.c.job_id == jobs.c.id, stages.c.state != State.ENDED)
    query = sa.select(jobs.c.id).where(~live).order_by(jobs.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(jobs.c.id < before)
    if user is not None:
        query = query.where(jobs.c.user == user)
    if name is not None:
        query = query.where(jobs.c.name.contains(name, autoescape=True))
    if outcome == Outcome.SUCCEEDED:
        query = query.where(~sa.exists().where(stages.c.job_id == jobs.c.id, stages.c.outcome != Outcome.SUCCEEDED))
    elif outcome == Outcome.FAILED:  # what people mean by it: anything but success and their own cancel
        query = query.where(sa.exists().where(stages.c.job_id == jobs.c.id, stages.c.outcome.in_(BAD)))
    elif outcome is not None:
        query = query.where(sa.exists().where(stages.c.job_id == jobs.c.id, stages.c.outcome == outcome))
    return list(connection.execute(query).scalars())


def environment(connection: sa.Connection, job_id: int) -> dict[str, str]:
    """The environment of a job, as it was submitted."""
    query = sa.select(environments.c.variables).join(jobs).where(jobs.c.id == job_id)
    return dict(connection.execute(query).scalar_one())


def revision(connection: sa.Connection) -> int:
    """A number that grows with every event."""
    return connection.execute(sa.select(sa.func.max(events.c.id))).scalar() or 0


def _count(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count(sa.distinct(stages.c.job_id))).where(*where)
    return connection.execute(query).scalar_one()


def open_rows(connection: sa.Connection) -> list[Row]:
    """The attempts that have not ended."""
    return list(connection.execute(sa.select(attempts).where(attempts.c.ended_at.is_(None))))


def pool_rows(connection: sa.Connection) -> list[Row]:
    """The pools, in their order."""
    return list(connection.execute(sa.select(pools).order_by(pools.c.position, pools.c.name)))
