"""Telling people what happens: from the events into the outbox, and from there to a sender when it is time.

Nobody waits for it: it looks at most so often, in steps, and what takes long is done by other processes. Where nobody
wants to be told anything, it does nothing at all.
"""

import asyncio
import logging
import os
import secrets
import shutil
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from labsched.daemon import letters
from labsched.daemon.desk import Desk
from labsched.daemon.postman import Postman
from labsched.daemon.privileges import Mode
from labsched.errors import TryLater
from labsched.notify.message import Letter
from labsched.store import outbox
from labsched.store.outbox import Row

log = logging.getLogger(__name__)
OFTEN_S = 0.5  # the least time between two looks
LATER_S = 30.0  # until the next, where the queue could not be written
SENDERS = 4  # at a time
DISK_S = 60.0
WAITS_S, WAITS_MOST_S = 1.0, 600.0  # between two looks at what waits for long
GB = 10**9
LONGEST_S = 3600.0  # of one sleep
Account = tuple[int, bool]


class Telling:
    """Tells people, for ever. `poke` has it look at once: who is told of what has changed."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.postman = Postman(desk.state)
        self._poked = asyncio.Event()
        self._wanted: set[str] = set()
        self._busy: dict[Account, asyncio.Task[None]] = {}
        self._next_disk = self._next_waits = 0.0

    def poke(self) -> None:
        """Look again."""
        self._poked.set()

    def account(self, target: Row) -> tuple[int, str] | None:
        """Whom a target's letters are sent as; None: as ourselves."""
        if target.lab is not None or self.desk.peers.mode is not Mode.EACH or target.uid == os.geteuid():
            return None
        return target.uid, target.user

    async def run(self) -> None:
        """Turn after turn; ends by being cancelled. What is being sent then is found at the next start."""
        try:
            self._recover(await self.desk.store.read(outbox.batches))
            while True:
                revision = self.desk.loop.bus.revision
                self._poked.clear()
                try:
                    seconds = await self._turn()
                except TryLater:
                    seconds = LATER_S
                except Exception:
                    log.exception("people could not be told; it is tried again")
                    seconds = LATER_S
                await self._sleep(revision, seconds)
        finally:
            for task in self._busy.values():
                task.cancel()

    async def _turn(self) -> float | None:
        """Do what is to be done now; returns after how many seconds there is more, None: after nothing by itself."""
        store, now = self.desk.store, self.desk.loop.clock.now()
        self._wanted = await store.read(outbox.wanted)
        if not self._wanted:
            return None
        times = [await self._look_at_disks(), await self._look_at_waits()]
        behind = await store.read(outbox.is_behind)
        while behind:
            behind = await store.write(outbox.gather, now, self.desk.config.notify.digest)
        while len(self._busy) < SENDERS and await self._begin(now):
            pass
        due = await store.read(outbox.next_due)
        if due is not None and len(self._busy) < SENDERS:
            times.append(max(due - self.desk.loop.clock.now(), OFTEN_S))
        return min((seconds for seconds in times if seconds is not None), default=None)

    async def _begin(self, now: float) -> bool:
        """Have the letters of one account sent; returns whether there were any."""
        batch = secrets.token_hex(8)
        claimed = await self.desk.store.write(outbox.claim, now, batch, frozenset(self._busy))
        if claimed:
            self._start(outbox.account(claimed[0][0]), self._deliver(batch, claimed))
        return bool(claimed)

    def _start(self, account: Account, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._busy[account] = task

        def done(_: object) -> None:
            self._busy.pop(account, None)
            self.poke()

        task.add_done_callback(done)

    async def _deliver(self, batch: str, claimed: Sequence[tuple[Row, Sequence[Row]]]) -> None:
        try:
            written = await self._write(claimed)
            said = await self.postman.send(batch, written, self.account(claimed[0][0]))
        except Exception as error:
            log.exception("a message could not be sent; it is tried again")
            said = {target.id: f"the daemon could not have it sent: {error}" for target, _ in claimed}
        await self._settle(batch, said)

    async def _write(self, claimed: Sequence[tuple[Row, Sequence[Row]]]) -> list[Letter]:
        stages = list({row.stage_id for _, rows in claimed for row in rows if row.stage_id is not None})
        attempts = await self.desk.store.read(outbox.last_attempts, stages)
        folder, link = self.desk.loop.folder, self.desk.config.notify.link

        def write() -> list[Letter]:
            host = os.uname().nodename
            return [letters.letter(target, rows, attempts, folder, host, link) for target, rows in claimed]

        return await asyncio.to_thread(write)

    async def _settle(self, batch: str, said: dict[int, str | None]) -> None:
        """Write down what became of letters, whatever it takes: else they would be sent again."""
        while True:
            try:
                now, digest = self.desk.loop.clock.now(), self.desk.config.notify.digest
                given_up = await self.desk.store.write(outbox.settle, batch, said, now, digest)
                break
            except TryLater:
                await asyncio.sleep(LATER_S)
        for target in given_up:
            log.warning("target %s could not be told of things for three days: they were given up", target)
        self.postman.throw_away(batch)

    def _recover(self, batches: dict[str, list[int]]) -> None:
        """See what became of the letters that an earlier daemon had sent."""

        async def settle(batch: str, targets: list[int]) -> None:
            await self._settle(batch, await self.postman.found(batch, targets))

        for number, (batch, targets) in enumerate(batches.items()):
            self._start((-1 - number, False), settle(batch, targets))

    async def _look_at_disks(self) -> float | None:
        if "disk" not in self._wanted:
            return None
        left = self._next_disk - time.monotonic()
        if left > 0:
            return left
        self._next_disk = time.monotonic() + DISK_S
        least = int(self.desk.config.notify.disk_free_gb * GB)
        for path in self._disks():
            with suppress(OSError):
                free = (await asyncio.to_thread(shutil.disk_usage, path)).free
                await self.desk.store.write(outbox.disk, path, free, least, self.desk.loop.clock.now())
        return DISK_S

    def _disks(self) -> list[str]:
        """The state folder, and the folder where results go: where that is on another disk."""
        state = str(self.desk.state)
        results = os.path.dirname(self.desk.config.sort.target.partition("{")[0])  # noqa: PTH120
        with suppress(OSError):
            if os.stat(results).st_dev != os.stat(state).st_dev:  # noqa: PTH116
                return [state, results]
        return [state]

    async def _look_at_waits(self) -> float | None:
        if "wait" not in self._wanted:
            return None
        left = self._next_waits - time.monotonic()
        if left > 0:
            return left
        seconds = self.desk.config.notify.long_wait
        again = min(max(seconds / 4, WAITS_S), WAITS_MOST_S)
        self._next_waits = time.monotonic() + again
        await self.desk.store.write(outbox.long_waits, self.desk.loop.clock.now(), seconds)
        return again

    async def _sleep(self, revision: int, seconds: float | None) -> None:
        """Until there is something to look at."""
        await asyncio.sleep(OFTEN_S)
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._poked.wait())]
        if self._wanted:
            waits.append(asyncio.ensure_future(self.desk.loop.bus.wait(revision, seconds or LONGEST_S)))
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


async def quietly(work: Coroutine[Any, Any, None]) -> None:
    """Do it, and say in the log where it went wrong: nothing else depends on it."""
    try:
        await work
    except TryLater as error:
        log.error("nobody is told anything: %s", error)
    except Exception:
        log.exception("nobody is told anything any more until the daemon is restarted")
