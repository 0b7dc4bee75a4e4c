"""Sending an attempt's log, and following it, and those after it, as they grow."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import sqlalchemy as sa

from labsched.core.states import OPEN, Outcome, State
from labsched.daemon.bus import Bus
from labsched.engines import rundir
from labsched.errors import NotFound, Refused
from labsched.store import read
from labsched.store.engine import Store
from labsched.store.find import stages_of
from labsched.store.prepared import Row

if TYPE_CHECKING:
    from asyncinotify import Inotify

BLOCK = 65_536
FARTHEST = 16 * 1024**2
ASK_AGAIN_S = 60.0
LOOK_AGAIN_S = 0.5  # where the kernel has no more inotify instances for us


@dataclass(frozen=True, slots=True)
class Start:
    """The attempt whose log is meant. `row` is None where it is still to come."""

    job: int
    stage: str
    number: int
    row: Row | None


def choose(connection: sa.Connection, job: Row, stage: str | None, number: int | None, follow: bool) -> Start:
    """The attempt that is meant: of that stage, else of the one that runs, went wrong, or was the last to run.

    Raises NotFound where there is no such stage or attempt, Refused where none has begun and nobody wants to `follow`.
    """
    stages = stages_of(connection, job.id)
    if stage is not None and stage not in [row.name for row in stages]:
        raise NotFound(f"job {job.id} has no stage {stage!r}; it has {', '.join(row.name for row in stages)}")
    attempts = read.load(connection, [job.id]).attempts
    ran = [row for row in stages if attempts.get(row.id) and stage in (None, row.name)]
    telling = [row for row in ran if row.state in OPEN or row.outcome not in (None, Outcome.SUCCEEDED)]
    chosen = next(iter(telling or ran[-1:]), None)
    found = [row for row in attempts.get(chosen.id, []) if number in (None, row.number)] if chosen is not None else []
    if chosen is not None and found:
        return Start(job.id, chosen.name, found[-1].number, found[-1])
    if number is not None and not (follow and number == 1):
        raise NotFound(f"job {job.id} has no attempt {number} of that stage")
    if not follow:
        raise Refused(f"job {job.id} has not started, so it has no log yet: labsched show {job.id} says why")
    return Start(job.id, stage or stages[0].name, 1, None)


class Follower:
    """Follows the logs of jobs: those in the attempts' folder `folder`."""

    def __init__(self, store: Store, bus: Bus, folder: Path) -> None:
        self.store = store
        self.bus = bus
        self.folder = folder

    def folder_of(self, attempt: Row) -> str:
        """An attempt's folder."""
        return str(self.folder / attempt.folder)

    async def pieces(self, start: Start, offset: int) -> AsyncIterator[bytes]:
        """All from byte `offset` of that log on, and all that it and the logs after it are still to get.

        An offset beyond the end of a log that is complete goes on in the next one: a reader needs to count nothing but
        bytes. Ends when the job has ended.
        """
        attempt = await self._next(start.job, start.row.id - 1 if start.row else 0, None if start.row else start.stage)
        while attempt is not None:
            folder, size = self.folder_of(attempt), 0
            ended = asyncio.Event()
            watch = asyncio.create_task(self._until_ended(attempt.id, ended))
            try:
                # It failed before there was one; or a program of its owner has a lease on it, which nobody waits for.
                with contextlib.suppress(FileNotFoundError, BlockingIOError):
                    async for piece in pieces(folder, offset, ended):
                        yield piece
                    size = os.stat(os.path.join(folder, rundir.LOG)).st_size  # noqa: PTH116, PTH118
                await watch
            finally:
                watch.cancel()
            offset = max(offset - size, 0)
            attempt = await self._next(start.job, attempt.id, None)

    async def _until_ended(self, attempt: int, ended: asyncio.Event) -> None:
        while True:
            revision = self.bus.revision
            if all(row.id != attempt for row in await self.store.read(read.open_rows)):
                ended.set()
                return
            await self.bus.wait(revision, ASK_AGAIN_S)

    async def _next(self, job: int, after: int, stage: str | None) -> Row | None:
        """The first attempt (at that stage) with a higher number, once it has begun; None if the job ends without."""

        def look(connection: sa.Connection) -> tuple[Row | None, bool]:
            records = read.load(connection, [job])
            stages = records.stages[job]
            rows = [row for s in stages if stage in (None, s.name) for row in records.attempts.get(s.id, [])]
            begun = [row for row in rows if row.id > after and (row.started_at or row.ended_at)]
            return min(begun, key=lambda row: row.id, default=None), all(s.state == State.ENDED for s in stages)

        while True:
            revision = self.bus.revision
            attempt, ended = await self.store.read(look)
            if attempt is not None or ended:
                return attempt
            await self.bus.wait(revision, ASK_AGAIN_S)


def tail_start(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` lines of a file begin, in bytes, without reading what comes before them.

    It looks at the last `FARTHEST` bytes at most: whoever writes a log decides how long its lines are.
    """
    end = position = file.seek(0, 2)
    if lines <= 0 or position == 0:
        return position
    file.seek(position - 1)
    missing = lines + (file.read(1) == b"\n")  # a newline at the end closes a line, it does not begin one
    first = max(end - FARTHEST, 0)
    while position > first:
        step = min(BLOCK, position - first)
        position -= step
        file.seek(position)
        block = file.read(step)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            missing -= 1
            if missing == 0:
                return position + at + 1
    return first


async def pieces(folder: str, start: int, ended: asyncio.Event) -> AsyncIterator[bytes]:
    """An attempt's log from `start` on, and what is still to be written to it, until `ended` is set."""
    from asyncinotify import Inotify, Mask  # a megabyte, for those who follow

    with rundir.open_log(folder) as file, contextlib.ExitStack() as stack:
        file.seek(start)
        while block := file.read(BLOCK):
            yield block
        inotify: Inotify | None = None
        with contextlib.suppress(OSError):  # the kernel gives one user so many, 128 by default
            inotify = stack.enter_context(Inotify())
            inotify.add_watch(Path(folder) / rundir.LOG, Mask.MODIFY)
        while True:
            done = ended.is_set()
            while block := file.read(BLOCK):
                yield block
            if done:
                return
            await _either(inotify, ended)


async def _either(inotify: "Inotify | None", ended: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(ended.wait())]
    if inotify is not None:
        waits.append(asyncio.ensure_future(inotify.get()))  # type: ignore[arg-type]
    try:
        await asyncio.wait(
            waits, timeout=None if inotify is not None else LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
