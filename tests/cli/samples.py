"""Messages as a daemon would send them, with nothing left to chance."""

from datetime import UTC, datetime, timedelta
from typing import Any

from labsched.core.states import Outcome, State
from labsched.wire.messages import Attempt, Counts, History, Job, JobRow, Pool, Pools, Stage, StageMark, Status

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

HISTORY = History(
    jobs=(
        ROWS[3],
        row(
            *(421, "猫/2024-01-05", "user1", DONE, {"denoise": DONE, "klusta": DONE}, 9 * 3600),
            ended=ago(days=2),
            why="11,702 spikes",
        ),
        row(*(420, "python", "user2", CANCELLED, {"run": CANCELLED}, 3), ended=ago(days=400), why="by user2: too slow"),
    ),
    more=True,
)

JOB = Job(
    id=428,
    name="rat09/2024-02-03",
    recipe="sort",
    key="block rat09/2024-02-03",
    user="user3",
    state=State.ENDED,
    outcome=Outcome.FAILED,
    priority=5,
    submitted=ago(hours=3),
    started=ago(hours=2, minutes=50),
    ended=ago(hours=1),
    after=(426, 427),
    stages=(
        Stage(
            name="denoise",
            state=State.ENDED,
            outcome=Outcome.SUCCEEDED,
            note="32 channels, 300 s",
            needs={"RAM": 1},
            argv=("python", "-m", "labsched.ephys", "denoise", "--source", "/data/mat/a b"),
            cwd="/",
            env=("HOME", "PATH"),
            outputs=("/data/phy/rat09/2024-02-03/2024-02-03.denoise.json",),
            attempts=(
                Attempt(
                    number=1,
                    outcome=Outcome.SUCCEEDED,
                    started=ago(hours=2, minutes=50),
                    ended=ago(hours=1, minutes=58),
                    exit_code=0,
                    peak_memory=10_800_000_000,
                    cpu_time=3000.5,
                    bytes_read=21_000_000_000,
                    bytes_written=10_500_000_000,
                    log="/state/attempts/901/log",
                ),
            ),
        ),
        Stage(
            name="klusta",
            state=State.ENDED,
            outcome=Outcome.FAILED,
            reason=".kwik already exists",
            needs={"CPU": 2},
            argv=("python", "-m", "labsched.ephys", "klusta"),
            cwd="/",
            env=("HOME", "PATH"),
            time_limit=86_400.0,
            memory_limit=12_000_000_000,
            unfenced="this machine has no cgroup for memory",
            attempts=(
                Attempt(
                    number=1,
                    outcome=Outcome.LOST,
                    reason="the machine was rebooted",
                    started=ago(hours=1, minutes=50),
                    ended=ago(hours=1, minutes=30),
                    signal="SIGKILL",
                    log="/state/attempts/902/log",
                ),
                Attempt(
                    number=2,
                    outcome=Outcome.FAILED,
                    reason=".kwik already exists",
                    started=ago(hours=1, minutes=1),
                    ended=ago(hours=1),
                    exit_code=1,
                    log="/state/attempts/903/log",
                ),
            ),
        ),
    ),
)

SAID = Pools(pools=POOLS)
