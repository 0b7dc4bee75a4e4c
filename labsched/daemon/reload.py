"""Reading the configuration again, while everything goes on: SIGHUP, or POST config/reload.

All of the file is taken, or nothing of it. What runs keeps what it was started with. Keys that only a restart of the
daemon changes keep their values, and are named.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa
from aiohttp import web

from labsched import config as configuration
from labsched.config import Config, Read
from labsched.config.changes import Difference, adopt, differences
from labsched.config.sample import toml
from labsched.daemon import lab
from labsched.daemon.desk import PERSON, Desk, reply
from labsched.daemon.notify import Notify
from labsched.errors import BadRequest, Forbidden, LabschedError
from labsched.paths import config_file
from labsched.store import targets, verbs
from labsched.store.moves import record
from labsched.wire import messages as wire
from labsched.wire import requests

log = logging.getLogger("labsched")
CHECK = "labsched config check names them all"


class Reload:
    """Puts what the file says in the place of what the desk has."""

    def __init__(self, desk: Desk, notify: Notify, told: Callable[[], None]) -> None:
        self.desk = desk
        self.notify = notify
        self.told = told  # is called when the lab's targets have changed
        self._one_at_a_time = asyncio.Lock()

    async def post(self, request: web.Request) -> web.Response:
        """POST config/reload"""
        person = request[PERSON]
        if not person.admin:
            raise Forbidden("the configuration is everybody's: ask an admin to have it read again")
        async with self.desk.body(request, requests.Reload):
            pass  # it has nothing to say
        return reply(await self.again(person.name))

    async def hangup(self) -> None:
        """After SIGHUP: `again`, and nobody to tell but the log."""
        try:
            await self.again(None)
        except LabschedError:
            pass  # it is in the log, and doctor tells
        except Exception:
            log.exception("the configuration could not be read again")

    async def again(self, by: str | None) -> wire.Reloaded:
        """Read the file and take it over; raises BadRequest where something is wrong in it, and then all stays."""
        async with self._one_at_a_time:
            with self.notify.reloading():
                try:
                    answer = await self._take_over(by)
                except LabschedError as error:
                    self.desk.config_trouble = str(error)
                    self.desk.loop.bus.changed()
                    log.error("the configuration stays as it was: %s", error)
                    raise
        log.info("%s", "; ".join(sentences(answer)))
        return answer

    async def lab_at_start(self) -> None:
        """Have the lab's targets as their file says; where something is wrong in it, as they were."""
        now = self.desk.loop.clock.now()
        try:
            wanted = await asyncio.to_thread(lab.read, self.desk.config.notify.targets, now)
        except LabschedError as error:
            self.desk.config_trouble = str(error)
            log.error("the lab's targets stay as they were: %s", error)
        else:
            await self.desk.store.write(targets.configure, wanted)

    async def _take_over(self, by: str | None) -> wire.Reloaded:
        desk = self.desk
        file = desk.config_file or config_file(None)  # there may be one now
        read = await asyncio.to_thread(whole, file)
        config = adopt(desk.config, read.config)
        found = differences(desk.config, read.config)
        changed = [said(one) for one in found if not one.fixed]
        restart = tuple(one.key for one in found if one.fixed)
        now = desk.loop.clock.now()
        wanted = await asyncio.to_thread(lab.read, config.notify.targets, now)

        def work(connection: sa.Connection) -> list[str]:
            targets.configure(connection, wanted)
            moved = verbs.configure_pools(connection, config.pools, now, by)
            every = [*changed, *(said(Difference(f"pools.{name}", old, new, False)) for name, old, new in moved)]
            data = {"changed": every, "restart": list(restart)}
            record(connection, "config.reloaded", now, user=by, data=data)
            return every

        every = await desk.store.write(work)
        desk.config, desk.config_file, desk.config_trouble = config, file, None
        assert desk.loop.engine is not None
        desk.loop.engine.configure(config.daemon.stop_grace, config.daemon.nice, config.limits.log_size)
        desk.reloaded.set()
        self.told()
        desk.loop.bus.changed()
        desk.loop.wake()
        return wire.Reloaded(str(file) if file else None, tuple(every), restart)


def whole(file: Path | None) -> Read:
    """A configuration in which nothing is wrong; raises BadRequest."""
    read = configuration.read(file)
    if read.mistakes:
        more = len(read.mistakes) - 1
        raise BadRequest(read.mistakes[0] + (f" (and {more} more: {CHECK})" if more else ""))
    return read


def said(one: Difference) -> str:
    """A difference in words, such as ``limits.log_size = 5000 (was none)``."""
    old, new = ("none" if value is None else toml(value) for value in (one.old, one.new))
    return f"{one.key} = {new} (was {old})"


def sentences(answer: wire.Reloaded) -> Iterator[str]:
    """What the log says of a reload."""
    what = ", ".join(answer.changed) or "nothing has changed"
    yield f"the configuration {answer.file or '(there is none)'} was read again: {what}"
    if answer.restart:
        yield f"only a restart of the daemon changes {', '.join(answer.restart)}"


def findings(held: Config, file: Path | None, trouble: str | None) -> Iterator[wire.Finding]:
    """How the file and what holds differ, for `labsched doctor`."""
    if trouble:
        yield wire.Finding(
            level="problem",
            what=f"the configuration was to be read again, and stays as it was: {trouble}",
            mend="correct it, then: labsched config reload",
        )
    file = file or config_file(None)
    try:
        config = whole(file).config
    except LabschedError as error:
        if str(error) != trouble:
            yield wire.Finding(
                level="problem",
                what=f"the daemon would not start again with its configuration: {error}",
                mend="correct it, then: labsched config reload",
            )
        return
    found = differences(held, config)
    pools = sorted(name for name in {**held.pools, **config.pools} if held.pools.get(name) != config.pools.get(name))
    if keys := [*(one.key for one in found if not one.fixed), *(f"pools.{name}" for name in pools)]:
        yield wire.Finding(
            level="warning",
            what=f"{file} has changed since it was read: {', '.join(keys)}",
            mend="labsched config reload",
        )
    if fixed := [one.key for one in found if one.fixed]:
        yield wire.Finding(
            level="note",
            what=f"only a restart of the daemon changes {', '.join(fixed)}, and the file has another value",
            mend="restart the daemon: stages that run go on",
        )
