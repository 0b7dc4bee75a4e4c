"""Attempts: opened before anything is started (intent), closed once it is known how they ended (record)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from labsched.core.model import Began, Ended, Fact, Limits, Needs, Retry, Returned, Snapshot
from labsched.core.plan import plan
from labsched.core.retry import verdict
from labsched.core.spare import Start
from labsched.core.states import Outcome, State
from labsched.store import followers, spare
from labsched.store.followers import Chain
from labsched.store.lines import HOLDS, all_pools, due, snapshot, taken
from labsched.store.moves import Step, move
from labsched.store.prepared import Prepared, Row, listed, numbers
from labsched.store.tables import attempts, environments, jobs, stages

_HOW = (
    "outcome",
    "reason",
    "note",
    "exit_code",
    "signal",
    "peak_memory",
    "cpu_time",
    "bytes_read",
    "bytes_written",
    "oom",
)
_OF_OTHERS = (environments.c.variables, jobs.c.uid, jobs.c.user, jobs.c.limits)
_OPEN = Prepared(
    sa.select(*(attempts.c[name] for name in ("number", "folder", "boot_id", "created_at", "slots")))
    .add_columns(attempts.c.id.label("attempt"), sa.case((~HOLDS, attempts.c.behind)).label("behind"))
    .add_columns(stages, *_OF_OTHERS)
    .join_from(attempts, stages)
    .join(jobs, jobs.c.id == stages.c.job_id)
    .join(environments)
    .where(attempts.c.ended_at.is_(None))
    .order_by(stages.c.id)
)
_STAGES = Prepared(
    sa.select(
        stages,
        *_OF_OTHERS,
        sa.select(sa.func.max(attempts.c.number))
        .where(attempts.c.stage_id == stages.c.id)
        .scalar_subquery()
        .label("tried"),
    )
    .join(jobs, jobs.c.id == stages.c.job_id)
    .join(environments)
    .where(stages.c.id.in_(listed()))
)
_NEW = Prepared(
    attempts.insert().values(
        stage_id=sa.bindparam("stage"),
        number=sa.bindparam("number"),
        folder=sa.bindparam("folder"),
        boot_id=sa.bindparam("boot"),
        behind=sa.bindparam("behind"),
        slots=sa.bindparam("slots", type_=sa.JSON(none_as_null=True)),
        created_at=sa.bindparam("now"),
    )
)
_LEARNED = Prepared(
    sa.select(attempts.c.id.label("attempt"), attempts.c.ended_at.label("attempt_ended"), stages)
    .join(stages, stages.c.id == attempts.c.stage_id)
    .where(attempts.c.id.in_(listed()))
)
_FORGET = Prepared(sa.delete(attempts).where(attempts.c.id == sa.bindparam("attempt")))
_BEGUN = Prepared(
    attempts.update().where(attempts.c.id == sa.bindparam("attempt")).values(started_at=sa.bindparam("at"))
)
_ENDED = Prepared(
    attempts.update()
    .where(attempts.c.id == sa.bindparam("attempt"))
    .values(
        {name: sa.bindparam(name) for name in ("ended_at", *_HOW)}
        | {"started_at": sa.func.coalesce(attempts.c.started_at, sa.bindparam("began"))}
    )
)

NOT_BEGUN = "it was to follow another one, and has not begun"


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
    opened: float
    behind: int | None  # the attempt that has the slots, which it is to follow
    state: State
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    said: tuple[str, ...]  # the variables of `env` that were asked for by name for this stage
    outputs: tuple[str, ...]
    slots: dict[str, int]  # that it holds
    time_limit: float | None
    memory: int | None  # bytes that it may have
    uid: int
    user: str
    limits: Limits | None  # of the process that submitted it
    stopping: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of a turn: the attempts to launch, and when the next stage waits only for its time to come."""

    opened: list[Open]
    next_at: float | None


def step(
    connection: sa.Connection,
    facts: Iterable[Fact],
    now: float,
    boot_id: str,
    drain: bool,
    shares: Mapping[str, int] | None = None,
) -> Turn:
    """One turn of the scheduler: record what happened, decide, write down what is to start.

    `shares`: the slots of a pool that one person may hold at a time.
    """
    quick = _learn(connection, list(facts))
    if drain:
        return Turn([], None)
    next_at = due(connection, now)
    seen = snapshot(connection, shares)
    starts = plan(seen, now).starts
    chains = [Chain([start.stage]) for start in starts]
    opened = _open(connection, chains, now, boot_id, seen)
    if quick:
        opened += _open(connection, followers.find(connection, seen, quick), now, boot_id, seen)
    return Turn(opened, next_at)


def open_attempts(connection: sa.Connection) -> list[Open]:
    """The attempts that have not ended, in the order of their stages."""
    known = all_pools(connection)
    return [
        _as_open(
            *(row, row.attempt, row.number, row.folder, row.boot_id, row.created_at, row.behind, State(row.state)),
            row.slots or taken(row.needs, row.alone, known),
        )
        for row in _OPEN.rows(connection)
    ]


def _as_open(
    stage: Row,
    attempt: int,
    number: int,
    folder: str,
    boot_id: str,
    opened: float,
    behind: int | None,
    state: State,
    slots: Needs,
) -> Open:
    return Open(
        id=attempt,
        stage=stage.id,
        job=stage.job_id,
        number=number,
        stage_name=stage.name,
        folder=folder,
        boot_id=boot_id,
        opened=opened,
        behind=behind,
        state=state,
        argv=tuple(stage.argv),
        cwd=stage.cwd,
        env={**stage.variables, **stage.env},
        said=tuple(stage.env),
        outputs=tuple(stage.outputs),
        slots=dict(slots),
        time_limit=stage.time_limit,
        memory=stage.memory,
        uid=stage.uid,
        user=stage.user,
        limits=stage.limits,
        stopping=stage.stop_at is not None,
    )


def _open(
    connection: sa.Connection,
    chains: Iterable[Chain],
    now: float,
    boot_id: str,
    seen: Snapshot,
) -> list[Open]:
    """Write down that these stages start; their attempts, in the order of the stages given."""
    chains = list(chains)
    ids = [stage for chain in chains for stage in chain.stages]
    if not ids:
        return []
    rows = {row.id: row for row in _STAGES.rows(connection, ids=numbers(ids))}
    more = _more(connection, seen, [rows[stage] for stage in ids])
    opened = []
    steps = []
    for chain in chains:
        behind, before = chain.attempt, chain.stage
        for row in map(rows.__getitem__, chain.stages):
            number = (row.tried or 0) + 1
            folder = f"{row.job_id}/{row.name}.{number}"
            slots = more.get(row.id)
            made = _NEW.run(
                connection,
                stage=row.id,
                number=number,
                folder=folder,
                boot=boot_id,
                now=now,
                behind=behind,
                slots=slots,
            )
            assert made.lastrowid is not None
            holds = slots or taken(row.needs, row.alone, seen.pools)
            opened.append(_as_open(row, made.lastrowid, number, folder, boot_id, now, behind, State.STARTING, holds))
            steps.append(Step(row, State.STARTING, now, behind=before, slots=slots))
            behind, before = made.lastrowid, row.id
    move(connection, steps)
    return opened


def _more(connection: sa.Connection, seen: Snapshot, rows: Sequence[Row]) -> dict[int, dict[str, int]]:
    """The slots of those of these stages that get more than they need."""
    starts = [Start(row.id, row.user, row.needs, row.up_to) for row in rows if row.up_to and not row.alone]
    if not starts:
        return {}
    return spare.given(connection, seen, [(row.user, taken(row.needs, row.alone, seen.pools)) for row in rows], starts)


def _learn(connection: sa.Connection, facts: list[Fact]) -> set[str]:
    """Write down what happened to attempts; returns the needs (`followers.needs_text`) of those that ended at once."""
    quick: set[str] = set()
    if not facts:
        return quick
    known = {row.attempt: row for row in _LEARNED.rows(connection, ids=numbers({fact.attempt for fact in facts}))}
    steps: list[Step] = []
    begun: list[dict[str, Any]] = []
    ended: dict[int, dict[str, Any]] = {}
    forgotten: list[dict[str, Any]] = []
    for fact in facts:
        stage = known[fact.attempt]
        if stage.attempt_ended is not None or fact.attempt in ended:
            continue  # told twice: by the shim's message and by its end
        if isinstance(fact, Returned):
            if stage.stop_at is None:
                steps.append(Step(stage, State.WAITING, fact.at, reason=NOT_BEGUN))
                if fact.barred:
                    ended[fact.attempt] = _end(Ended(fact.attempt, fact.at, Outcome.LOST, NOT_BEGUN))
                else:
                    forgotten.append({"attempt": fact.attempt})
                continue
            fact = Ended(fact.attempt, fact.at, Outcome.CANCELLED)
        at = fact.at if isinstance(fact, Began) else fact.began
        if at is not None and stage.state == State.STARTING:
            if isinstance(fact, Began):
                begun.append({"attempt": fact.attempt, "at": at})
            steps.append(Step(stage, State.RUNNING, at))
            known[fact.attempt] = stage = steps[-1].moved()
        if isinstance(fact, Ended):
            if followers.is_quick(fact):
                quick.add(followers.needs_text(stage.needs))
            true = _true(fact, stage)
            ended[fact.attempt] = _end(true)
            steps.append(_after(true, stage))
    _BEGUN.many(connection, begun)
    _ENDED.many(connection, list(ended.values()))
    _FORGET.many(connection, forgotten)
    move(connection, steps)
    return quick


def _true(fact: Ended, stage: Row) -> Ended:
    """What it means that it was told to stop."""
    if fact.outcome is not Outcome.CANCELLED:
        return fact
    if stage.stop_at is not None:
        return replace(fact, reason=stage.stop_reason)
    reason = "it was stopped from outside labsched, as when the machine shuts down"
    return replace(fact, outcome=Outcome.LOST, reason=reason)


def _end(fact: Ended) -> dict[str, Any]:
    return {
        "attempt": fact.attempt,
        "began": fact.began,
        "ended_at": fact.at,
        **{name: getattr(fact, name) for name in _HOW},
    }


def _after(fact: Ended, stage: Row) -> Step:
    """Where the stage goes: it has ended, or is tried again."""
    again = None
    if stage.stop_at is None and fact.outcome is not Outcome.SUCCEEDED:
        again = verdict(retry_policy(stage.retry), fact, stage.tries, stage.delays)
    if again:
        return Step(stage, State.WAITING, fact.at, reason=fact.reason, again=again)
    return Step(stage, State.ENDED, fact.at, fact.outcome, fact.reason, stage.stop_by)


def retry_policy(stored: Mapping[str, Any] | None) -> Retry | None:
    """A stage's policy, from its column."""
    return None if stored is None else Retry(**{**stored, "codes": tuple(stored["codes"])})
