"""What the daemon asks of an engine, and what it hears from one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from labsched.core.model import Fact, Limits


@dataclass(frozen=True, slots=True)
class Order:
    """An attempt to start: `folder` is its own, absolute; times in seconds."""

    attempt: int
    folder: str
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    outputs: tuple[str, ...]
    time_limit: float | None
    boot_id: str  # of the machine, when the attempt was opened
    opened: float  # when that was: another attempt may have had its folder, in a later state of the queue
    uid: int | None = None  # of the submitter
    user: str = ""  # the submitter's name, when it was submitted
    memory: int | None = None  # bytes that all of its processes may have together
    limits: Limits | None = None  # of the process that submitted it, where that is known
    behind: int | None = None  # the attempt in whose slots it follows: it starts right after that one, or not at all
    said: tuple[str, ...] = ()  # variables of `env` that were asked for by name: they go before the account's own


@dataclass(frozen=True, slots=True)
class Look:
    """A running attempt, at a glance. `memory`: bytes, of its whole process tree. `unfenced`: why the kernel does not
    keep it within its memory, where it should. `stuck`: why it cannot start yet."""

    progress: float | None = None
    note: str | None = None
    memory: int | None = None
    pid: int | None = None
    unfenced: str | None = None
    stuck: str | None = None


Tell = Callable[[Fact], None]


class Engine(Protocol):
    """A place where stages run. It tells what happens through the `Tell` it was made with.

    `trouble` says why nothing can be started at the moment, where that is so; it tries again by itself. `unfenced` says
    why the kernel does not keep stages within their memory, where it does not.
    """

    trouble: str | None

    @property
    def unfenced(self) -> str | None:
        """See above."""

    async def open(self) -> None:
        """Get ready."""

    def launch(self, order: Order) -> None:
        """Start an attempt, once: an attempt that was started before is found again instead."""

    def adopt(self, order: Order) -> None:
        """Find an attempt of an earlier daemon again: watch it, tell how it ended, or launch what never began."""

    def stop(self, attempt: int) -> None:
        """End all processes of an attempt, politely at first."""

    def configure(self, grace: float, nice: int, log_size: int | None) -> None:
        """Take other settings for the attempts that start from now on; see `local.Local`."""

    def look(self, folder: str, *, memory: bool = True) -> Look:
        """How a running attempt is doing."""

    async def close(self) -> None:
        """Let go. What runs goes on."""
