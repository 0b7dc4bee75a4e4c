"""AsyncClient: the same, for asyncio. All but the transport is Client's."""

import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

from labsched import sockets
from labsched.client.asking import Path
from labsched.client.jobs import Job, Jobs, Seen
from labsched.client.line import Line, in_thread, iterate
from labsched.client.sync import Client
from labsched.wire.messages import JobRow

P = ParamSpec("P")
T = TypeVar("T")
Answer = Coroutine[Any, Any, T]


def _of_job(method: Callable[Concatenate[Job, P], T]) -> "Callable[Concatenate[AsyncJob, P], Answer[T]]":
    """A method of Job, to be awaited."""

    @functools.wraps(method)
    async def call(self: "AsyncJob", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._do(method, *args, **kwargs)

    return call


def _itself(method: Callable[Concatenate[Job, P], Job]) -> "Callable[Concatenate[AsyncJob, P], Answer[AsyncJob]]":
    """One that returns the job."""

    @functools.wraps(method)
    async def call(self: "AsyncJob", /, *args: P.args, **kwargs: P.kwargs) -> "AsyncJob":
        await self._do(method, *args, **kwargs)
        return self

    return call


def _each_of_job(
    method: Callable[Concatenate[Job, P], Iterator[T]],
) -> "Callable[Concatenate[AsyncJob, P], AsyncIterator[T]]":
    """One that is iterated."""

    @functools.wraps(method)
    def call(self: "AsyncJob", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        line = self._client._line()
        job = Job(Client._of(line), self.row)
        return iterate(line, lambda: method(job, *args, **kwargs))

    return call


def _same(method: Callable[Concatenate[Client, P], T]) -> "Callable[Concatenate[AsyncClient, P], Answer[T]]":
    """A method of Client, to be awaited."""

    @functools.wraps(method)
    async def call(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._do(method, *args, **kwargs)

    return call


def _job(method: Callable[Concatenate[Client, P], Job]) -> "Callable[Concatenate[AsyncClient, P], Answer[AsyncJob]]":
    """One that returns a job."""

    @functools.wraps(method)
    async def call(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> "AsyncJob":
        return AsyncJob(self, (await self._do(method, *args, **kwargs)).row)

    return call


def _jobs(
    method: Callable[Concatenate[Client, P], Jobs[Job]],
) -> "Callable[Concatenate[AsyncClient, P], Answer[Jobs[AsyncJob]]]":
    """One that returns jobs."""

    @functools.wraps(method)
    async def call(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> "Jobs[AsyncJob]":
        return Jobs(AsyncJob(self, job.row) for job in await self._do(method, *args, **kwargs))

    return call


def _each(
    method: Callable[Concatenate[Client, P], Iterator[T]],
) -> "Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]":
    """One that is iterated."""

    @functools.wraps(method)
    def call(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        line = self._line()
        return iterate(line, lambda: method(Client._of(line), *args, **kwargs))

    return call


class AsyncJob(Seen):
    """A job of an `AsyncClient`: it has the methods of `Job`, to be awaited, or iterated with ``async for``."""

    def __init__(self, client: "AsyncClient", row: JobRow) -> None:
        super().__init__(row)
        self._client = client

    refresh = _itself(Job.refresh)
    wait = _itself(Job.wait)
    cancel = _itself(Job.cancel)
    hold = _itself(Job.hold)
    release = _itself(Job.release)
    retry = _itself(Job.retry)
    details = _of_job(Job.details)
    results = _of_job(Job.results)
    log = _of_job(Job.log)
    follow = _each_of_job(Job.follow)
    events = _each_of_job(Job.events)

    async def _do(self, method: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        line = self._client._line()
        job = Job(Client._of(line), self.row)
        result = await in_thread(line, lambda: method(job, *args, **kwargs))
        self.row = job.row
        return result


class AsyncClient:
    """`Client` for asyncio: it has the same methods, to be awaited, or iterated with ``async for``.

    What is cancelled while it queues or changes something may have been done: look at the status.
    """

    def __init__(self, socket: Path | None = None, timeout: float = 60.0) -> None:
        self._path = sockets.of_client(None if socket is None else os.fspath(socket))
        self._timeout = timeout

    submit = _job(Client.submit)
    add = _job(Client.add)
    add_all = _jobs(Client.add_all)
    status = _same(Client.status)
    jobs = _jobs(Client.jobs)
    job = _job(Client.job)
    history = _jobs(Client.history)
    pools = _same(Client.pools)
    details = _same(Client.details)
    results = _same(Client.results)
    log = _same(Client.log)
    follow = _each(Client.follow)
    events = _each(Client.events)
    wait = _jobs(Client.wait)
    cancel = _jobs(Client.cancel)
    hold = _jobs(Client.hold)
    release = _jobs(Client.release)
    retry = _jobs(Client.retry)

    def _line(self) -> Line:
        return Line(self._path, self._timeout)

    async def _do(self, method: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        line = self._line()
        return await in_thread(line, lambda: method(Client._of(line), *args, **kwargs))
