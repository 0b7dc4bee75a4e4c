"""One run of a prune: what is to go goes, few at a time, so that nobody waits for it.

A job's folders go first, then its rows: whatever happens in between, it is still there to be removed the next time.
A dry run walks the same way, and so says what a prune would then do.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import closing, suppress

import msgspec
import sqlalchemy as sa

from labsched.daemon.desk import Desk
from labsched.engines import remove
from labsched.store import backup, prune
from labsched.store.prune import Old, Place
from labsched.wire import requests
from labsched.wire.messages import Pruned

LOOKED_AT = 500  # jobs at a time, in the thread that reads
TOGETHER = (10, 500)  # jobs in one transaction, at least and at most
HELD_S = 0.015  # that one transaction should take
PAGES = 500  # of the file that are given back in one transaction
TELL_S = 0.5  # between two lines of the answer
ERRORS = 20  # that are told


class Pruner:
    """One run. `uid`: only this user's jobs."""

    def __init__(self, desk: Desk, wanted: requests.Prune, uid: int | None) -> None:
        self.desk = desk
        self.wanted = wanted
        self.uid = uid
        self.attempts = desk.loop.folder
        self.so_far = Pruned(dry_run=wanted.dry_run)
        self.over: int | None = None  # bytes that still have to go, where the logs' size decides
        self.gone = prune.Gone()
        self.together = TOGETHER[0]
        self._told = time.monotonic()

    async def go(self) -> AsyncIterator[Pruned]:
        """Remove, a few at a time: what is old enough, then the oldest until the logs take no more than wanted."""
        now = self.desk.loop.clock.now()
        newest = await self._newest_that_may_go(now)
        old = min(newest, now - (self.wanted.before or 0.0))
        if self.wanted.before is not None or self.wanted.logs_over is None:
            async for so_far in self._ended_before(old):
                yield so_far
        if self.wanted.logs_over is not None:
            total = 0
            async for taken in self._logs():
                total += taken
                if self._time():
                    yield self.so_far
            self.over = total - self.wanted.logs_over - (self.so_far.bytes if self.wanted.dry_run else 0)
            async for so_far in self._ended_before(newest):
                yield so_far
        if not self.wanted.dry_run:
            await self._shrink()  # also what an earlier run, that was interrupted, has left
        self._set(done=True)
        yield self.so_far

    def failed(self, why: str) -> Pruned:
        """The last word, where it cannot go on."""
        self._set(errors=(*self.so_far.errors, why), done=True)
        return self.so_far

    async def _newest_that_may_go(self, now: float) -> float:
        """The moment before which a job has to have ended: so that as many stay as are to be kept."""
        left = self.wanted.keep or 0
        place: Place | None = prune.END
        while left and place is not None:
            ended, place = await self.desk.store.read(prune.latest, place, LOOKED_AT, self.uid)
            if len(ended) >= left:
                return min(now, ended[left - 1])
            left -= len(ended)
        return float("-inf") if left else now

    async def _ended_before(self, moment: float) -> AsyncIterator[Pruned]:
        """Remove jobs that ended before this moment, until it is enough."""
        before = -1
        while before != self.so_far.jobs and not self._enough():  # what others come after may go once they have gone
            before = self.so_far.jobs
            kept = 0
            place: Place | None = prune.START
            while place is not None and not self._enough():
                old, place = await self.desk.store.read(prune.page, place, moment, LOOKED_AT, self.gone, self.uid)
                may_go = [one for one in old if one.may_go]
                kept += len(old) - len(may_go)
                while may_go and not self._enough():
                    some, may_go = may_go[: self.together], may_go[self.together :]
                    await self._remove(some)
                    if self._time():
                        self.desk.loop.bus.changed()
                        yield self.so_far
                self.gone.remove(one.job for one in may_go)
            self._set(kept=kept)

    async def _logs(self) -> AsyncIterator[int]:
        """The bytes that the folders of some jobs take, and of the next ones, until it was all."""
        after: int | None = 0
        while after is not None:
            jobs, after = await self.desk.store.read(prune.numbers, after, LOOKED_AT, self.uid)
            yield await asyncio.to_thread(self._sizes, jobs)

    async def _remove(self, some: Sequence[Old]) -> None:
        """Remove these, or as many of them as have to go."""
        chosen, sizes = list(some), dict[int, int]()
        if self.over is not None or self.wanted.dry_run:
            sizes = await asyncio.to_thread(self._choose, some)
            chosen = chosen[: len(sizes)]
        freed, bad = sum(sizes.values()), dict[int, str]()
        gone = {one.job for one in chosen}
        if not self.wanted.dry_run:
            freed, bad = await asyncio.to_thread(self._folders, chosen)
            gone -= bad.keys()
            since = time.monotonic()
            gone = set(await self.desk.store.write(self._rows, sorted(gone))) if gone else set()
            await asyncio.sleep(time.monotonic() - since)  # as long as others could not write, they can now
        self.gone.remove(one.job for one in some if one.job not in gone)
        if self.over is not None:
            self.over -= sum(sizes[job] for job in gone)
        self._set(
            jobs=self.so_far.jobs + len(gone),
            attempts=self.so_far.attempts + sum(len(one.folders) for one in chosen if one.job in gone),
            bytes=self.so_far.bytes + freed,
            errors=(*self.so_far.errors, *(error for error in bad.values() if error not in self.so_far.errors))[
                :ERRORS
            ],
        )

    def _choose(self, some: Sequence[Old]) -> dict[int, int]:
        """As many of these, from the first on, as have to go, and the bytes that each takes."""
        sizes: dict[int, int] = {}
        for one in some:
            if self.over is not None and sum(sizes.values()) >= self.over:
                break
            sizes[one.job] = self._sizes([one.job])
        return sizes

    def _rows(self, connection: sa.Connection, jobs: Sequence[int]) -> list[int]:
        since = time.monotonic()
        gone = prune.remove(connection, jobs)
        held = max(time.monotonic() - since, 0.0001)
        least, most = TOGETHER
        self.together = min(max(int(len(jobs) * HELD_S / held), least), most)
        return gone

    def _folders(self, some: Sequence[Old]) -> tuple[int, dict[int, str]]:
        """Remove the folders of these jobs; returns the bytes that are free now, and what could not be removed."""
        freed, bad = 0, {}
        for one in some:
            for folder in one.folders:
                try:
                    freed += remove.remove(self.attempts, folder)
                except OSError as error:
                    bad[one.job] = f"{self.attempts}/{folder}: {error.strerror}"
        return freed, bad

    def _sizes(self, jobs: Sequence[int]) -> int:
        return sum(remove.size(self.attempts, job) for job in jobs)

    async def _shrink(self) -> None:
        """Give the room in the queue's file back to the disk."""
        left = 1
        while left:
            since = time.monotonic()
            left = await self.desk.store.write(prune.shrink, PAGES)
            await asyncio.sleep(time.monotonic() - since)
        await asyncio.to_thread(self._checkpoint)

    def _checkpoint(self) -> None:
        # Only then the file is shorter; without waiting for anybody.
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.desk.state / backup.QUEUE)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _enough(self) -> bool:
        return self.over is not None and self.over <= 0

    def _time(self) -> bool:
        if time.monotonic() < self._told + TELL_S:
            return False
        self._told = time.monotonic()
        return True

    def _set(self, **values: object) -> None:
        self.so_far = msgspec.structs.replace(self.so_far, **values)
