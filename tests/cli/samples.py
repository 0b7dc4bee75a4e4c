"""Messages as a daemon would send them, with nothing left to chance."""

from datetime import UTC, datetime, timedelta
from typing import Any

from labsched.core.states import Outcome, State
from labsched.wire.messages import Counts, JobRow, Pool, StageMark, Status

NOW = datetime(2026, 11, 22, 12, 31, tzinfo=UTC)
RUN, WAIT = (State.RUNNING, None), (State.WAITING, None)
DONE, FAILED = (State.ENDED, Outcome.SUCCEEDED), (State.ENDED, Outcome.FAILED)
SKIPPED, CANCELLED = (State.ENDED, Outcome.SKIPPED), (State.ENDED, Outcome.CANCELLED)


def ago(**of: float) -> datetime:
    return NOW - timedelta(**of)


def row(number: int, name: str, user: str, how: Any, stages: dict[str, Any], seconds: float, **more: Any) -> JobRow:
    state, outcome = how
    return JobRow(
        id=number,
        name=name,
        user=user,
        state=state,
        outcome=outcome,
        stages=tuple(StageMark(name=stage, state=s, outcome=o) for stage, (s, o) in stages.items()),
        submitted=ago(hours=3),
        seconds=seconds,
        **more,
    )


ROWS = (
    row(
        *(430, "rat12/2024-03-10", "user1", RUN, {"denoise": RUN, "klusta": WAIT}, 41 * 60),
        why="92 %, ~4m left, 10.8 GB",
        progress=0.92,
        left=245.0,
        memory=10_800_000_000,
    ),
    row(
        *(432, "rat12/2024-03-12", "user1", WAIT, {"denoise": WAIT, "klusta": WAIT}, 18 * 60),
        why="RAM full: next after 430 (~4m)",
    ),
    row(
        *(434, "python train.py --seed 1 --epochs 200 --out runs/1", "user2", WAIT, {"run": WAIT}, 9 * 60),
        why="pool GPU is paused",
    ),
    row(
        *(428, "rat09/2024-02-03", "user3", FAILED, {"denoise": DONE, "klusta": FAILED}, 72 * 60),
        why="klusta: .kwik already exists",
        ended=ago(hours=1),
    ),
)

POOLS = (
    Pool(name="RAM", slots=2, used=2, waiting=3),
    Pool(name="CPU", slots=8, used=1),
    Pool(name="GPU", slots=1, paused_by="user2", paused_at=ago(minutes=89)),
)

STATUS = Status(
    host="sorter01",
    version="0.1.0",
    now=NOW,
    uptime=(12 * 24 + 4) * 3600.0,
    revision=7,
    counts=Counts(running=3, waiting=5, failed_today=1),
    pools=POOLS,
    jobs=ROWS,
)
