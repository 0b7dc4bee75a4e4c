"""What must stay flat, looked at again and again, and the bounds that it has to keep."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from benchmarks.scheduler.ours import Queue

MB = 1e6


@dataclass(frozen=True)
class Look:
    """At one moment: MB, and numbers of."""

    daemon: float  # memory, PSS
    helpers: float
    descriptors: int  # of the daemon and its helpers
    processes: int  # below the daemon
    threads: int
    database: float
    wal: float
    folders: int  # of attempts
    disk: float  # the whole state folder


@dataclass(frozen=True)
class Bound:
    """How much more the last third of the looks may show, at most, than the first third: times, and plus."""

    what: str
    times: float
    plus: float
    most: float = float("inf")  # that any look may show


BOUNDS = (
    Bound("daemon", 1.10, 3.0),
    Bound("helpers", 1.10, 2.0),
    Bound("descriptors", 1.0, 16),
    Bound("processes", 1.0, 12),
    Bound("threads", 1.0, 4),
    Bound("database", 1.25, 2.0),
    Bound("wal", 1.5, 4.0, most=64.0),
    Bound("folders", 1.5, 200),
    Bound("disk", 1.5, 10.0),
)


def look(it: Queue) -> Look:
    """As it is now."""
    daemon = psutil.Process(it.process.pid)
    helpers = daemon.children()
    below = daemon.children(recursive=True)
    attempts = it.state / "attempts"
    return Look(
        daemon=daemon.memory_full_info().pss / MB,
        helpers=sum(map(_pss, helpers)) / MB,
        descriptors=sum(map(_descriptors, (daemon, *helpers))),
        processes=len(below),
        threads=daemon.num_threads(),
        database=_size(it.database) / MB,
        wal=_size(it.database.with_name("queue.db-wal")) / MB,
        folders=len(list(attempts.iterdir())) if attempts.is_dir() else 0,
        disk=sum(_size(Path(folder) / name) for folder, _, names in os.walk(it.state) for name in names) / MB,
    )


def broken(looks: Sequence[Look]) -> list[str]:
    """The bounds that were not kept, in words."""
    third = max(len(looks) // 3, 1)
    found = []
    for bound in BOUNDS:
        values = [float(getattr(one, bound.what)) for one in looks]
        # The highest of each third: what goes up and down has to come down as far, and go up no further.
        first, last = max(values[:third]), max(values[-third:])
        if last > bound.times * first + bound.plus:
            found.append(f"{bound.what} grew from {first:.1f} to {last:.1f}")
        if max(values) > bound.most:
            found.append(f"{bound.what} was {max(values):.1f}, more than {bound.most:.0f}")
    return found


def head() -> tuple[str, ...]:
    """The names of what is looked at."""
    return tuple(field.name for field in fields(Look))


def cells(one: Look) -> tuple[str, ...]:
    """A look as text."""
    return tuple(f"{value:.1f}" if isinstance(value, float) else str(value) for value in vars(one).values())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # it was pruned in between
        return 0


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def _descriptors(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except psutil.Error:
        return 0
