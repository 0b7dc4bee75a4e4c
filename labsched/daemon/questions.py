"""Questions: what is running, what waits, how it went."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from functools import cache

import msgspec
import sqlalchemy as sa
from aiohttp import web

from labsched import __version__
from labsched.core.states import State
from labsched.daemon import reload, views
from labsched.daemon.desk import MAX_DIGITS, MAX_ROWS, PERSON, Desk, flag, not_too_many, number, ref, reply, within
from labsched.daemon.peers import may_touch, user_name
from labsched.daemon.privileges import Mode
from labsched.daemon.sight import find, shown_name
from labsched.errors import BadRequest, LabschedError, NotFound
from labsched.store import lines, read
from labsched.wire import messages as wire

MAX_STAGES = 5_000  # of a page, roughly: while one is read, nobody else's is
RECENT_S = 24 * 3600.0  # jobs that ended longer ago are history


class Questions:
    """The handlers of GET, but those whose answer is a stream."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._examining = asyncio.Lock()

    async def daemon(self, _request: web.Request) -> web.Response:
        """GET daemon"""
        settings: dict[str, object] = {"sort": msgspec.to_builtins(self.desk.config.sort)}
        return reply(
            wire.Daemon(
                version=__version__,
                pid=os.getpid(),
                user=user_name(os.getuid()),
                python=sys.executable,
                state=str(self.desk.state),
                config=str(self.desk.config_file) if self.desk.config_file else None,
                settings=settings,
                as_submitter=self.desk.peers.mode is Mode.EACH,
            )
        )

    async def status(self, request: web.Request) -> web.Response:
        """GET status"""
        revision = number(request, "revision")
        if revision is not None:
            await self.desk.loop.bus.wait(revision, within(request, 5.0))
        limit = min(number(request, "limit") or 50, MAX_ROWS)
        offset = number(request, "offset") or 0
        now = self.desk.loop.clock.now()
        since = 0.0 if flag(request, "all") else now - RECENT_S
        seen = self.desk.loop.bus.revision
        today = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()

        def look(connection: sa.Connection) -> wire.Status:
            page, more = read.page(connection, since, limit, offset)
            ids = read.at_most(connection, page, MAX_STAGES)
            more += len(page) - len(ids)
            running, waiting, failed = read.counts(connection, today)
            scene, see = self.desk.scene(connection, ids, request[PERSON])
            return wire.Status(
                host=os.uname().nodename,
                version=__version__,
                now=views.moment(now),
                uptime=time.monotonic() - self.desk.since,
                revision=seen,
                draining=self.desk.loop.draining,
                counts=wire.Counts(running=running, waiting=waiting, failed_today=failed),
                pools=views.pools(connection, scene.snapshot),
                jobs=tuple(views.job_row(scene, row, see) for row in scene.records.jobs),
                more=more,
                troubles=self.desk.troubles(),
            )

        return await self.desk.answer(request, look)

    async def history(self, request: web.Request) -> web.Response:
        """GET history"""
        limit = min(number(request, "limit") or 20, MAX_ROWS)
        wanted = {key: request.query.get(key) for key in ("user", "outcome", "name")}
        person = request[PERSON]

        part = (wanted["name"] or "").lower()
        before = number(request, "before")
        ids: list[int] = []

        count = MAX_ROWS if part else limit + 1  # those that are looked at at a time

        def page(connection: sa.Connection) -> tuple[list[int], int | None]:
            rows = read.history(connection, limit=count, before=before, **wanted)
            # A name that is not shown is not found either: else one could ask for it letter by letter.
            shown = [row for row in rows if person.sees(row.uid) or part in shown_name(row.name, row.argv_head).lower()]
            return [row.id for row in shown], rows[-1].id if len(rows) == count else None

        while True:
            found, before = await self.desk.ask(person, page)
            ids += found
            if len(ids) > limit or before is None:
                break

        def look(connection: sa.Connection) -> wire.History:
            shown = read.at_most(connection, ids[:limit], MAX_STAGES)
            return wire.History(self.desk.rows(connection, shown, person), len(ids) > len(shown))

        return await self.desk.answer(request, look)

    async def job(self, request: web.Request) -> web.Response:
        """GET job"""
        values = flag(request, "env")

        def look(connection: sa.Connection) -> wire.Job:
            person = request[PERSON]
            row = find(connection, ref(request), person)
            if values:
                may_touch(person, row.uid, f"the environment of job {row.id}")
            scene, see = self.desk.scene(connection, [row.id], person, whole=True)
            env = read.environment(connection, row.id) if person.sees(row.uid) else {}
            found = views.job(scene, scene.records.jobs[0], see, self.desk.log_path, env, values)
            return msgspec.structs.replace(found, hidden=not person.sees(row.uid))

        return await self.desk.answer(request, look)

    async def wait(self, request: web.Request) -> web.Response:
        """GET wait: answers as soon as one of the jobs that were live has ended, or all have, or the time is up."""
        words = request.query.get("jobs", "").split(",")
        if not all(word.isdecimal() and len(word) <= MAX_DIGITS for word in words):
            raise BadRequest("wait for which jobs? jobs=1,2")
        numbers = list(dict.fromkeys(map(int, words)))
        if len(numbers) > MAX_ROWS:
            raise BadRequest(f"wait for at most {MAX_ROWS} jobs at a time")
        end = time.monotonic() + within(request, 30.0)
        ended_at_first: int | None = None
        while True:
            revision = self.desk.loop.bus.revision
            known = await self.desk.ask(request[PERSON], read.known, numbers)
            if missing := set(numbers) - known.keys():
                raise NotFound(f"there is no job {min(missing)}: see labsched status -a, or labsched history")
            ended = sum(known.values())
            ended_at_first = ended if ended_at_first is None else ended_at_first
            left = end - time.monotonic()
            if ended == len(known) or ended > ended_at_first or left <= 0 or self.desk.loop.draining:
                break
            await self.desk.loop.bus.wait(revision, left)

        def look(connection: sa.Connection) -> wire.Waited:
            not_too_many(connection, numbers)
            rows = self.desk.rows(connection, numbers, request[PERSON])
            return wire.Waited(all(row.state is State.ENDED for row in rows), rows)

        return await self.desk.answer(request, look)

    async def pools(self, request: web.Request) -> web.Response:
        """GET pools"""
        return await self.desk.answer(request, self.desk.pools)

    async def openapi(self, _request: web.Request) -> web.Response:
        """GET openapi.json"""
        return web.Response(body=_openapi(), content_type="application/json")

    async def doctor(self, request: web.Request) -> web.Response:
        """GET doctor: one at a time, for it reads all of the queue, in a thread of its own."""
        async with self.desk.turn(request[PERSON]), self._examining:
            return await self._examine(flag(request, "full"))

    async def _examine(self, full: bool) -> web.Response:
        assert self.desk.loop.engine is not None
        trouble = self.desk.loop.trouble or self.desk.loop.engine.trouble
        try:
            known = await self.desk.store.read(lines.all_pools)
        except LabschedError as error:
            known, trouble = {}, str(error)
        sort, mode = msgspec.structs.asdict(self.desk.config.sort), self.desk.peers.mode
        config, file, wrong = self.desk.config, self.desk.config_file, self.desk.config_trouble
        unfenced = self.desk.loop.engine.unfenced

        def examine() -> Iterator[wire.Finding]:
            from labsched.daemon.findings import findings  # psutil and all: in the thread, and few ask

            yield from reload.findings(config, file, wrong)
            yield from findings(self.desk.state, known, sort, mode, trouble, unfenced, full)

        return reply(wire.Doctor(await asyncio.to_thread(lambda: tuple(examine()))))


@cache
def _openapi() -> bytes:
    from labsched.wire.openapi import document  # few ask

    return msgspec.json.encode(document())
