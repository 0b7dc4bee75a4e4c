"""Streams: answers that go on while something happens."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from typing import BinaryIO

import msgspec
import sqlalchemy as sa
from aiohttp import web

from labsched.daemon import logs
from labsched.daemon.desk import PERSON, Desk, flag, number, ref
from labsched.daemon.events import Feed
from labsched.daemon.peers import may_touch
from labsched.daemon.sight import find
from labsched.engines import rundir
from labsched.errors import BadRequest, TryLater
from labsched.store import events
from labsched.wire import messages as wire

log = logging.getLogger(__name__)
GONE_S = 2.0  # between looks whether somebody still follows


class Streams:
    """The handlers of GET whose answer is a stream."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def log(self, request: web.Request) -> web.StreamResponse:
        """GET log: what an attempt has written; with `follow`, also what it and the stages after it will write."""
        follow, count, offset = flag(request, "follow"), number(request, "lines"), number(request, "offset")
        if count is not None and offset is not None:
            raise BadRequest("give lines or offset, not both")
        stage, attempt = request.query.get("stage"), number(request, "attempt")

        def look(connection: sa.Connection) -> logs.Start:
            job = find(connection, ref(request), request[PERSON])
            may_touch(request[PERSON], job.uid, f"the log of job {job.id}")
            return logs.choose(connection, job, stage, attempt, follow)

        start = await self.desk.store.read(look)
        follower = logs.Follower(self.desk.store, self.desk.loop.bus, self.desk.loop.folder)
        begin, file = offset or 0, None
        try:
            if start.row is not None:
                file = rundir.open_log(follower.folder_of(start.row))
                begin = begin if count is None else logs.tail_start(file, count)
        except FileNotFoundError:
            pass  # not yet, or it failed before there was one
        except BlockingIOError:
            raise TryLater(f"a program of its owner has a lease (fcntl) on the log of job {start.job}") from None
        try:
            about = wire.LogStart(start.job, start.stage, start.number, begin)
            response = web.StreamResponse(headers={wire.LogStart.HEADER: msgspec.json.encode(about).decode()})
            response.content_type, response.charset = "text/plain", "utf-8"
            if follow:
                return await self.send(request, response, follower.pieces(start, begin))
            # A length, so that a reader knows what it did not get.
            left = max(os.fstat(file.fileno()).st_size - begin, 0) if file else 0
            response.content_length = left
            return await self.send(request, response, _part(file, begin, left))
        finally:
            if file is not None:
                file.close()

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET events: what has changed after an event; with `follow`, also what will."""
        follow, limit = flag(request, "follow"), number(request, "limit")
        after, count = number(request, "after"), number(request, "last")
        if after is not None and count is not None:
            raise BadRequest("give after or last, not both")

        def look(connection: sa.Connection) -> tuple[int, int | None]:
            job = find(connection, ref(request, "job"), request[PERSON]).id if "job" in request.query else None
            if count is not None:
                return events.before_last(connection, count, job), job
            events.check_known(connection, after or 0)
            return after or 0, job

        start, job = await self.desk.store.read(look)
        feed = Feed(self.desk.store, self.desk.loop.bus, request[PERSON], job)
        response = web.StreamResponse()
        response.content_type, response.charset = "application/x-ndjson", "utf-8"
        return await self.send(request, response, feed.lines(start, limit, follow))

    async def send(
        self, request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        """Send all pieces, or end the connection in the middle: what looks complete is complete."""
        with self.desk.streaming(request[PERSON]):
            return await self._send_now(request, response, pieces)

    async def _send_now(
        self, request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes]
    ) -> web.StreamResponse:
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
            if self.desk.loop.draining:
                transport.abort()
                break
            await self.desk.loop.bus.wait(self.desk.loop.bus.revision, GONE_S)
        task.cancel()


async def _part(file: BinaryIO | None, start: int, left: int) -> AsyncIterator[bytes]:
    if file is not None:
        file.seek(start)
        while left and (block := file.read(min(left, logs.BLOCK))):
            left -= len(block)
            yield block
