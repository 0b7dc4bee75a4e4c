"""Folders of attempts that a restored queue does not know: which these are, and where they go."""

import contextlib
import os
import re
import signal
import time
from array import array
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labsched.core.model import Ended
from labsched.daemon.alone import give
from labsched.engines import ends, rundir
from labsched.engines.base import Order
from labsched.errors import TryLater

PATIENCE_S = 60.0  # for what is told to end
LOOK_S = 0.05
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Found:
    """An attempt's folder."""

    job: int
    stage: str
    number: int
    path: Path

    @property
    def name(self) -> str:
        """As the queue calls it."""
        return f"{self.job}/{self.path.name}"

    @property
    def live(self) -> bool:
        """Whether its shim lives."""
        return rundir.holder(str(self.path)) != 0

    def how(self) -> str:
        """How it ended, or that it runs, in words."""
        if self.live:
            return "runs"
        said = rundir.record(str(self.path))
        if said.ended is None:
            return "nobody knows how it ended" if said.begun is not None else "it never began"
        order = Order(0, str(self.path), (), "/", {}, (), None, "", 0.0)
        fact: Ended = ends.fact(order, said.ended)
        return f"{fact.outcome}" + (f": {fact.reason}" if fact.reason else "")


def jobs(attempts: Path) -> "array[int]":
    """The jobs that have a folder, in order."""
    with os.scandir(attempts) as entries:
        return array("q", sorted(int(entry.name) for entry in entries if _NUMBER.fullmatch(entry.name)))


def folders(attempts: Path, of: Iterable[int] | None = None) -> Iterator[Found]:
    """The attempts (of these jobs) that have a folder, by job."""
    if of is None:
        of = jobs(attempts) if attempts.is_dir() else ()
    for job in of:
        try:
            paths = sorted((attempts / str(job)).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        for path in paths:
            stage, dot, number = path.name.rpartition(".")
            if dot and number.isdecimal() and path.is_dir() and not path.is_symlink():
                yield Found(job, stage, int(number), path)


def strangers(attempts: Path, known: Container[str]) -> list[Found]:
    """Those whose names a queue does not know."""
    return [found for found in folders(attempts) if found.name not in known]


def end(running: list[Found]) -> None:
    """End what runs in these folders, as a cancel does; raises TryLater where it does not end."""
    deadline = time.monotonic() + PATIENCE_S
    for found in running:
        _signal(found)
    while left := [found for found in running if found.live]:
        if time.monotonic() > deadline:
            named = ", ".join(found.name for found in left)
            raise TryLater(f"{named} is asked to stop, but has not yet: try again later")
        time.sleep(LOOK_S)


def _signal(found: Found) -> None:
    pid = rundir.holder(str(found.path))
    try:
        pidfd = os.pidfd_open(pid) if pid else -1
    except ProcessLookupError:
        return
    if pidfd < 0:
        return
    try:
        if rundir.holder(str(found.path)) == pid:  # else it may be a stranger's
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def move(found: list[Found], to: Path, state: Path) -> None:
    """Move these folders into `to`, a folder of the state folder, under the same names."""
    mode = state.stat().st_mode & 0o777  # whoever could reach a log still can
    for one in found:
        target = to / str(one.job)
        for folder in (to.parent, to, target):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                give(folder, state)
                folder.chmod(mode)
        one.path.rename(target / one.path.name)
        with contextlib.suppress(OSError):  # there are others
            one.path.parent.rmdir()
