"""What people do to jobs and pools that are there."""

from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa

from labsched.core.states import OPEN, Outcome, State
from labsched.errors import NotFound, Refused
from labsched.store.find import live_job, stages_of
from labsched.store.lines import refresh
from labsched.store.moves import Step, move, record, record_all, unsuccessful_before
from labsched.store.prepared import Prepared, listed, numbers
from labsched.store.tables import jobs, pools, stages

UNKNOWN = -1  # what the configuration said of a pool before that was written down
TOGETHER = 500  # jobs
_THESE = jobs.c.id.in_(listed())
_LIVE = Prepared(
    sa.select(stages)
    .where(stages.c.job_id.in_(listed()), stages.c.state != State.ENDED)
    .order_by(stages.c.job_id, stages.c.position)
)
_STOP = Prepared(
    stages.update()
    .where(stages.c.id.in_(listed()))
    .values(stop_at=sa.bindparam("at"), stop_by=sa.bindparam("by"), stop_reason=sa.bindparam("why"))
)
_ENDED = Prepared(sa.select(sa.func.min(jobs.c.id)).where(_THESE, jobs.c.ended_at.is_not(None)))
_LATER = sa.and_(stages.c.not_before.is_not(None), stages.c.tries == 0, stages.c.delays == 0)
_FREE = Prepared(
    sa.select(sa.func.min(jobs.c.id)).where(
        _THESE, jobs.c.held_by.is_(None), ~sa.exists().where(stages.c.job_id == jobs.c.id, _LATER)
    )
)
# One that is held, too, is only let go.
_COME = Prepared(
    stages.update()
    .where(_LATER, stages.c.job_id.in_(sa.select(jobs.c.id).where(_THESE, jobs.c.held_by.is_(None))))
    .values(not_before=None)
)
_HOLD = Prepared(jobs.update().where(_THESE, jobs.c.held_by.is_(None)).values(held_by=sa.bindparam("by")))
_RELEASE = Prepared(jobs.update().where(_THESE).values(held_by=None))


def has_ended(connection: sa.Connection, job_id: int) -> bool:
    """Whether all of a job's stages have ended."""
    return all(row.state == State.ENDED for row in stages_of(connection, job_id))


def cancel(connection: sa.Connection, job_ids: Sequence[int], at: float, user: str, reason: str | None) -> list[int]:
    """End what waits of these jobs and ask what runs to stop; returns the stages that have to be stopped.

    Of jobs that come after each other the later ones stand first, or they would be skipped. Raises Refused where one
    has ended.
    """
    words = f"by {user}" + (f": {reason}" if reason else "")
    running: list[int] = []
    for part in _parts(job_ids):
        _refuse_ended(connection, part)
        live = _LIVE.rows(connection, ids=numbers(part))
        open_ = [row.id for row in live if row.state in OPEN]
        _STOP.run(connection, ids=numbers(open_), at=at, by=user, why=words)
        _tell(connection, "job.cancelled", part, at, user, {"reason": reason})
        # All together: a stage is cancelled by a person, not skipped for want of the one before.
        waiting = [row for row in live if row.state == State.WAITING]
        move(connection, [Step(row, State.ENDED, at, Outcome.CANCELLED, words, user) for row in waiting])
        running += open_
    return running


def retry(connection: sa.Connection, job_id: int, at: float, user: str, from_stage: str | None) -> None:
    """Send the stages of an ended job that did not succeed back to wait; with `from_stage` that one and all after it.
    A job that waits for the time of its next attempt waits no longer.

    Raises Refused where the job is live or succeeded, where one before it did not succeed, or where what it does was
    queued anew; NotFound where it has no such stage.
    """
    rows = stages_of(connection, job_id)
    if any(row.not_before is not None for row in rows) and from_stage is None:
        later = sa.and_(stages.c.job_id == job_id, stages.c.not_before.is_not(None))
        connection.execute(stages.update().where(later).values(not_before=None))
        record(connection, "job.retry", at, job=job_id, user=user, data={"at": "once"})
        refresh(connection, [job_id])
        return
    if not has_ended(connection, job_id):
        raise Refused(f"job {job_id} has not ended: cancel it first, or wait")
    names = [row.name for row in rows]
    if from_stage is not None and from_stage not in names:
        raise NotFound(f"job {job_id} has no stage {from_stage!r}; its stages are {', '.join(names)}")
    first = next((i for i, row in enumerate(rows) if row.outcome != Outcome.SUCCEEDED), None)
    if from_stage is not None:
        wanted = names.index(from_stage)
        if first is not None and wanted > first:
            raise Refused(f"job {job_id} cannot start at {from_stage}: {names[first]} before it did not succeed")
        first = wanted
    if first is None:
        raise Refused(f"job {job_id} succeeded; to do it again: labsched retry {job_id} --from {names[0]}")
    for before in unsuccessful_before(connection, rows[first].id):
        raise Refused(
            f"job {before.job_id} before it did not succeed: labsched retry {before.job_id} takes job {job_id} along"
        )
    key = connection.execute(sa.select(jobs.c.key).where(jobs.c.id == job_id)).scalar()
    if live := live_job(connection, key):
        raise Refused(f"{key} is queued already, as job {live}: see labsched show {live}")
    record(connection, "job.retried", at, job=job_id, user=user, data={"from": names[first]})
    for position in range(first, len(rows)):
        row = stages_of(connection, job_id)[position]
        if row.state == State.ENDED:  # a skipped one may have come along with the one before it
            move(connection, [Step(row, State.WAITING, at, user=user)])


def hold(connection: sa.Connection, job_ids: Sequence[int], at: float, user: str) -> None:
    """Let nothing more of these jobs start. What runs goes on. Raises Refused where one has ended."""
    for part in _parts(job_ids):
        _refuse_ended(connection, part)
        _HOLD.run(connection, ids=numbers(part), by=user)
        _tell(connection, "job.held", part, at, user)
        refresh(connection, part)


def release(connection: sa.Connection, job_ids: Sequence[int], at: float, user: str) -> None:
    """Let held jobs go on, and have those wait no longer that were not to start before some time.

    Raises Refused where one is neither.
    """
    for part in _parts(job_ids):
        if (free := _FREE.scalar(connection, ids=numbers(part))) is not None:
            raise Refused(f"job {free} is not held, nor does it wait for a time")
        _COME.run(connection, ids=numbers(part))
        _RELEASE.run(connection, ids=numbers(part))
        _tell(connection, "job.released", part, at, user)
        refresh(connection, part)


def _parts(job_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """So many at a time: their stages, with command lines and all, are in memory meanwhile."""
    return (job_ids[at : at + TOGETHER] for at in range(0, len(job_ids), TOGETHER))


def _refuse_ended(connection: sa.Connection, job_ids: Sequence[int]) -> None:
    if (ended := _ENDED.scalar(connection, ids=numbers(job_ids))) is not None:
        raise Refused(f"job {ended} has ended already")


def _tell(
    connection: sa.Connection,
    kind: str,
    job_ids: Sequence[int],
    at: float,
    user: str,
    data: Mapping[str, str | None] | None = None,
) -> None:
    """An event for each of these jobs."""
    record_all(connection, [(kind, job, {"at": at, "user": user, "data": data}) for job in job_ids])


def declare_pools(connection: sa.Connection, wanted: dict[str, int], at: float) -> None:
    """Add those of these pools that are not there yet."""
    known = {name for (name,) in connection.execute(sa.select(pools.c.name))}
    for position, (name, slots) in enumerate(wanted.items()):
        if name not in known:
            connection.execute(pools.insert(), {"name": name, "slots": slots, "position": position})
            record(connection, "pool.added", at, data={"pool": name, "slots": slots})


def configure_pools(
    connection: sa.Connection, numbers: Mapping[str, int], at: float, user: str | None
) -> list[tuple[str, int | None, int]]:
    """Give pools the slots of the configuration, where it has another number for them than the last time.

    What people set since then stays as long as the configuration says the same. Returns name, slots before (None: the
    pool is new) and slots now, of each that has changed.
    """
    rows = {row.name: row for row in connection.execute(sa.select(pools))}
    changed: list[tuple[str, int | None, int]] = []
    for name, slots in numbers.items():
        row = rows.get(name)
        if row is None:
            position = max((other.position for other in rows.values()), default=-1) + 1 + len(changed)
            values = {"name": name, "slots": slots, "position": position, "configured": slots}
            connection.execute(pools.insert(), values)
            record(connection, "pool.added", at, user=user, data={"pool": name, "slots": slots})
            changed.append((name, None, slots))
            continue
        connection.execute(pools.update().where(pools.c.name == name).values(configured=slots))
        if row.configured not in (slots, UNKNOWN) and row.slots != slots:
            set_pool(connection, name, at, user, slots, None)
            changed.append((name, row.slots, slots))
    # Should it say a number again, that is a new one.
    connection.execute(pools.update().where(pools.c.name.not_in(list(numbers))).values(configured=None))
    return changed


def set_pool(
    connection: sa.Connection, name: str, at: float, user: str | None, slots: int | None, paused: bool | None
) -> None:
    """Change a pool's slots, or pause or resume it. Raises NotFound where there is no such pool."""
    row = connection.execute(sa.select(pools).where(pools.c.name == name)).one_or_none()
    if row is None:
        known = ", ".join(connection.execute(sa.select(pools.c.name).order_by(pools.c.position)).scalars())
        raise NotFound(
            f"there is no pool {name}; the pools are {known} (a new one: add it to [pools] of the configuration, "
            "then labsched config reload)"
        )
    values: dict[str, object] = {} if slots is None else {"slots": slots}
    if paused is not None:
        values |= {"paused_by": user if paused else None, "paused_at": at if paused else None}
    if values:
        connection.execute(pools.update().where(pools.c.name == name).values(values))
        alone = sa.select(stages.c.job_id).where(stages.c.line.is_not(None), stages.c.alone)
        refresh(connection, list(connection.execute(alone).scalars()))
        record(connection, "pool.changed", at, user=user, data={"pool": name, "slots": slots, "paused": paused})
