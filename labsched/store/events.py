"""Events, read in their order: what those who follow are told, and an audit asks for."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from labsched.errors import BadRequest
from labsched.store.read import argv_head
from labsched.store.tables import events, jobs, stages

Row = sa.Row[Any]


def after(connection: sa.Connection, event: int, limit: int, job: int | None = None) -> Sequence[Row]:
    """The next `limit` events after this one (of one job), with the name of the stage, the job's owner (`uid`) and the
    beginning of its command line (`argv_head`); those are None where there is none."""
    query = _rows().where(events.c.id > event).order_by(events.c.id).limit(limit)
    return connection.execute(query if job is None else query.where(events.c.job_id == job)).all()


def before_last(connection: sa.Connection, count: int, job: int | None = None) -> int:
    """The number that the last `count` events (of one job) come after."""
    query = sa.select(events.c.id).order_by(events.c.id.desc()).offset(count).limit(1)
    found = connection.execute(query if job is None else query.where(events.c.job_id == job)).scalar()
    return found or 0


def check_known(connection: sa.Connection, event: int) -> None:
    """Raise BadRequest where no event had this number yet: who goes on after it would wait for nothing."""
    if event > (newest := last(connection)):
        raise BadRequest(f"there is no event {event} yet: the newest is {newest}")


def last(connection: sa.Connection) -> int:
    """The highest number that any event ever had."""
    query = sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
    return int(connection.execute(query).scalar() or 0)


def _rows() -> sa.Select[Any]:
    first = stages.alias("first")
    head = argv_head(first).label("argv_head")
    return (
        sa.select(events, stages.c.name.label("stage"), jobs.c.name.label("job"), jobs.c.uid, head)
        .select_from(events)
        .outerjoin(stages, stages.c.id == events.c.stage_id)
        .outerjoin(jobs, jobs.c.id == events.c.job_id)
        .outerjoin(first, sa.and_(first.c.job_id == events.c.job_id, first.c.position == 0))
    )
