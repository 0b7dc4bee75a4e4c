"""Queueing jobs: all of a request, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from labsched.core.model import JobSpec, Limits
from labsched.core.states import Outcome, State
from labsched.errors import BadRequest, Refused
from labsched.store.find import find_job
from labsched.store.lines import line_text, refresh
from labsched.store.moves import record_all
from labsched.store.prepared import Prepared, listed, texts
from labsched.store.ready import Ready, ready
from labsched.store.tables import dependencies, environments, jobs, stages

TOGETHER = 500  # jobs whose rows are in memory
_OF_JOB = ("id", "name", "recipe", "key", "user", "uid", "priority", "held_by", "submitted_at", "environment_id")
_OF_STAGE = ("id", "job_id", "position", "name", "cwd", "time_limit", "memory", "state", "line", "not_before")
_JSON = ("argv", "env", "outputs", "needs", "up_to", "retry")  # text already


def _insert(table: sa.Table, *names: str, text: Sequence[str] = ()) -> Prepared:
    given: dict[str, Any] = {name: sa.bindparam(name) for name in names}
    given |= {name: sa.bindparam(name, type_=sa.Text) for name in text}
    return Prepared(table.insert().values(given))


_JOB = _insert(jobs, *_OF_JOB, "limits")
_STAGE = _insert(stages, *_OF_STAGE, text=_JSON)
_AFTER = _insert(dependencies, "stage_id", "on_stage_id")
_ENVIRONMENT = _insert(environments, "digest", text=["variables"])
_OF_THESE = jobs.c.key.in_(listed("keys"))
_LIVE = Prepared(sa.select(jobs.c.key, jobs.c.id).where(_OF_THESE, jobs.c.ended_at.is_(None)))
_DONE = Prepared(sa.select(jobs.c.key, jobs.c.id).where(_OF_THESE, jobs.c.outcome == Outcome.SUCCEEDED))
_KNOWN = Prepared(sa.select(environments.c.id).where(environments.c.digest == sa.bindparam("digest")))
_LAST_NUMBER = Prepared(sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name"))


def submit(
    connection: sa.Connection, specs: Sequence[JobSpec], user: str, uid: int, at: float, limits: Limits | None = None
) -> list[int]:
    """Queue these jobs: `insert`, for those who have nothing to do before the transaction."""
    return insert(connection, list(ready(specs)), user, uid, at, limits)


def insert(
    connection: sa.Connection, wanted: Sequence[Ready], user: str, uid: int, at: float, limits: Limits | None = None
) -> list[int]:
    """Queue these jobs and return their numbers, in order. `limits`: of resources, for their stages.

    Raises Refused where a job's key is live already, or succeeded and `again` is not set; NotFound or Refused where
    an `after` cannot be followed; BadRequest where two jobs of the request share a key, or one is to come after a later
    one.
    """
    _check_keys(connection, wanted)
    _check_order(wanted)
    who = {"user": user, "uid": uid, "submitted_at": at, "limits": limits}
    before = _Before(connection)
    rows = _Rows()
    known: dict[str, int] = {}
    lines: dict[tuple[int, str], str] = {}  # by priority and needs: thousands of jobs stand in few
    first = _last_number(connection, "jobs") + 1
    stage_id = _last_number(connection, "stages")
    for number, job in enumerate(wanted, first):
        earlier = before.stages(job.after)
        rows.jobs.append(
            {
                **{name: getattr(job, name) for name in ("name", "recipe", "key", "priority")},
                "id": number,
                "held_by": user if job.hold else None,
                "environment_id": _environment(connection, job, known),
                **who,
            }
        )
        # Of a job that comes after nothing it is plain; of the others `refresh` knows.
        line = None
        later = job.not_before if job.not_before is not None and job.not_before > at else None
        if earlier:
            rows.follow.append(number)
        elif not job.hold and later is None:
            kind = (job.priority, job.stages[0]["needs"])
            line = lines[kind] = lines.get(kind) or line_text(job.priority, user, job.needs)
        for stage in job.stages:
            stage_id += 1
            mine = {"id": stage_id, "job_id": number, "state": State.WAITING, "line": line, "not_before": later}
            rows.stages.append({**stage, **mine})
            rows.edges += ({"stage_id": stage_id, "on_stage_id": one} for one in earlier)
            earlier, line, later = {stage_id}, None, None
        before.add(number, job.name, stage_id)
        rows.told.append(("job.submitted", number, {"at": at, "user": user, "data": _about(job)}))
        if len(rows.jobs) == TOGETHER:
            rows.write(connection)
            rows = _Rows()
    rows.write(connection)
    return list(range(first, first + len(wanted)))


@dataclass(slots=True)
class _Rows:
    """What is to be written of some jobs; `follow` are those that come after stages that may have ended."""

    jobs: list[Mapping[str, Any]] = field(default_factory=list)
    stages: list[Mapping[str, Any]] = field(default_factory=list)
    edges: list[Mapping[str, int]] = field(default_factory=list)
    told: list[tuple[str, int, Mapping[str, object]]] = field(default_factory=list)
    follow: list[int] = field(default_factory=list)

    def write(self, connection: sa.Connection) -> None:
        _JOB.many(connection, self.jobs)
        _STAGE.many(connection, self.stages)
        _AFTER.many(connection, self.edges)
        record_all(connection, self.told)
        refresh(connection, self.follow)


def _about(job: Ready) -> dict[str, object]:
    return {"name": job.name, "held": job.hold or None, "not_before": job.not_before}


class _Before:
    """The stages that jobs of a request come after: of earlier jobs of the request, or of what is queued already."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._last = 0
        self._by_number: dict[int, int] = {}
        self._by_name: dict[str, int] = {}

    def add(self, number: int, name: str, last_stage: int) -> None:
        """A job of the request."""
        self._last = self._by_number[number] = self._by_name[name] = last_stage

    def stages(self, after: Sequence[int | str]) -> set[int]:
        """The last stages of the jobs that these names and numbers mean. Raises NotFound and Refused."""
        return {self._stage(name) for name in after}

    def _stage(self, name: int | str) -> int:
        if isinstance(name, str) and name in self._by_name:
            return self._by_name[name]
        ref = str(name)
        if ref == "last" and self._last:
            return self._last
        if ref.isdecimal() and int(ref[:18]) in self._by_number:
            return self._by_number[int(ref[:18])]
        return _last_stage(self._connection, ref)


def _last_stage(connection: sa.Connection, ref: str) -> int:
    job = find_job(connection, ref)
    last = connection.execute(
        sa.select(stages).where(stages.c.job_id == job.id).order_by(stages.c.position.desc()).limit(1)
    ).one()
    if last.state == State.ENDED and last.outcome != Outcome.SUCCEEDED:
        raise Refused(
            f"job {job.id} ended without success, so nothing can come after it: labsched retry {job.id} first"
        )
    return int(last.id)


def _environment(connection: sa.Connection, job: Ready, known: dict[str, int]) -> int:
    """The number of an environment: each is kept once, however many jobs have it."""
    if job.digest not in known:
        found = _KNOWN.scalar(connection, digest=job.digest)
        if found is None:
            found = _ENVIRONMENT.run(connection, digest=job.digest, variables=job.variables).lastrowid
        known[job.digest] = found
    return known[job.digest]


def _last_number(connection: sa.Connection, table: str) -> int:
    """The highest number that a row of this table ever had."""
    return int(_LAST_NUMBER.scalar(connection, name=table) or 0)


def _check_keys(connection: sa.Connection, wanted: Sequence[Ready]) -> None:
    keys = texts({job.key for job in wanted if job.key is not None})
    live = {row.key: row.id for row in _LIVE.rows(connection, keys=keys)}
    again = texts({job.key for job in wanted if job.key is not None and not job.again})
    done: dict[str, int] = {}
    for row in _DONE.rows(connection, keys=again):
        done[row.key] = max(row.id, done.get(row.key, 0))
    seen: set[str] = set()
    for job in wanted:
        if job.key is None:
            continue
        if job.key in seen:
            raise BadRequest(f"{job.key} is asked for twice in one request")
        seen.add(job.key)
        if job.key in live:
            number = live[job.key]
            raise Refused(f"{job.key} is queued already, as job {number}: see labsched show {number}")
        if job.key in done and not job.again:
            raise Refused(f"{job.key} is done, by job {done[job.key]}: give --again to do it once more")


def _check_order(wanted: Sequence[Ready]) -> None:
    # Else an old job of that name would be taken for the one that is meant.
    last = {job.name: i for i, job in enumerate(wanted)}
    seen: set[str] = set()
    for i, job in enumerate(wanted):
        for name in job.after:
            if isinstance(name, str) and name not in seen and last.get(name, i) > i:
                raise BadRequest(f"{job.name} is to come after {name}, but {name} comes later in the request")
        seen.add(job.name)
