"""Questions: what is running, what waits, how it went."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime

import msgspec
import sqlalchemy as sa
from aiohttp import web

from labsched import __version__
from labsched.core.states import State
from labsched.daemon import reload, views
from labsched.daemon.desk import MAX_DIGITS, MAX_ROWS, PERSON, Desk, flag, number, ref, reply, within
from labsched.daemon.findings import findings
from labsched.daemon.peers import may_touch, user_name
from labsched.daemon.sight import find
from labsched.errors import BadRequest, NotFound
from labsched.store import lines, read
from labsched.wire import messages as wire

RECENT_S = 24 * 3600.0  # jobs that ended longer ago are history


class Questions:
    """The handlers of GET, but those whose answer is a stream."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

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
            ids, more = read.page(connection, since, limit, offset)
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

        return reply(await self.desk.store.read(look))

    async def history(self, request: web.Request) -> web.Response:
        """GET history"""
        limit = min(number(request, "limit") or 20, MAX_ROWS)
        wanted = {key: request.query.get(key) for key in ("user", "outcome", "name")}
        person = request[PERSON]

        def look(connection: sa.Connection) -> wire.History:
            rows: list[wire.JobRow] = []
            before = number(request, "before")
            while True:
                ids = read.history(connection, limit=limit + 1, before=before, **wanted)
                found = self.desk.rows(connection, ids[:limit], person)
                # A name that is not shown is not found either: else one could ask for it letter by letter.
                rows += [row for row in found if (wanted["name"] or "").lower() in row.name.lower()]
                more = len(ids) > limit
                if len(rows) >= limit or not more:
                    return wire.History(tuple(rows[:limit]), more or len(rows) > limit)
                before = ids[limit - 1]

        return reply(await self.desk.store.read(look))

    async def job(self, request: web.Request) -> web.Response:
        """GET job"""
        values = flag(request, "env")

        def look(connection: sa.Connection) -> wire.Job:
            person = request[PERSON]
            row = find(connection, ref(request), person)
            if values:
                may_touch(person, row.uid, f"the environment of job {row.id}")
            scene, see = self.desk.scene(connection, [row.id], person)
            env = read.environment(connection, row.id) if person.sees(row.uid) else {}
            return views.job(scene, scene.records.jobs[0], see, self.desk.log_path, env, values)

        return reply(await self.desk.store.read(look))

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
            rows = await self.desk.store.read(self.desk.rows, numbers, request[PERSON])
            if missing := set(numbers) - {row.id for row in rows}:
                raise NotFound(f"there is no job {min(missing)}: see labsched status -a, or labsched history")
            ended = sum(row.state is State.ENDED for row in rows)
            ended_at_first = ended if ended_at_first is None else ended_at_first
            done = ended == len(rows)
            left = end - time.monotonic()
            if done or ended > ended_at_first or left <= 0 or self.desk.loop.draining:
                return reply(wire.Waited(done, rows))
            await self.desk.loop.bus.wait(revision, left)

    async def pools(self, _request: web.Request) -> web.Response:
        """GET pools"""
        return reply(await self.desk.store.read(self.desk.pools))

    async def doctor(self, _request: web.Request) -> web.Response:
        """GET doctor"""
        known = await self.desk.store.read(lines.all_pools)
        assert self.desk.loop.engine is not None
        trouble = self.desk.loop.trouble or self.desk.loop.engine.trouble
        sort, mode = msgspec.structs.asdict(self.desk.config.sort), self.desk.peers.mode
        config, file, wrong = self.desk.config, self.desk.config_file, self.desk.config_trouble

        def examine() -> Iterator[wire.Finding]:
            yield from reload.findings(config, file, wrong)
            yield from findings(self.desk.state, known, sort, mode, trouble)

        found = await asyncio.to_thread(lambda: tuple(examine()))
        return reply(wire.Doctor(found))
