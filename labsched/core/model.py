"""The nouns. Frozen, typed, and free of anything that could change under the one who holds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labsched.core.spec import JobSpec, Limits, Needs, Retry, StageSpec
from labsched.core.states import Outcome

__all__ = [
    "Began",
    "Ended",
    "Fact",
    "Holding",
    "JobSpec",
    "Limits",
    "Needs",
    "Pool",
    "Retry",
    "Returned",
    "Snapshot",
    "StageSpec",
    "Waiting",
]


@dataclass(frozen=True, slots=True)
class Pool:
    """A named number of slots. A paused pool finishes what it runs and starts nothing."""

    name: str
    slots: int
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """An open attempt: the slots that it holds, and when it may give them back (seconds since the epoch)."""

    stage: int
    job: int
    user: str
    needs: Needs
    expected_end: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stage that may start as soon as there is room: not held, nothing before it that has not succeeded."""

    stage: int
    job: int
    user: str
    needs: Needs
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the plan may look at.

    `waiting` may leave out stages that stand behind others that need, rank and own the same; but of those that do not
    fit it has to show the first, or the plan could not keep room for it.
    """

    pools: Mapping[str, Pool]
    holdings: tuple[Holding, ...]
    waiting: tuple[Waiting, ...]
    shares: Mapping[str, int] = field(default_factory=dict)  # slots by pool that one person may hold at a time


@dataclass(frozen=True, slots=True)
class Began:
    """Something that happened: the command of an attempt runs since `at`."""

    attempt: int
    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """Something that happened: an attempt ended, and how. Memory, read and written in bytes, processor time in seconds.

    The outcome `cancelled` means that it was told to stop; whether a person wanted that, the store knows.
    """

    attempt: int
    at: float
    outcome: Outcome
    reason: str | None = None
    note: str | None = None
    began: float | None = None
    exit_code: int | None = None
    signal: str | None = None
    peak_memory: int | None = None
    cpu_time: float | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    followed: bool = False  # others were behind it, and one of them has its slots now: no hurry
    oom: bool = False  # it, or one of its processes, was killed for want of memory, or for taking more than its limit


@dataclass(frozen=True, slots=True)
class Returned:
    """An attempt that was to follow another one (`store.followers`) has not begun, and will not: its stage waits again.

    `barred`: what is in its folder says so, so nobody can have it again.
    """

    attempt: int
    at: float
    barred: bool = False


Fact = Began | Ended | Returned
