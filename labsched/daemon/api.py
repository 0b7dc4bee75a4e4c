"""The API: each handler reads a request, does one thing through the store or the loop, and answers with a message."""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
import sqlalchemy as sa
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from labsched import __version__
from labsched.config import Config
from labsched.core.check import problem
from labsched.core.states import State
from labsched.daemon import logs, views
from labsched.daemon.findings import findings
from labsched.daemon.loop import Loop
from labsched.daemon.peers import admit, may_touch, peer, user_name
from labsched.engines import rundir
from labsched.engines.base import Look
from labsched.errors import BadRequest, Forbidden, LabschedError, NotFound, TryLater
from labsched.store import lines, read, verbs
from labsched.store.find import find_job
from labsched.store.submit import submit
from labsched.wire import messages as wire
from labsched.wire import requests

log = logging.getLogger(__name__)
T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAX_BODY = 64 * 1024**2  # bytes: ten thousand jobs, and then some
MAX_WITHIN = 60.0  # seconds that a question may wait for its answer
MAX_ROWS = 1_000
MAX_DIGITS = 15  # of a number: SQLite has 64 bits for it
MAX_REFS = 10_000  # jobs of one verb
GONE_S = 2.0  # between looks whether somebody still follows a log
RECENT_S = 24 * 3600.0  # jobs that ended longer ago are history
PERSON = "person"


class Api:
    """The handlers, and what they need."""

    def __init__(self, loop: Loop, config: Config, config_file: Path | None, state: Path) -> None:
        self.loop = loop
        self.store = loop.store
        self.config = config
        self.config_file = config_file
        self.state = state
        self.since = time.monotonic()

    def application(self) -> web.Application:
        """The routes, all under /v1."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._guard])
        get: dict[str, Handler] = {
            "daemon": self.daemon,
            "status": self.status,
            "history": self.history,
            "job": self.job,
            "log": self.log,
            "wait": self.wait,
            "pools": self.pools,
            "doctor": self.doctor,
        }
        post: dict[str, Handler] = {"jobs": self.submit, "jobs/{verb}": self.verb, "pools/{name}": self.set_pool}
        logging.getLogger("aiohttp.server").addFilter(_in_brief)
        app.add_routes([web.get(f"{wire.API}/{what}", handler, allow_head=False) for what, handler in get.items()])
        app.add_routes([web.post(f"{wire.API}/{what}", handler) for what, handler in post.items()])
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Know who asks, and turn every error into a sentence."""
        try:
            if request.transport is None:
                raise ConnectionResetError("gone before it was answered")
            person = peer(request.transport.get_extra_info("socket"))
            admit(person, self.config.daemon.shared_account)
            request[PERSON] = person
            return await handler(request)
        except LabschedError as error:
            return _reply(wire.Error(str(error)), error.status)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, web.RequestPayloadError) as error:
            return _reply(wire.Error(f"the request makes no sense: {' '.join(str(error).split())}"), 400)
        except web.HTTPRequestEntityTooLarge:
            return _reply(wire.Error(f"the request is larger than {MAX_BODY} bytes: send fewer jobs at a time"), 413)
        except ConnectionError:  # in the middle of its request: nothing was done, and nobody reads this
            return _reply(wire.Error("the request did not come to its end"), 400)
        except web.HTTPException as error:
            return _reply(wire.Error(f"{request.path}: {error.reason.lower()}"), error.status)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return _reply(wire.Error("something went wrong in the daemon: its log says what"), 500)

    # -- questions --------------------------------------------------------------------------------------------------

    async def daemon(self, _request: web.Request) -> web.Response:
        """GET daemon"""
        settings: dict[str, object] = {"sort": msgspec.to_builtins(self.config.sort)}
        return _reply(
            wire.Daemon(
                version=__version__,
                pid=os.getpid(),
                user=user_name(os.getuid()),
                python=sys.executable,
                state=str(self.state),
                config=str(self.config_file) if self.config_file else None,
                settings=settings,
            )
        )

    async def status(self, request: web.Request) -> web.Response:
        """GET status"""
        revision = _number(request, "revision")
        if revision is not None:
            await self.loop.bus.wait(revision, _within(request, 5.0))
        limit = min(_number(request, "limit") or 50, MAX_ROWS)
        offset = _number(request, "offset") or 0
        now = self.loop.clock.now()
        since = 0.0 if _flag(request, "all") else now - RECENT_S
        seen = self.loop.bus.revision
        today = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()

        def look(connection: sa.Connection) -> wire.Status:
            ids, more = read.page(connection, since, limit, offset)
            running, waiting, failed = read.counts(connection, today)
            scene = views.scene(connection, ids, now, self._glance)
            return wire.Status(
                host=os.uname().nodename,
                version=__version__,
                now=views.moment(now),
                uptime=time.monotonic() - self.since,
                revision=seen,
                draining=self.loop.draining,
                counts=wire.Counts(running=running, waiting=waiting, failed_today=failed),
                pools=views.pools(connection, scene.snapshot),
                jobs=tuple(views.job_row(scene, row, self._look) for row in scene.records.jobs),
                more=more,
            )

        return _reply(await self.store.read(look))

    async def history(self, request: web.Request) -> web.Response:
        """GET history"""
        limit = min(_number(request, "limit") or 20, MAX_ROWS)
        wanted = {key: request.query.get(key) for key in ("user", "outcome", "name")}

        def look(connection: sa.Connection) -> wire.History:
            ids = read.history(connection, limit=limit + 1, before=_number(request, "before"), **wanted)
            return wire.History(self._rows(connection, ids[:limit]), len(ids) > limit)

        return _reply(await self.store.read(look))

    async def job(self, request: web.Request) -> web.Response:
        """GET job"""
        values = _flag(request, "env")

        def look(connection: sa.Connection) -> wire.Job:
            row = find_job(connection, _ref(request))
            if values:
                may_touch(request[PERSON], row.uid, f"the environment of job {row.id}")
            scene = views.scene(connection, [row.id], self.loop.clock.now(), self._glance)
            env = read.environment(connection, row.id)
            return views.job(scene, row, self._look, self._log_path, env, values)

        return _reply(await self.store.read(look))

    async def wait(self, request: web.Request) -> web.Response:
        """GET wait: answers as soon as one of the jobs that were live has ended, or all have, or the time is up."""
        words = request.query.get("jobs", "").split(",")
        if not all(word.isdecimal() and len(word) <= MAX_DIGITS for word in words):
            raise BadRequest("wait for which jobs? jobs=1,2")
        numbers = list(dict.fromkeys(map(int, words)))
        if len(numbers) > MAX_ROWS:
            raise BadRequest(f"wait for at most {MAX_ROWS} jobs at a time")
        end = time.monotonic() + _within(request, 30.0)
        ended_at_first: int | None = None
        while True:
            revision = self.loop.bus.revision
            rows = await self.store.read(self._rows, numbers)
            if missing := set(numbers) - {row.id for row in rows}:
                raise NotFound(f"there is no job {min(missing)}: see labsched status -a, or labsched history")
            ended = sum(row.state is State.ENDED for row in rows)
            ended_at_first = ended if ended_at_first is None else ended_at_first
            done = ended == len(rows)
            left = end - time.monotonic()
            if done or ended > ended_at_first or left <= 0 or self.loop.draining:
                return _reply(wire.Waited(done, rows))
            await self.loop.bus.wait(revision, left)

    async def pools(self, _request: web.Request) -> web.Response:
        """GET pools"""
        return _reply(await self.store.read(self._pools))

    async def doctor(self, _request: web.Request) -> web.Response:
        """GET doctor"""
        known = await self.store.read(lines.all_pools)
        assert self.loop.engine is not None
        trouble = self.loop.trouble or self.loop.engine.trouble
        sort, shared = msgspec.structs.asdict(self.config.sort), self.config.daemon.shared_account
        found = await asyncio.to_thread(lambda: tuple(findings(self.state, known, sort, shared, trouble)))
        return _reply(wire.Doctor(found))

    async def log(self, request: web.Request) -> web.StreamResponse:
        """GET log: what an attempt has written; with `follow`, also what it and the stages after it will write."""
        follow, count, offset = _flag(request, "follow"), _number(request, "lines"), _number(request, "offset")
        if count is not None and offset is not None:
            raise BadRequest("give lines or offset, not both")
        stage, number = request.query.get("stage"), _number(request, "attempt")

        def look(connection: sa.Connection) -> logs.Start:
            job = find_job(connection, _ref(request))
            may_touch(request[PERSON], job.uid, f"the log of job {job.id}")
            return logs.choose(connection, job, stage, number, follow)

        start = await self.store.read(look)
        follower = logs.Follower(self.store, self.loop.bus, self.loop.folder)
        begin, file = offset or 0, None
        with contextlib.suppress(FileNotFoundError):  # not yet, or it failed before there was one
            if start.row is not None:
                file = follower.path(start.row).open("rb")
                begin = begin if count is None else logs.tail_start(follower.path(start.row), count)
        try:
            about = wire.LogStart(start.job, start.stage, start.number, begin)
            response = web.StreamResponse(headers={wire.LogStart.HEADER: msgspec.json.encode(about).decode()})
            response.content_type, response.charset = "text/plain", "utf-8"
            if follow:
                return await self._send(request, response, follower.pieces(start, begin))
            # A length, so that a reader knows what it did not get.
            left = max(os.fstat(file.fileno()).st_size - begin, 0) if file else 0
            response.content_length = left
            return await self._send(request, response, _part(file, begin, left))
        finally:
            if file is not None:
                file.close()

    async def _send(
        self, request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        """Send all pieces, or end the connection in the middle: what looks complete is complete."""
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        watch = asyncio.create_task(self._until_gone(request, task))
        try:
            async for piece in pieces:
                await response.write(piece)
            await response.write_eof()
        except ConnectionError:
            pass  # whoever asked has gone
        except Exception:
            log.exception("%s %s", request.method, request.path)
            if request.transport is not None:
                request.transport.abort()
        finally:
            watch.cancel()
        return response

    async def _until_gone(self, request: web.Request, task: asyncio.Task[object]) -> None:
        """Cancel the task once nobody reads its answer (a silent log would not notice for days), or when we stop."""
        while (transport := request.transport) is not None and not transport.is_closing():
            if self.loop.draining:
                transport.abort()
                break
            await self.loop.bus.wait(self.loop.bus.revision, GONE_S)
        task.cancel()

    # -- verbs ------------------------------------------------------------------------------------------------------

    async def submit(self, request: web.Request) -> web.Response:
        """POST jobs"""
        asked = await _body(request, requests.Submit)
        person = request[PERSON]
        specs = [replace(job, env={**asked.env, **job.env}) for job in asked.jobs]
        if not specs:
            raise BadRequest("there is no job in the request")

        def work(connection: sa.Connection) -> list[int]:
            slots = {name: pool.slots for name, pool in lines.all_pools(connection).items()}
            for spec in specs:
                if why := problem(spec, slots):
                    raise BadRequest(why)
            return submit(connection, specs, person.name, person.uid, self.loop.clock.now())

        numbers = await self._change(work)
        return _reply(
            wire.Submitted(tuple(wire.Ref(n, spec.name) for n, spec in zip(numbers, specs, strict=True))), 201
        )

    async def verb(self, request: web.Request) -> web.Response:
        """POST jobs/VERB"""
        asked = await _body(request, requests.Verb)
        person = request[PERSON]
        now = self.loop.clock.now()
        what = request.match_info["verb"]
        one: dict[str, Callable[[sa.Connection, int], list[int] | None]] = {
            "cancel": lambda c, job: verbs.cancel(c, job, now, person.name, asked.reason),
            "retry": lambda c, job: verbs.retry(c, job, now, person.name, asked.from_stage),
            "hold": lambda c, job: verbs.hold(c, job, now, person.name),
            "release": lambda c, job: verbs.release(c, job, now, person.name),
        }
        if what not in one:
            raise NotFound(f"there is no verb {what}; known are {', '.join(one)}")
        if not asked.jobs:
            raise BadRequest(f"{what} which jobs?")
        if len(asked.jobs) > MAX_REFS:
            raise BadRequest(f"{what} at most {MAX_REFS} jobs at a time")

        def work(connection: sa.Connection) -> tuple[list[int], list[int]]:
            found = [find_job(connection, ref) for ref in asked.jobs]
            for job in found:
                may_touch(person, job.uid, f"job {job.id}")
            numbers = list(dict.fromkeys(job.id for job in found))
            had_ended = {number for number in numbers if verbs.has_ended(connection, number)}
            stops: list[int] = []
            # A job's end or return may end or bring back those after it, which are younger: nobody asked for it twice.
            for number in sorted(numbers, reverse=what == "cancel"):
                if what == "retry" and number in had_ended and not verbs.has_ended(connection, number):
                    continue
                stops += one[what](connection, number) or []
            stopping = [row.id for row in read.open_rows(connection) if row.stage_id in stops]
            return numbers, stopping

        numbers, stopping = await self._change(work)
        assert self.loop.engine is not None
        for attempt in stopping:
            self.loop.engine.stop(attempt)
        if stopping:
            await self._all_ended(numbers)
        return _reply(wire.Jobs(await self.store.read(self._rows, numbers)))

    async def set_pool(self, request: web.Request) -> web.Response:
        """POST pools/NAME"""
        asked = await _body(request, requests.PoolSet)
        person = request[PERSON]
        if not person.admin:
            raise Forbidden("pools belong to everybody: ask an admin")
        if asked.slots is not None and not 0 <= asked.slots <= 1_000_000:
            raise BadRequest(f"a pool cannot have {asked.slots} slots")
        name = request.match_info["name"]
        await self._change(
            lambda c: verbs.set_pool(c, name, self.loop.clock.now(), person.name, asked.slots, asked.paused)
        )
        return _reply(await self.store.read(self._pools))

    # -- parts ------------------------------------------------------------------------------------------------------

    async def _change(self, work: Callable[[sa.Connection], T]) -> T:
        result = await self.store.write(work)
        self.loop.bus.changed()
        self.loop.wake()
        return result

    async def _all_ended(self, numbers: list[int]) -> None:
        """Until these jobs have ended, so that a cancel's answer is true; or until it takes unheard-of long."""
        end = time.monotonic() + self.config.daemon.stop_grace + 20
        while True:
            revision = self.loop.bus.revision
            rows = await self.store.read(self._rows, numbers)
            left = end - time.monotonic()
            if all(row.state is State.ENDED for row in rows):
                return
            if left <= 0:
                live = ", ".join(str(row.id) for row in rows if row.state is not State.ENDED)
                raise TryLater(f"job {live} is asked to stop, but has not yet: its processes are stuck in the kernel")
            await self.loop.bus.wait(revision, left)

    def _rows(self, connection: sa.Connection, ids: list[int]) -> tuple[wire.JobRow, ...]:
        scene = views.scene(connection, ids, self.loop.clock.now(), self._glance)
        return tuple(views.job_row(scene, row, self._look) for row in scene.records.jobs)

    def _pools(self, connection: sa.Connection) -> wire.Pools:
        return wire.Pools(views.pools(connection, lines.snapshot(connection)))

    def _look(self, folder: str) -> Look:
        assert self.loop.engine is not None
        return self.loop.engine.look(str(self.loop.folder / folder))

    def _glance(self, folder: str) -> Look:
        assert self.loop.engine is not None
        return self.loop.engine.look(str(self.loop.folder / folder), memory=False)

    def _log_path(self, folder: str) -> str:
        return str(self.loop.folder / folder / rundir.LOG)


def _reply(message: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(message), status=status, content_type="application/json")


async def _body(request: web.Request, kind: type[T]) -> T:
    return msgspec.json.decode(await request.read(), type=kind)


def _ref(request: web.Request) -> str:
    ref = request.query.get("ref")
    if not ref:
        raise BadRequest("which job? ref=NUMBER or a name")
    return ref


def _number(request: web.Request, name: str) -> int | None:
    word = request.query.get(name)
    if word is None:
        return None
    if not word.isdecimal() or len(word) > MAX_DIGITS:
        raise BadRequest(f"{name}={word!r} is not a number")
    return int(word)


def _flag(request: web.Request, name: str) -> bool:
    word = request.query.get(name, "0")
    if word not in ("0", "1"):
        raise BadRequest(f"{name}={word!r} is neither 0 nor 1")
    return word == "1"


async def _part(file: BinaryIO | None, start: int, left: int) -> AsyncIterator[bytes]:
    if file is not None:
        file.seek(start)
        while left and (block := file.read(min(left, logs.BLOCK))):
            left -= len(block)
            yield block


def _in_brief(record: logging.LogRecord) -> bool:
    """What is no HTTP is a mistake of whoever sent it: a line of the daemon's log, and no traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError | web.RequestPayloadError):
        record.msg, record.args, record.exc_info = f"refused what is no HTTP: {' '.join(str(error).split())}", (), None
    return True


def _within(request: web.Request, otherwise: float) -> float:
    try:
        seconds = float(request.query.get("within", otherwise))
    except ValueError:
        raise BadRequest("within is not a number of seconds") from None
    return min(seconds, MAX_WITHIN) if seconds > 0 else 0.0
