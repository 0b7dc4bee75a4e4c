"""Queueing jobs: all of a request, or none."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa

from labsched.core.model import JobSpec, Limits, StageSpec
from labsched.core.states import Outcome, State
from labsched.errors import BadRequest, Refused
from labsched.store.find import find_job, live_job
from labsched.store.lines import refresh
from labsched.store.moves import record_all
from labsched.store.prepared import Prepared
from labsched.store.tables import dependencies, environments, jobs, stages

_OF_JOB = ("name", "recipe", "key", "user", "uid", "priority", "held_by", "submitted_at", "environment_id", "limits")
_OF_STAGE = ("job_id", "position", "name", "argv", "cwd", "env", "outputs", "needs")
_HOW = ("time_limit", "memory", "retry", "state")


def _insert(table: sa.Table, *names: str) -> Prepared:
    return Prepared(table.insert().values({name: sa.bindparam(name) for name in names}))


_JOB = _insert(jobs, *_OF_JOB)
_STAGE = _insert(stages, *_OF_STAGE, *_HOW)
_AFTER = _insert(dependencies, "stage_id", "on_stage_id")
_ENVIRONMENT = _insert(environments, "digest", "variables")
_DONE = Prepared(
    sa.select(sa.func.max(jobs.c.id)).where(jobs.c.key == sa.bindparam("key"), jobs.c.outcome == Outcome.SUCCEEDED)
)
_KNOWN = Prepared(sa.select(environments.c.id).where(environments.c.digest == sa.bindparam("digest")))


def submit(
    connection: sa.Connection, specs: Sequence[JobSpec], user: str, uid: int, at: float, limits: Limits | None = None
) -> list[int]:
    """Queue these jobs and return their numbers, in order. `limits`: of resources, for their stages.

    Raises Refused where a job's key is live already, or succeeded and `again` is not set; NotFound or Refused where
    an `after` cannot be followed; BadRequest where two jobs of the request share a key, or one is to come after a later
    one.
    """
    _check_keys(connection, specs)
    _check_order(specs)
    numbers: list[int] = []
    last_stages: dict[str, int] = {}  # by the name of a job of this request
    known: dict[str, int] = {}
    edges: list[dict[str, int]] = []
    told: list[tuple[str, int, dict[str, object]]] = []
    for spec in specs:
        before = {_last_stage(connection, name, last_stages) for name in spec.after}  # it must not find the job itself
        job_id = _insert_job(connection, spec, user, uid, at, known, limits)
        for position, stage in enumerate(spec.stages):
            stage_id = _insert_stage(connection, job_id, position, stage)
            edges += ({"stage_id": stage_id, "on_stage_id": earlier} for earlier in before)
            before = {stage_id}
        last_stages[spec.name] = max(before)
        about = {"name": spec.name, "held": spec.hold or None}
        told.append(("job.submitted", job_id, {"at": at, "user": user, "data": about}))
        numbers.append(job_id)
    _AFTER.many(connection, edges)
    record_all(connection, told)
    refresh(connection, numbers)
    return numbers


def _insert_job(
    connection: sa.Connection,
    spec: JobSpec,
    user: str,
    uid: int,
    at: float,
    known: dict[str, int],
    limits: Limits | None,
) -> int:
    values = {
        "name": spec.name,
        "recipe": spec.recipe,
        "key": spec.key,
        "user": user,
        "uid": uid,
        "priority": spec.priority,
        "held_by": user if spec.hold else None,
        "submitted_at": at,
        "environment_id": _environment(connection, spec.env, known),
        "limits": limits,
    }
    return _inserted(_JOB.run(connection, **values))


def _insert_stage(connection: sa.Connection, job_id: int, position: int, stage: StageSpec) -> int:
    values = {
        "job_id": job_id,
        "position": position,
        "name": stage.name,
        "argv": list(stage.argv),
        "cwd": stage.cwd,
        "env": stage.env,
        "outputs": list(stage.outputs),
        "needs": stage.needs,
        "time_limit": stage.time_limit,
        "memory": stage.memory,
        "retry": None if stage.retry is None else asdict(stage.retry),
        "state": State.WAITING,
    }
    return _inserted(_STAGE.run(connection, **values))


def _environment(connection: sa.Connection, variables: dict[str, str], known: dict[str, int]) -> int:
    """The number of an environment: each is kept once, however many jobs have it."""
    digest = hashlib.sha256(json.dumps(variables, sort_keys=True).encode()).hexdigest()
    if digest not in known:
        found = _KNOWN.scalar(connection, digest=digest)
        if found is None:
            found = _inserted(_ENVIRONMENT.run(connection, digest=digest, variables=variables))
        known[digest] = found
    return known[digest]


def _last_stage(connection: sa.Connection, name: int | str, of_this_request: dict[str, int]) -> int:
    if isinstance(name, str) and name in of_this_request:
        return of_this_request[name]
    job = find_job(connection, str(name))
    last = connection.execute(
        sa.select(stages).where(stages.c.job_id == job.id).order_by(stages.c.position.desc()).limit(1)
    ).one()
    if last.state == State.ENDED and last.outcome != Outcome.SUCCEEDED:
        raise Refused(
            f"job {job.id} ended without success, so nothing can come after it: labsched retry {job.id} first"
        )
    return int(last.id)


def _check_keys(connection: sa.Connection, specs: Sequence[JobSpec]) -> None:
    seen: set[str] = set()
    for spec in specs:
        if spec.key is None:
            continue
        if spec.key in seen:
            raise BadRequest(f"{spec.key} is asked for twice in one request")
        seen.add(spec.key)
        if live := live_job(connection, spec.key):
            raise Refused(f"{spec.key} is queued already, as job {live}: see labsched show {live}")
        done = None if spec.again else _DONE.scalar(connection, key=spec.key)
        if done:
            raise Refused(f"{spec.key} is done, by job {done}: give --again to do it once more")


def _check_order(specs: Sequence[JobSpec]) -> None:
    # Else an old job of that name would be taken for the one that is meant.
    last = {spec.name: i for i, spec in enumerate(specs)}
    seen: set[str] = set()
    for i, spec in enumerate(specs):
        for name in spec.after:
            if isinstance(name, str) and name not in seen and last.get(name, i) > i:
                raise BadRequest(f"{spec.name} is to come after {name}, but {name} comes later in the request")
        seen.add(spec.name)


def _inserted(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None
    return cursor.lastrowid
