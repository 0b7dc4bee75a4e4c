"""From what people say (a number, a name, `last`) to a row."""

from typing import Any

import sqlalchemy as sa

from labsched.errors import NotFound
from labsched.store.prepared import Prepared, Row
from labsched.store.tables import jobs, stages

_STAGES = Prepared(sa.select(stages).where(stages.c.job_id == sa.bindparam("job")).order_by(stages.c.position))
_LIVE = Prepared(
    sa.select(jobs.c.id)
    .where(jobs.c.key == sa.bindparam("key"), jobs.c.id.is_not(sa.bindparam("but")), jobs.c.ended_at.is_(None))
    .limit(1)
)


def find_job(connection: sa.Connection, ref: str, uid: int | None = None) -> sa.Row[Any]:
    """The job that `ref` means: a number, `last` (the newest), or a name (its newest job, a live one first).

    To user `uid`, `last` is the newest of their own, and of those with a name their own come first. Raises NotFound
    with a sentence.
    """
    if ref.isdecimal():
        row = connection.execute(sa.select(jobs).where(jobs.c.id == int(ref[:18]))).one_or_none()
        if row is not None:
            return row
    newest = sa.select(jobs).order_by(jobs.c.id.desc()).limit(1)
    if ref == "last":
        mine = newest if uid is None else newest.where(jobs.c.uid == uid)
        row = connection.execute(mine).one_or_none()
        if row is None:
            raise NotFound("there is no job yet" if uid is None else "there is no job of yours yet")
        return row
    named = newest.where(jobs.c.name == ref)
    live = named.where(jobs.c.ended_at.is_(None))
    own = [] if uid is None else [query.where(jobs.c.uid == uid) for query in (live, named)]
    for query in (*own, live, named):
        row = connection.execute(query).one_or_none()
        if row is not None:
            return row
    what = f"job {ref}" if ref.isdecimal() else f"job named {ref!r}"
    raise NotFound(f"there is no {what}: see labsched status -a, or labsched history")


def live_job(connection: sa.Connection, key: str | None, but: int | None = None) -> int | None:
    """The number of the job (`but` this one) that has this key and has not ended; None where there is none."""
    if key is None:
        return None
    return _LIVE.scalar(connection, key=key, but=but)  # type: ignore[no-any-return]


def stages_of(connection: sa.Connection, job_id: int) -> list[Row]:
    """The stages of a job, in order."""
    return _STAGES.rows(connection, job=job_id)
