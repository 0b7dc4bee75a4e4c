"""The gate before the API: so many connections for each person, so that nobody takes them all.

One that is too many is told so, and closed. One that has asked nothing after some time is closed too, be it silent,
or slow to say what it wants. (How long a body may take, and an answer, `desk` says.)
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import cast
from weakref import WeakKeyDictionary

import msgspec

from labsched.daemon.peers import peer_uid
from labsched.wire.messages import Error


class Gate:
    """Makes a protocol for each connection, for asyncio; `server` makes those behind it, and is set before the first.

    `limit` says how many connections one person may have at a time, `patience` how many seconds the line and the
    headers of a connection's first request may take.
    """

    def __init__(self, limit: Callable[[], int], patience: Callable[[], float]) -> None:
        self.patience = patience
        self.server: Callable[[], asyncio.BaseProtocol] | None = None
        self.limit = limit
        self.open: Counter[int] = Counter()
        self._timers: WeakKeyDictionary[asyncio.BaseTransport, asyncio.TimerHandle] = WeakKeyDictionary()

    def asked(self, transport: asyncio.BaseTransport) -> None:
        """Take note that a request has come by this transport."""
        if (timer := self._timers.pop(transport, None)) is not None:
            timer.cancel()

    def await_request(self, transport: asyncio.Transport) -> None:
        """Close this transport unless a request comes in time."""
        self._timers[transport] = asyncio.get_running_loop().call_later(self.patience(), transport.abort)

    def __call__(self) -> asyncio.Protocol:
        """A protocol for one connection."""
        return _Door(self)


class _Door(asyncio.Protocol):
    """One connection: what comes is handed on to the protocol behind, where there is one."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.behind: asyncio.Protocol | None = None
        self.uid: int | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        uid = peer_uid(transport.get_extra_info("socket"))
        limit = self.gate.limit()
        if self.gate.open[uid] >= limit:
            _turn_away(transport, limit)
            return
        assert self.gate.server is not None
        self.uid = uid
        self.gate.open[uid] += 1
        self.behind = cast(asyncio.Protocol, self.gate.server())
        self.transport = transport
        self.behind.connection_made(transport)
        self.gate.await_request(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:
            self.gate.asked(self.transport)
        if self.uid is not None:
            self.gate.open[self.uid] -= 1
            if not self.gate.open[self.uid]:
                del self.gate.open[self.uid]
        if self.behind is not None:
            self.behind.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self.behind is not None:
            self.behind.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self.behind is None else self.behind.eof_received()

    def pause_writing(self) -> None:
        if self.behind is not None:
            self.behind.pause_writing()

    def resume_writing(self) -> None:
        if self.behind is not None:
            self.behind.resume_writing()


def _turn_away(transport: asyncio.Transport, limit: int) -> None:
    """Say why, without waiting for the question: whoever does not ask should not stay either."""
    words = f"you have {limit} connections to the daemon already: end some of them, or try later"
    body = msgspec.json.encode(Error(words))
    head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    transport.close()
