"""A wire for asyncio: what is asked on it is asked in a thread, and can be cut."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from labsched.errors import LabschedError
from labsched.wire.client import Client as Wire

T = TypeVar("T")


class Line(Wire):
    """A wire that can be cut: whoever waits on it then gets an error, and nothing more can be asked."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__(path, timeout)
        self._open: set[socket.socket] = set()
        self._is_cut = False

    def cut(self) -> None:
        """End all that is under way, and let nothing begin."""
        self._is_cut = True
        for connection in list(self._open):
            _shut(connection)

    def _connect(self) -> socket.socket:
        connection = super()._connect()
        self._open = {one for one in self._open if one.fileno() >= 0} | {connection}
        if self._is_cut:  # looked at last: whoever cuts has not seen this connection, or has
            connection.close()
            raise LabschedError("nobody waits for this any more")
        return connection


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed by now
        connection.shutdown(socket.SHUT_RDWR)


async def in_thread(line: Line, work: Callable[[], T]) -> T:
    """What `work` returns, which asks on this line, in a thread of its own: many may wait for days, and a pool of
    threads would be full. Where this is cancelled, the line is cut, and the thread soon ends."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(tell: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            tell(value)

    def go() -> None:
        try:
            tell, value = future.set_result, work()
        except BaseException as error:
            tell, value = future.set_exception, error  # type: ignore[assignment]
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, tell, value)

    threading.Thread(target=go, name="labsched", daemon=True).start()
    try:
        return await future
    except asyncio.CancelledError:
        line.cut()
        raise


async def iterate(line: Line, begin: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """What an iterator on this line yields; the line is cut at its end."""
    end = object()
    try:
        iterator = await in_thread(line, begin)
        while (one := await in_thread(line, lambda: next(iterator, end))) is not end:
            yield one  # type: ignore[misc]
    finally:
        line.cut()
