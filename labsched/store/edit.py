"""What people change about jobs that have not ended: their priority, and of stages that wait what these need."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from labsched.core.check import problem
from labsched.core.model import JobSpec, StageSpec
from labsched.core.states import State
from labsched.errors import BadRequest, NotFound, Refused
from labsched.store import tallies
from labsched.store.find import stages_of
from labsched.store.lines import all_pools, refresh
from labsched.store.moves import record
from labsched.store.prepared import Prepared, Row
from labsched.store.tables import jobs, stages

NEVER = 0.0  # a time limit, or a time, that is to be no more

_JOB = Prepared(sa.select(jobs).where(jobs.c.id == sa.bindparam("job")))
_RANK = Prepared(jobs.update().where(jobs.c.id == sa.bindparam("job")).values(priority=sa.bindparam("priority")))
_NAME = Prepared(jobs.update().where(jobs.c.id == sa.bindparam("job")).values(name=sa.bindparam("name")))
_COLUMNS = ("needs", "up_to", "time_limit", "memory", "not_before")
_STAGE = Prepared(
    stages.update()
    .where(stages.c.id == sa.bindparam("stage"))
    .values({name: sa.bindparam(name, type_=stages.c[name].type) for name in _COLUMNS})
)


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be different; None stays as it is. 0 is no time limit, no limit of memory, and a time that has come.

    `stage`: whose needs, time limit and memory are meant, where several wait.
    """

    stage: str | None = None
    priority: int | None = None
    name: str | None = None
    needs: Mapping[str, int] | None = None
    up_to: Mapping[str, int] | None = None
    time_limit: float | None = None
    memory: int | None = None
    not_before: float | None = None

    def of_stage(self) -> bool:
        """Whether it says anything of a stage itself."""
        return any(value is not None for value in (self.needs, self.up_to, self.time_limit, self.memory))


def edit(
    connection: sa.Connection, job_id: int, what: Edit, at: float, user: str, shares: Mapping[str, int] | None = None
) -> None:
    """Change a job. `shares`: the slots of a pool that one person may hold at a time.

    Raises Refused where it has ended, or where the stage does not wait; NotFound where it has no such stage;
    BadRequest where it could not have been queued like that.
    """
    [job] = _JOB.rows(connection, job=job_id)
    if job.ended_at is not None:
        raise Refused(f"job {job_id} has ended already: labsched retry {job_id} runs it again, as it is")
    rows = stages_of(connection, job_id)
    changed = {row.id: row for row in rows}
    if what.of_stage():
        row = _the_one(job_id, rows, what.stage)
        changed[row.id] = _with(row, what)
    elif what.stage is not None:
        raise BadRequest("nothing was said of the stage: give it other needs, another time limit or memory")
    if what.not_before is not None:
        row = next(row for row in rows if row.state != State.ENDED)
        if row.state != State.WAITING:
            raise Refused(f"job {job_id} runs: labsched hold {job_id} keeps its next stage from starting")
        changed[row.id] = changed[row.id]._replace(not_before=what.not_before if what.not_before > at else None)
    priority = job.priority if what.priority is None else what.priority
    name = job.name if what.name is None else what.name
    _check(connection, name, priority, what, [row for row in changed.values() if row.state == State.WAITING], shares)
    before = tallies.kinds_of(connection, job_id)
    _RANK.run(connection, job=job_id, priority=priority)
    _NAME.run(connection, job=job_id, name=name)
    for row in rows:
        if changed[row.id] is not row:
            _STAGE.run(connection, stage=row.id, **{name: getattr(changed[row.id], name) for name in _COLUMNS})
    tallies.recount(connection, job_id, before)
    data = {key: getattr(what, key) for key in ("priority", "name", "needs", "up_to", "time_limit", "memory")}
    stage = next((row for row in rows if what.of_stage() and changed[row.id] is not row), None)
    record(
        connection, "job.edited", at, job=job_id, stage=stage and stage.id, user=user,
        data={**data, "not_before": what.not_before},
    )  # fmt: skip
    refresh(connection, [job_id])


def _the_one(job_id: int, rows: list[Row], name: str | None) -> Row:
    """The stage that is meant."""
    if name is not None:
        found = next((row for row in rows if row.name == name), None)
        if found is None:
            raise NotFound(f"job {job_id} has no stage {name!r}; its stages are {', '.join(row.name for row in rows)}")
        if found.state != State.WAITING:
            what = "has ended" if found.state == State.ENDED else "runs"
            raise Refused(f"{name} of job {job_id} {what}: only a stage that waits can be changed")
        return found
    waiting = [row for row in rows if row.state == State.WAITING]
    if len(waiting) == 1:
        return waiting[0]
    if waiting:
        raise BadRequest(f"of job {job_id} wait {', '.join(row.name for row in waiting)}: name one with --stage")
    raise Refused(f"job {job_id} runs, and nothing of it waits: only a stage that waits can be changed")


def _with(row: Row, what: Edit) -> Row:
    values: dict[str, Any] = {}
    if what.needs is not None:
        values |= {"needs": dict(what.needs), "up_to": dict(what.up_to or {}) or None}
    elif what.up_to is not None:
        values["up_to"] = dict(what.up_to) or None
    if what.time_limit is not None:
        values["time_limit"] = what.time_limit or None
    if what.memory is not None:
        values["memory"] = what.memory or None
    return row._replace(**values)


def _check(
    connection: sa.Connection,
    name: str,
    priority: int,
    what: Edit,
    waiting: list[Row],
    shares: Mapping[str, int] | None,
) -> None:
    """Raise BadRequest where such a job could not be queued."""
    spec = JobSpec(name, (StageSpec("any", ("true",), {}, "/"),), priority=priority, not_before=what.not_before)
    if what.of_stage():
        spec = replace(
            spec,
            stages=tuple(
                StageSpec(
                    row.name, ("true",), dict(row.needs), "/", time_limit=row.time_limit, memory=row.memory,
                    up_to=dict(row.up_to or {}),
                )
                for row in waiting
            ),
        )  # fmt: skip
    slots = {pool.name: pool.slots for pool in all_pools(connection).values()}
    if why := problem(spec, slots, shares):
        raise BadRequest(why)
