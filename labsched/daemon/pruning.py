"""Removing old jobs: for whoever asks, and once a day as the configuration says.

A job's folders go first, then its rows: whatever happens in between, it is still there to be removed the next time.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, closing, suppress

import msgspec
import sqlalchemy as sa
from aiohttp import web

from labsched.config import Prune
from labsched.daemon.desk import PERSON, Desk
from labsched.daemon.peers import Peer
from labsched.daemon.streams import Streams
from labsched.engines import remove
from labsched.errors import BadRequest, TryLater
from labsched.store import backup, prune
from labsched.store.moves import record
from labsched.store.prune import Old, Place
from labsched.wire import requests
from labsched.wire.messages import Pruned

log = logging.getLogger(__name__)
LOOKED_AT = 500  # stages at a time, in the thread that reads
TOGETHER = (10, 200)  # jobs in one transaction, at least and at most
HELD_S = 0.008  # that one transaction should take
PAGES = 100  # of the file that are given back in one transaction
TELL_S = 0.5  # between two lines of the answer
ERRORS = 20  # that are told
DAY_S = 24 * 3600.0
FIRST_S = 5.0  # after the start
LOOK_S = 30.0  # between looks whether it is time
GB = 10**9
NOTHING = "prune what? give --before 90d, --logs-over 100G or --keep 1000; or set [prune] in the configuration"


class Pruning:
    """The handler of POST prune, and what it shares with `daily`: one at a time."""

    def __init__(self, desk: Desk, streams: Streams) -> None:
        self.desk = desk
        self.streams = streams
        self._one = asyncio.Lock()

    async def prune(self, request: web.Request) -> web.StreamResponse:
        """POST prune"""
        async with self.desk.body(request, requests.Prune) as asked:
            wanted = asked if _says_what(asked) else _configured(self.desk.config.prune, asked.dry_run)
        if wanted is None:
            raise BadRequest(NOTHING)
        for name in ("before", "logs_over", "keep"):
            if (getattr(wanted, name) or 0) < 0:
                raise BadRequest(f"{name} cannot be less than nothing")
        if self._one.locked():
            raise TryLater("somebody else prunes at the moment: try again when they are done")
        response = web.StreamResponse()
        response.content_type, response.charset = "application/x-ndjson", "utf-8"
        async with aclosing(self.run(wanted, request[PERSON])) as told:
            lines = (msgspec.json.encode(so_far) + b"\n" async for so_far in told)
            return await self.streams.send(request, response, lines)

    async def daily(self) -> None:
        """Once a day, and when the configuration has changed: what that says. For ever; ends by being cancelled."""
        await asyncio.sleep(FIRST_S)
        done: tuple[Prune, float] | None = None
        while True:
            settings = self.desk.config.prune
            wanted = _configured(settings, dry_run=False)
            due = done is None or done[0] != settings or time.monotonic() >= done[1] + DAY_S
            if wanted is not None and due:
                await self._by_itself(wanted)
                done = settings, time.monotonic()
            await asyncio.sleep(LOOK_S)

    async def _by_itself(self, wanted: requests.Prune) -> None:
        last = Pruned()
        try:
            async for so_far in self.run(wanted, None):
                last = so_far
        except Exception:
            log.exception("pruning went wrong; it is tried again in a day")
        if last.jobs:
            log.info("%d old jobs were removed, as [prune] says", last.jobs)
        for error in last.errors:
            log.warning("not removed: %s", error)

    async def run(self, wanted: requests.Prune, person: Peer | None) -> AsyncGenerator[Pruned, None]:
        """Remove what is wanted, of all (None) or of what this person may touch; tells how far it is, as it goes."""
        async with self._one:
            work = _Work(self.desk, wanted, None if person is None or person.admin else person.uid)
            try:
                async for so_far in work.go():
                    yield so_far
            except TryLater as error:  # a full disk: what was removed is
                yield work.failed(str(error))
            finally:
                if work.so_far.jobs and not wanted.dry_run:
                    user = None if person is None else person.name
                    with suppress(TryLater):
                        data = {"jobs": work.so_far.jobs, "bytes": work.so_far.bytes}
                        await self.desk.store.write(
                            record, "jobs.pruned", self.desk.loop.clock.now(), user=user, data=data
                        )
                    self.desk.loop.bus.changed()


class _Work:
    """One run. `uid`: only this user's jobs."""

    def __init__(self, desk: Desk, wanted: requests.Prune, uid: int | None) -> None:
        self.desk = desk
        self.wanted = wanted
        self.uid = uid
        self.attempts = desk.loop.folder
        self.so_far = Pruned(dry_run=wanted.dry_run)
        self.over: int | None = None  # bytes that still have to go, where the logs' size decides
        self.together = TOGETHER[0]
        self._told = time.monotonic()

    async def go(self) -> AsyncIterator[Pruned]:
        """Remove, a few at a time: what is old enough, then the oldest until the logs take no more than wanted."""
        now = self.desk.loop.clock.now()
        newest = await self._newest_that_may_go(now)
        old = min(newest, now - (self.wanted.before or 0.0))
        start = prune.START
        if self.wanted.before is not None or self.wanted.logs_over is None:
            async for so_far in self._from(start, old):
                yield so_far
            if self.wanted.dry_run:
                start = (old, 0)  # what has been counted is still there
        if self.wanted.logs_over is not None:
            total = 0
            async for taken in self._logs():
                total += taken
                if self._time():
                    yield self.so_far
            self.over = total - self.wanted.logs_over - (self.so_far.bytes if self.wanted.dry_run else 0)
            async for so_far in self._from(start, newest):
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

    async def _from(self, start: Place, before: float) -> AsyncIterator[Pruned]:
        """Remove jobs that ended before this moment, from a place on, until it is enough."""
        gone = -1
        while gone != self.so_far.jobs and not self._enough():  # what others come after may go once they have gone
            gone = self.so_far.jobs
            kept = 0
            place: Place | None = start
            while place is not None and not self._enough():
                old, place = await self.desk.store.read(prune.page, place, before, LOOKED_AT)
                mine = [one for one in old if self.uid in (None, one.uid)]
                may_go = [one for one in mine if one.may_go]
                kept += len(mine) - len(may_go)
                while may_go and not self._enough():
                    some, may_go = may_go[: self.together], may_go[self.together :]
                    await self._remove(some)
                    if self._time():
                        self.desk.loop.bus.changed()
                        yield self.so_far
            self._set(kept=kept)
            if self.wanted.dry_run:
                return

    async def _logs(self) -> AsyncIterator[int]:
        """The bytes that the folders of some jobs take, and of the next ones, until it was all."""
        after: int | None = 0
        while after is not None:
            jobs, after = await self.desk.store.read(prune.numbers, after, LOOKED_AT, self.uid)
            yield await asyncio.to_thread(self._sizes, jobs)

    async def _remove(self, some: Sequence[Old]) -> None:
        """Remove these, or as many of them as have to go."""
        since = time.monotonic()
        chosen: list[Old] = []
        if self.over is None:
            chosen = list(some)
        else:
            left = self.over
            for one in some:
                if left <= 0:
                    break
                left -= await asyncio.to_thread(self._sizes, [one.job])
                chosen.append(one)
        freed, bad = await asyncio.to_thread(self._folders, chosen)
        going = [one for one in chosen if one.job not in bad]
        gone = {one.job for one in going}
        if not self.wanted.dry_run:
            gone = set(await self.desk.store.write(self._rows, [one.job for one in going])) if going else set()
        if self.over is not None:
            self.over -= freed
        self._set(
            jobs=self.so_far.jobs + len(gone),
            attempts=self.so_far.attempts + sum(len(one.folders) for one in chosen if one.job in gone),
            bytes=self.so_far.bytes + freed,
            errors=(*self.so_far.errors, *(error for error in bad.values() if error not in self.so_far.errors))[
                :ERRORS
            ],
        )
        await asyncio.sleep(time.monotonic() - since)  # half of the time is others'

    def _rows(self, connection: sa.Connection, jobs: Sequence[int]) -> list[int]:
        since = time.monotonic()
        gone = prune.remove(connection, jobs)
        held = max(time.monotonic() - since, 0.0001)
        least, most = TOGETHER
        self.together = min(max(int(len(jobs) * HELD_S / held), least), most)
        return gone

    def _folders(self, some: Sequence[Old]) -> tuple[int, dict[int, str]]:
        """Remove the folders of these jobs; returns the bytes that are free now, and what could not be removed."""
        if self.wanted.dry_run:
            return self._sizes([one.job for one in some]), {}
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


def _says_what(asked: requests.Prune) -> bool:
    return any(value is not None for value in (asked.before, asked.logs_over, asked.keep))


def _configured(settings: Prune, dry_run: bool) -> requests.Prune | None:
    """What the configuration says, as one would ask for it; None where it says nothing."""
    if settings.after_days is None and settings.logs_gb is None:
        return None
    return requests.Prune(
        before=None if settings.after_days is None else settings.after_days * DAY_S,
        logs_over=None if settings.logs_gb is None else int(settings.logs_gb * GB),
        keep=settings.keep,
        dry_run=dry_run,
    )
