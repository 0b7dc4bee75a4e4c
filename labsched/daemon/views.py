"""From what the store knows, and a look at what runs, to what people are shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET

from labsched.core import explain, states
from labsched.core.model import Snapshot, Waiting
from labsched.core.plan import Plan, plan
from labsched.core.states import OPEN, Outcome, State
from labsched.core.units import duration, size
from labsched.engines.base import Look
from labsched.recipes import results
from labsched.store import lines, read
from labsched.store.prepared import Row
from labsched.store.read import Records
from labsched.wire import messages as wire

Looker = Callable[[str], Look]
"""A look at an attempt, by its folder."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Some jobs and the plan's verdict on what waits, at one moment."""

    records: Records
    snapshot: Snapshot
    plan: Plan
    ahead: Mapping[int, int]  # by stage: how many of its line are older
    now: float
    unfenced: str | None = None  # why the kernel keeps no stage that starts within its memory


def scene(
    connection: sa.Connection,
    ids: Sequence[int],
    now: float,
    look: Looker,
    *,
    shares: Mapping[str, int] | None = None,
    whole: bool = True,
) -> Scene:
    """Gather a scene: these jobs, in this order; as much of them as `read.load` says. `shares` are the plan's."""
    records = read.load(connection, ids, whole=whole)
    snapshot = lines.snapshot(connection, shares)
    running = {row.stage_id: row for row in read.open_rows(connection)}
    holdings = tuple(
        replace(holding, expected_end=_expected_end(running[holding.stage], now, look))
        for holding in snapshot.holdings
        if holding.stage in running
    )
    snapshot = replace(snapshot, holdings=holdings)
    waiting = [(stage.line, stage.id) for rows in records.stages.values() for stage in rows if stage.line is not None]
    ahead = lines.ahead(connection, waiting)
    return Scene(records, snapshot, plan(snapshot, now), ahead, now)


def job_row(scene: Scene, job: Row, look: Looker) -> wire.JobRow:
    """A job as a line of a table. `look` is asked about what runs."""
    stages = scene.records.stages[job.id]
    state, outcome = _state(stages)
    current = _current(stages, state)
    attempts = scene.records.attempts.get(current.id, [])
    seen = look(attempts[-1].folder) if state in OPEN and attempts else Look()
    left = _left(attempts[-1], seen, scene.now) if attempts else None
    if state is State.WAITING:
        seconds = scene.now - max([job.submitted_at, *(s.ended_at for s in stages if s.ended_at)])
        why = why_waiting(scene, job, current)
    elif state is State.ENDED:
        seconds = sum(_length(row, scene.now) for s in stages for row in scene.records.attempts.get(s.id, [])[-1:])
        why = _why_ended(current, attempts, outcome)
    else:
        seconds = _length(attempts[-1], scene.now) if attempts else 0.0
        why = _why_running(job, current, seen, left)
    return wire.JobRow(
        id=job.id,
        name=job.name,
        user=job.user,
        state=state,
        outcome=outcome,
        held=job.held_by is not None and state is State.WAITING,
        stages=tuple(wire.StageMark(s.name, State(s.state), _outcome(s)) for s in stages),
        submitted=moment(job.submitted_at),
        ended=moment(max(s.ended_at for s in stages)) if state is State.ENDED else None,
        seconds=max(seconds, 0.0),
        why=why,
        progress=seen.progress,
        left=left,
        memory=seen.memory,
        report=_report(job, stages, outcome),
    )


def job(scene: Scene, row: Row, look: Looker, log: Callable[[str], str], env: dict[str, str], values: bool) -> wire.Job:
    """All of a job. `log` names the log of an attempt's folder; `env` is the job's, whose values show on demand."""
    stages = scene.records.stages[row.id]
    state, outcome = _state(stages)
    attempts = [a for s in stages for a in scene.records.attempts.get(s.id, [])]
    began = [a.started_at for a in attempts if a.started_at]
    return wire.Job(
        id=row.id,
        name=row.name,
        recipe=row.recipe,
        key=row.key,
        user=row.user,
        state=state,
        outcome=outcome,
        priority=row.priority,
        held_by=row.held_by,
        submitted=moment(row.submitted_at),
        started=moment(min(began)) if began else None,
        ended=moment(max(s.ended_at for s in stages)) if state is State.ENDED else None,
        after=tuple(sorted({b.job_id for s in stages for b in scene.records.after.get(s.id, [])})),
        report=_report(row, stages, outcome),
        stages=tuple(_stage(scene, row, s, look, log, {**env, **s.env}, values) for s in stages),
    )


def pools(connection: sa.Connection, snapshot: Snapshot) -> tuple[wire.Pool, ...]:
    """The pools, what is used of each and how many stages stand in line for it."""
    waiting = lines.waiting_by_pool(connection)
    used = dict.fromkeys(snapshot.pools, 0)
    for holding in snapshot.holdings:
        for name, n in holding.needs.items():
            used[name] = used.get(name, 0) + n
    return tuple(
        wire.Pool(
            name=row.name,
            slots=row.slots,
            used=used.get(row.name, 0),
            waiting=waiting.get(row.name, 0),
            paused_by=row.paused_by,
            paused_at=moment(row.paused_at) if row.paused_at else None,
        )
        for row in read.pool_rows(connection)
    )


def moment(seconds: float) -> datetime:
    """Seconds since the epoch as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def why_waiting(scene: Scene, job: Row, stage: Row) -> str:
    """What a waiting stage waits for."""
    if job.held_by is not None:
        return f"held by {job.held_by}: labsched release {job.id}"
    before = [b for b in scene.records.after.get(stage.id, []) if b.outcome != Outcome.SUCCEEDED]
    if before:
        return "after " + ", ".join(str(n) for n in sorted({b.job_id for b in before}))
    if stage.not_before is not None:
        left = duration(max(stage.not_before - scene.now, 0.0))
        if stage.tries == stage.delays == 0:
            return f"its time has not come, {left} are left: labsched release {job.id} has it start now"
        return f"{stage.reason or 'it did not succeed'}; again in {left}: labsched retry {job.id} does it at once"
    if stage.line is None:
        return "after the stage before it"
    needs = lines.taken(stage.needs, stage.alone, scene.snapshot.pools)
    waiting = Waiting(stage.id, job.id, job.user, needs, job.priority)
    return explain.why(scene.plan, waiting, scene.now, scene.ahead.get(stage.id, 0))


def _stage(
    scene: Scene, job: Row, stage: Row, look: Looker, log: Callable[[str], str], env: dict[str, str], values: bool
) -> wire.Stage:
    attempts = scene.records.attempts.get(stage.id, [])
    seen = look(attempts[-1].folder) if stage.state in OPEN and attempts else Look()
    return wire.Stage(
        name=stage.name,
        state=State(stage.state),
        outcome=_outcome(stage),
        reason=stage.reason,
        why=why_waiting(scene, job, stage) if stage.state == State.WAITING else seen.stuck,
        progress=seen.progress,
        note=seen.note or (attempts[-1].note if attempts else None),
        memory=seen.memory,
        needs=stage.needs,
        up_to=stage.up_to or {},
        argv=tuple(stage.argv),
        cwd=stage.cwd,
        env=tuple(sorted(env)),
        env_values=env if values else UNSET,
        outputs=tuple(stage.outputs),
        time_limit=stage.time_limit,
        memory_limit=stage.memory,
        unfenced=_unfenced(scene, stage, seen),
        retry=wire.Retry(**{**stage.retry, "codes": tuple(stage.retry["codes"])}) if stage.retry else None,
        not_before=moment(stage.not_before) if stage.not_before else None,
        attempts=tuple(
            wire.Attempt(
                number=a.number,
                outcome=Outcome(a.outcome) if a.outcome else None,
                reason=a.reason,
                started=moment(a.started_at) if a.started_at else None,
                ended=moment(a.ended_at) if a.ended_at else None,
                exit_code=a.exit_code,
                signal=a.signal,
                peak_memory=a.peak_memory,
                cpu_time=a.cpu_time,
                bytes_read=a.bytes_read,
                bytes_written=a.bytes_written,
                oom=bool(a.oom),
                note=a.note,
                pid=seen.pid if a.ended_at is None else None,
                slots=a.slots,
                log=log(a.folder),
            )
            for a in attempts
        ),
    )


def _report(job: Row, stages: Sequence[Row], outcome: Outcome | None) -> str | None:
    """The page to look at that a job has left, as its recipe says."""
    if outcome is not Outcome.SUCCEEDED:
        return None
    try:
        outputs = [path for s in stages for path in msgspec.json.decode(s.outputs_head, type=list[str])]
    except msgspec.DecodeError:  # thousands of letters of outputs: only their beginning is read
        return None
    return results.report(job.recipe, outputs)


def _unfenced(scene: Scene, stage: Row, seen: Look) -> str | None:
    if stage.memory is None or stage.state == State.ENDED:
        return None
    return seen.unfenced if stage.state == State.RUNNING else scene.unfenced


def _state(stages: Sequence[Row]) -> tuple[State, Outcome | None]:
    return states.job_state([(State(s.state), _outcome(s)) for s in stages])


def _outcome(stage: Row) -> Outcome | None:
    return Outcome(stage.outcome) if stage.outcome else None


def _current(stages: Sequence[Row], state: State) -> Row:
    """The stage that a job's line speaks of: the first that has not ended, that went wrong, or the last."""
    if state is State.ENDED:
        return next((s for s in stages if s.outcome != Outcome.SUCCEEDED), stages[-1])
    return next(s for s in stages if s.state == state)


def _why_running(job: Row, stage: Row, seen: Look, left: float | None) -> str:
    if stage.stop_at is not None:
        return f"stopping: {stage.stop_reason}"
    parts = [
        seen.stuck,
        None if seen.progress is None else f"{seen.progress:.0%}".replace("%", " %"),
        None if left is None else f"~{duration(left)} left",
        None if not seen.memory else size(seen.memory),
        seen.note,  # last, for it is long: it may be cut
        None if job.held_by is None else "held: no other stage of it starts",
    ]
    return ", ".join(part for part in parts if part)


def _why_ended(stage: Row, attempts: Sequence[Row], outcome: Outcome | None) -> str:
    if outcome is Outcome.SUCCEEDED:
        return (attempts[-1].note if attempts else None) or ""
    if outcome in (Outcome.CANCELLED, Outcome.SKIPPED):
        return stage.reason or ""
    return f"{stage.name}: {stage.reason or outcome}"


def _length(attempt: Row, now: float) -> float:
    return 0.0 if attempt.started_at is None else (attempt.ended_at or now) - attempt.started_at


def _left(attempt: Row, seen: Look, now: float) -> float | None:
    if attempt.started_at is None or not seen.progress or seen.progress < 0.02:
        return None
    return float((now - attempt.started_at) * (1 - seen.progress) / seen.progress)


def _expected_end(attempt: Any, now: float, look: Looker) -> float | None:
    left = _left(attempt, look(attempt.folder), now)
    return None if left is None else now + left
