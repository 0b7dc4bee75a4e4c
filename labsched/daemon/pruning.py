"""Removing old jobs: for whoever asks, and once a day as the configuration says.

What goes, and how, is `pruner`'s.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import msgspec
from aiohttp import web

from labsched.config import Prune
from labsched.daemon.desk import PERSON, Desk
from labsched.daemon.peers import Peer
from labsched.daemon.pruner import Pruner
from labsched.daemon.streams import Streams
from labsched.errors import BadRequest, TryLater
from labsched.store.moves import record
from labsched.wire import requests
from labsched.wire.messages import Pruned

log = logging.getLogger(__name__)
DAY_S = 24 * 3600.0
FIRST_S = 5.0  # after the start
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
        done, following = None, 0.0
        while True:
            self.desk.reloaded.clear()
            settings = self.desk.config.prune
            wanted = _configured(settings, dry_run=False)
            if wanted is not None and (settings != done or time.monotonic() >= following):
                await self._by_itself(wanted)
                done, following = settings, time.monotonic() + DAY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wanted is None else following - time.monotonic()):
                    await self.desk.reloaded.wait()

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
            work = Pruner(self.desk, wanted, None if person is None or person.admin else person.uid)
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
