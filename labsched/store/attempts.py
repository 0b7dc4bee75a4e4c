"""Attempts: opened before anything is started (intent), closed once it is known how they ended (record)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from labsched.core.model import Began, Fact, Retry
from labsched.core.plan import plan
from labsched.core.retry import verdict
from labsched.core.states import Outcome, State
from labsched.store.lines import all_pools, due, snapshot, taken
from labsched.store.moves import move
from labsched.store.tables import attempts, environments, jobs, stages


@dataclass(frozen=True, slots=True)
class Open:
    """An attempt that has not ended, and all that is needed to start it or to find it again."""

    id: int
    stage: int
    job: int
    number: int
    stage_name: str
    folder: str
    boot_id: str
    state: State
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    said: tuple[str, ...]  # the variables of `env` that were asked for by name for this stage
    outputs: tuple[str, ...]
    needs: dict[str, int]
    time_limit: float | None
    uid: int
    user: str
    stopping: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of a turn: the attempts to launch, and when the next stage waits only for its time to come."""

    opened: list[Open]
    next_at: float | None


def step(connection: sa.Connection, facts: Iterable[Fact], now: float, boot_id: str, drain: bool) -> Turn:
    """One turn of the scheduler: record what happened, decide, write down what is to start."""
    for fact in facts:
        _learn(connection, fact)
    if drain:
        return Turn([], None)
    next_at = due(connection, now)
    starts = plan(snapshot(connection), now).starts
    return Turn(open_attempts(connection, [_open(connection, start.stage, now, boot_id) for start in starts]), next_at)


def open_attempts(connection: sa.Connection, ids: Iterable[int] | None = None) -> list[Open]:
    """The attempts that have not ended, or these of them, the oldest first."""
    query = (
        sa.select(
            attempts.c.id,
            attempts.c.stage_id,
            attempts.c.number,
            attempts.c.folder,
            attempts.c.boot_id,
            *(
                stages.c[name]
                for name in ("job_id", "name", "state", "argv", "cwd", "env", "outputs", "needs", "alone")
            ),
            stages.c.time_limit,
            stages.c.stop_at,
            environments.c.variables,
            jobs.c.uid,
            jobs.c.user,
        )
        .join_from(attempts, stages)
        .join(jobs, jobs.c.id == stages.c.job_id)
        .join(environments)
        .where(attempts.c.ended_at.is_(None))
        .order_by(attempts.c.id)
    )
    if ids is not None:
        query = query.where(attempts.c.id.in_(list(ids)))
    known = all_pools(connection)
    return [
        Open(
            id=row.id,
            stage=row.stage_id,
            job=row.job_id,
            number=row.number,
            stage_name=row.name,
            folder=row.folder,
            boot_id=row.boot_id,
            state=State(row.state),
            argv=tuple(row.argv),
            cwd=row.cwd,
            env={**row.variables, **row.env},
            said=tuple(row.env),
            outputs=tuple(row.outputs),
            needs=taken(row.needs, row.alone, known),
            time_limit=row.time_limit,
            uid=row.uid,
            user=row.user,
            stopping=row.stop_at is not None,
        )
        for row in connection.execute(query)
    ]


def _open(connection: sa.Connection, stage_id: int, now: float, boot_id: str) -> int:
    stage = connection.execute(sa.select(stages).where(stages.c.id == stage_id)).one()
    last = connection.execute(sa.select(sa.func.max(attempts.c.number)).where(attempts.c.stage_id == stage_id)).scalar()
    number = (last or 0) + 1
    move(connection, stage, State.STARTING, now)
    result = connection.execute(
        attempts.insert(),
        {
            "stage_id": stage_id,
            "number": number,
            "folder": f"{stage.job_id}/{stage.name}.{number}",
            "boot_id": boot_id,
            "created_at": now,
        },
    )
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


def _learn(connection: sa.Connection, fact: Fact) -> None:
    attempt = connection.execute(sa.select(attempts).where(attempts.c.id == fact.attempt)).one()
    if attempt.ended_at is not None:
        return  # told twice: by the shim's message and by its end
    stage = connection.execute(sa.select(stages).where(stages.c.id == attempt.stage_id)).one()
    if isinstance(fact, Began):
        _began(connection, attempt.id, stage, fact.at)
        return
    if fact.began is not None:
        _began(connection, attempt.id, stage, fact.began)
        stage = connection.execute(sa.select(stages).where(stages.c.id == attempt.stage_id)).one()
    outcome, reason = fact.outcome, fact.reason
    if outcome is Outcome.CANCELLED and stage.stop_at is not None:
        reason = stage.stop_reason
    elif outcome is Outcome.CANCELLED:
        outcome, reason = Outcome.LOST, "it was stopped from outside labsched, as when the machine shuts down"
    values = {
        "ended_at": fact.at,
        "outcome": outcome,
        "reason": reason,
        "note": fact.note,
        "exit_code": fact.exit_code,
        "signal": fact.signal,
        "peak_memory": fact.peak_memory,
        "cpu_time": fact.cpu_time,
        "oom": fact.oom,
    }
    connection.execute(attempts.update().where(attempts.c.id == attempt.id).values(values))
    asked = stage.stop_at is not None
    policy = retry_policy(stage.retry)
    if not asked and (again := verdict(policy, replace(fact, outcome=outcome), stage.tries, stage.delays)):
        move(connection, stage, State.WAITING, fact.at, reason=reason, again=again)
        return
    move(connection, stage, State.ENDED, fact.at, outcome=outcome, reason=reason, user=stage.stop_by)


def retry_policy(stored: Mapping[str, Any] | None) -> Retry | None:
    """A stage's policy, from its column."""
    return None if stored is None else Retry(**{**stored, "codes": tuple(stored["codes"])})


def _began(connection: sa.Connection, attempt_id: int, stage: sa.Row[Any], at: float) -> None:
    if stage.state != State.STARTING:
        return
    connection.execute(attempts.update().where(attempts.c.id == attempt_id).values(started_at=at))
    move(connection, stage, State.RUNNING, at)
