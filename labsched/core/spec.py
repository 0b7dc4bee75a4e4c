"""What is asked for: the nouns of a submit. Apart from `model`, which has them too: most commands need no others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Needs = Mapping[str, int]
"""Slots by pool: ``{"CPU": 4, "GPU": 1}``."""

Limits = Sequence[tuple[int, int]]
"""Resource limits, soft and hard, by their number (`getrlimit`); -1 for none."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Which failures are followed by another attempt: at most `times`, after `wait` seconds, doubled each time.

    `codes` are the exit codes that are worth it, 128 + n for the end by signal n; none: any failure but a time limit.
    With `alone`, one that the kernel killed for want of memory is tried again with all slots of its pools, so that
    nothing else takes memory beside it.
    """

    times: int
    wait: float = 10.0
    codes: tuple[int, ...] = ()
    alone: bool = True


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One command line and what it needs. `outputs` must exist after exit 0, relative to `cwd` or absolute.

    `up_to`: the slots that it can use, of pools that it needs: it gets what is spare when it starts (`core.spare`), and
    is told by LABSCHED_SLOTS_POOL how many it has.
    """

    name: str
    argv: tuple[str, ...]
    needs: dict[str, int]
    cwd: str
    outputs: tuple[str, ...] = ()
    time_limit: float | None = None  # seconds
    env: dict[str, str] = field(default_factory=dict)  # on top of the job's
    retry: Retry | None = None
    memory: int | None = None  # bytes that all of its processes may have together
    up_to: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a person asked for, with every recipe expanded: it never changes once it is queued.

    The stages run one after the other. `key` says what must not be queued twice at a time (a block); `after` are the
    numbers of jobs, or the names of jobs in the same request, that must succeed first; `not_before` is the time, in
    seconds since the epoch, until which its first stage waits at least.
    """

    name: str
    stages: tuple[StageSpec, ...]
    recipe: str = "command"
    key: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    after: tuple[int | str, ...] = ()
    priority: int = 0
    hold: bool = False
    again: bool = False
    not_before: float | None = None
