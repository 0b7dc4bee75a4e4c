"""Every change of a stage's state goes through `move` here, and leaves an event."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from labsched.core import states
from labsched.core.retry import Again
from labsched.core.states import Outcome, State
from labsched.store.find import live_job
from labsched.store.lines import refresh
from labsched.store.prepared import Prepared, Row, listed, numbers
from labsched.store.tables import dependencies, events, jobs, stages

_MOVED = (
    *("state", "outcome", "reason", "ended_at", "not_before"),
    *("stop_at", "stop_by", "stop_reason", "tries", "delays", "alone"),
)
_RECORD = Prepared(events.insert().values({c.name: sa.bindparam(c.name) for c in events.c if c.name != "id"}))
_WRITE = Prepared(
    stages.update()
    .where(stages.c.id == sa.bindparam("stage"))
    .values({"line": None, **{name: sa.bindparam(name) for name in _MOVED}})
)
_FOLLOWING = Prepared(
    sa.select(dependencies.c.on_stage_id, stages)
    .join(stages, stages.c.id == dependencies.c.stage_id)
    .where(dependencies.c.on_stage_id.in_(listed()))
    .order_by(stages.c.id)
)
_UNSUCCESSFUL = Prepared(
    sa.select(stages)
    .join(dependencies, dependencies.c.on_stage_id == stages.c.id)
    .where(dependencies.c.stage_id == sa.bindparam("stage"), stages.c.outcome != Outcome.SUCCEEDED)
    .order_by(stages.c.id)
)
_OF_JOB = stages.c.job_id == jobs.c.id
_IN_FULL = sa.func.count() == sa.func.count(stages.c.ended_at)
_OWN = sa.select(stages.c.outcome).where(
    _OF_JOB, stages.c.outcome != Outcome.SUCCEEDED, stages.c.outcome != Outcome.SKIPPED
)
_SKIPPED = sa.select(stages.c.outcome).where(_OF_JOB, stages.c.outcome == Outcome.SKIPPED)
_END = sa.select(sa.case((_IN_FULL, sa.func.max(stages.c.ended_at)))).where(_OF_JOB).scalar_subquery()
# The same as `core.states.job_state`; tests hold the two against each other.
_HOW = sa.func.coalesce(
    _OWN.order_by(stages.c.position).limit(1).scalar_subquery(), _SKIPPED.limit(1).scalar_subquery(), Outcome.SUCCEEDED
)
_SETTLE = Prepared(
    jobs.update().values(ended_at=_END, outcome=sa.case((_END.is_not(None), _HOW))).where(jobs.c.id.in_(listed()))
)
_KEY = Prepared(sa.select(jobs.c.key).where(jobs.c.id == sa.bindparam("job")))


@dataclass(frozen=True, slots=True)
class Step:
    """A stage (a whole row) goes along an arrow of the diagram.

    `again` says when a stage whose attempt has ended waits for another one; a stage that a person sends back forgets
    how often it was tried.
    """

    stage: Row
    to: State
    at: float
    outcome: Outcome | None = None
    reason: str | None = None
    user: str | None = None
    again: Again | None = None
    behind: int | None = None  # the stage that it is to follow
    slots: Mapping[str, int] | None = None  # that it holds, where these are more than it needs

    def moved(self) -> Row:
        """The row as it is then."""
        values: dict[str, Any] = {"state": self.to, "outcome": self.outcome, "reason": self.reason, "line": None}
        values["ended_at"] = self.at if self.to is State.ENDED else None
        if self.to is State.ENDED:
            values["not_before"] = None
        if self.to in (State.ENDED, State.WAITING):
            values |= {"stop_at": None, "stop_by": None, "stop_reason": None}
        again, stage = self.again, self.stage
        if again is not None:
            tries, delays = (stage.tries + 1, 0) if again.counts else (stage.tries, stage.delays + 1)
            values |= {"not_before": again.at, "tries": tries, "delays": delays, "alone": stage.alone or again.alone}
        elif self.to is State.WAITING:
            values |= {"not_before": None, "tries": 0, "delays": 0, "alone": False}
        return stage._replace(**values)

    def values(self) -> dict[str, Any]:
        """What is written down of it."""
        row = self.moved()
        return {"stage": row.id, **{name: getattr(row, name) for name in _MOVED}}

    def event(self) -> dict[str, Any]:
        """What is told of it. Raises IllegalMove where the diagram has no such arrow."""
        arrow = states.find(State(self.stage.state), self.to, self.outcome)
        return _event(
            f"stage.{self.outcome or self.to}",
            self.at,
            job=self.stage.job_id,
            stage=self.stage.id,
            user=self.user,
            data={"move": arrow, "reason": self.reason, "behind": self.behind, "slots": self.slots},
        )


def record(
    connection: sa.Connection,
    kind: str,
    at: float,
    *,
    job: int | None = None,
    stage: int | None = None,
    user: str | None = None,
    data: Mapping[str, object | None] | None = None,
) -> None:
    """Append an event: the audit trail, and what those who watch are told. What is None in `data` is left out."""
    record_all(connection, [(kind, job, {"at": at, "stage": stage, "user": user, "data": data})])


def record_all(connection: sa.Connection, what: Iterable[tuple[str, int | None, Mapping[str, Any]]]) -> None:
    """Append events: of each the kind, the number of the job, and the other arguments of `record`."""
    _RECORD.many(connection, [_event(kind, job=job, **more) for kind, job, more in what])


def _event(
    kind: str,
    at: float,
    *,
    job: int | None = None,
    stage: int | None = None,
    user: str | None = None,
    data: Mapping[str, object | None] | None = None,
) -> dict[str, Any]:
    known = {key: value for key, value in (data or {}).items() if value is not None}
    return {"kind": kind, "at": at, "job_id": job, "stage_id": stage, "user": user, "data": known}


def move(connection: sa.Connection, steps: Sequence[Step]) -> None:
    """Make these moves, in order, and do all that follows from them.

    A stage that succeeds lets those after it into their lines; one that ends otherwise skips them; one that goes back
    to wait takes those along that were skipped because of it alone. Raises IllegalMove where the diagram has no such
    arrow.
    """
    touched: set[int] = set()
    unsettled: set[int] = set()
    while steps:
        unsettled |= {step.stage.job_id for step in steps if State.ENDED in (step.to, step.stage.state)}
        _RECORD.many(connection, [step.event() for step in steps])
        last = {step.stage.id: step for step in steps}
        _WRITE.many(connection, [step.values() for step in last.values()])
        steps = _what_follows(connection, last, touched)
    if unsettled:
        _SETTLE.run(connection, ids=numbers(unsettled))
    if touched:
        refresh(connection, touched)


def _what_follows(connection: sa.Connection, made: Mapping[int, Step], touched: set[int]) -> list[Step]:
    """The moves of the stages that come after these; adds the jobs whose stages may have come into a line."""
    far = {stage: one for stage, one in made.items() if one.to in (State.ENDED, State.WAITING)}
    touched |= {one.stage.job_id for one in far.values() if one.to is State.WAITING}
    following: dict[int, Step] = {}
    for found in _FOLLOWING.rows(connection, ids=numbers(far)) if far else ():
        before = far[found.on_stage_id]
        back = before.to is State.WAITING
        if back and found.outcome == Outcome.SKIPPED and _may_come_back(connection, found):
            following[found.id] = Step(found, State.WAITING, before.at, user=before.user)
        elif back or before.outcome is Outcome.SUCCEEDED:
            touched.add(found.job_id)
        elif found.state == State.WAITING and found.id not in following:
            what = before.stage.name if found.job_id == before.stage.job_id else f"job {before.stage.job_id}"
            why = f"{what} did not succeed"
            following[found.id] = Step(found, State.ENDED, before.at, Outcome.SKIPPED, why, before.user)
    return list(following.values())


def _may_come_back(connection: sa.Connection, stage: Row) -> bool:
    """Whether a skipped stage may wait again: not for one that will not come, nor for what was queued anew since."""
    key = _KEY.scalar(connection, job=stage.job_id)
    return not unsuccessful_before(connection, stage.id) and not live_job(connection, key, but=stage.job_id)


def unsuccessful_before(connection: sa.Connection, stage_id: int) -> list[Row]:
    """The stages right before this one that ended without success."""
    return _UNSUCCESSFUL.rows(connection, stage=stage_id)
