"""Every change of a stage's state goes through `move` here, and leaves an event."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from labsched.core import states
from labsched.core.retry import Again
from labsched.core.states import Outcome, State
from labsched.store.find import live_job
from labsched.store.lines import refresh
from labsched.store.tables import dependencies, events, jobs, stages


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
    known = {key: value for key, value in (data or {}).items() if value is not None}
    values = {"kind": kind, "at": at, "job_id": job, "stage_id": stage, "user": user, "data": known}
    connection.execute(events.insert(), values)


def move(
    connection: sa.Connection,
    stage: sa.Row[Any],
    to: State,
    at: float,
    *,
    outcome: Outcome | None = None,
    reason: str | None = None,
    user: str | None = None,
    again: Again | None = None,
) -> None:
    """Move a stage (a whole row) along an arrow of the diagram, and do all that follows from it.

    A stage that succeeds lets those after it into their lines; one that ends otherwise skips them; one that goes back
    to wait takes those along that were skipped because of it alone. `again` says when a stage whose attempt has ended
    waits for another one; a stage that a person sends back forgets how often it was tried. Raises IllegalMove where
    the diagram has no such arrow.
    """
    steps = [(stage, outcome, reason)]
    touched: set[int] = set()
    while steps:
        row, outcome, reason = steps.pop()
        _step(connection, row, to, at, outcome, reason, user, again)
        if to is State.WAITING:
            touched.add(row.job_id)
            for follower in _following(connection, row.id):
                if follower.outcome == Outcome.SKIPPED and _may_come_back(connection, follower):
                    steps.append((follower, None, None))
                else:
                    touched.add(follower.job_id)
        elif to is State.ENDED:
            for follower in _following(connection, row.id):
                if outcome is Outcome.SUCCEEDED:
                    touched.add(follower.job_id)
                elif follower.state == State.WAITING:
                    what = row.name if follower.job_id == row.job_id else f"job {row.job_id}"
                    steps.append((follower, Outcome.SKIPPED, f"{what} did not succeed"))
    if touched:
        refresh(connection, touched)


def _step(
    connection: sa.Connection,
    stage: sa.Row[Any],
    to: State,
    at: float,
    outcome: Outcome | None,
    reason: str | None,
    user: str | None,
    again: Again | None,
) -> None:
    arrow = states.find(State(stage.state), to, outcome)
    values: dict[str, Any] = {"state": to, "outcome": outcome, "reason": reason, "line": None}
    values["ended_at"] = at if to is State.ENDED else None
    if to is State.ENDED:
        values["not_before"] = None
    if to in (State.ENDED, State.WAITING):
        values |= {"stop_at": None, "stop_by": None, "stop_reason": None}
    if to is State.WAITING and again is None:
        values |= {"not_before": None, "tries": 0, "delays": 0, "alone": False}
    elif again is not None:
        tries, delays = (stage.tries + 1, 0) if again.counts else (stage.tries, stage.delays + 1)
        values |= {"not_before": again.at, "tries": tries, "delays": delays, "alone": stage.alone or again.alone}
    connection.execute(stages.update().where(stages.c.id == stage.id).values(values))
    about = {"move": arrow, "reason": reason}
    record(connection, f"stage.{outcome or to}", at, job=stage.job_id, stage=stage.id, user=user, data=about)


def _may_come_back(connection: sa.Connection, stage: sa.Row[Any]) -> bool:
    """Whether a skipped stage may wait again: not for one that will not come, nor for what was queued anew since."""
    key = connection.execute(sa.select(jobs.c.key).where(jobs.c.id == stage.job_id)).scalar()
    return not unsuccessful_before(connection, stage.id) and not live_job(connection, key, but=stage.job_id)


def unsuccessful_before(connection: sa.Connection, stage_id: int) -> list[sa.Row[Any]]:
    """The stages right before this one that ended without success."""
    before = sa.select(dependencies.c.on_stage_id).where(dependencies.c.stage_id == stage_id)
    query = sa.select(stages).where(stages.c.id.in_(before), stages.c.outcome != Outcome.SUCCEEDED)
    return list(connection.execute(query.order_by(stages.c.id)))


def _following(connection: sa.Connection, stage_id: int) -> list[sa.Row[Any]]:
    after = sa.select(dependencies.c.stage_id).where(dependencies.c.on_stage_id == stage_id)
    return list(connection.execute(sa.select(stages).where(stages.c.id.in_(after)).order_by(stages.c.id)))
