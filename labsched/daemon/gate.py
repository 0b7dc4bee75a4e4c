"""The gate before the API: so many connections for each person, so that nobody takes them all.

aiohttp gives a connection as long as it likes to say something; here it has `PATIENCE_S` for its first words. One that
is too many is told so, and closed.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from typing import cast

import msgspec

from labsched.daemon.peers import peer_uid
from labsched.wire.messages import Error

PATIENCE_S = 30.0  # for the first words of a connection
TURNED_AWAY_S = 1.0  # for those of one that is too many: it may still read why
ROOM = 64  # connections of one person that are being turned away


class Gate:
    """Makes a protocol for each connection: one of `server`, or one that turns it away.

    `limit` says how many connections one person may have at a time.
    """

    def __init__(self, server: Callable[[], asyncio.BaseProtocol], limit: Callable[[], int]) -> None:
        self.server = server
        self.limit = limit
        self.open: Counter[int] = Counter()

    def __call__(self) -> asyncio.Protocol:
        """A protocol, for asyncio."""
        return _Door(self)

    def full(self, uid: int) -> bool:
        """Whether this person has too many."""
        return self.open[uid] > self.limit()


class _Door(asyncio.Protocol):
    """One connection: what comes is handed on to the protocol behind."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.behind: asyncio.Protocol | None = None
        self.transport: asyncio.Transport | None = None
        self.uid: int | None = None
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        connection: socket.socket = transport.get_extra_info("socket")
        self.transport = transport
        self.uid = peer_uid(connection)
        self.gate.open[self.uid] += 1
        full = self.gate.full(self.uid)
        if full and self.gate.open[self.uid] > self.gate.limit() + ROOM:
            transport.abort()
            return
        if not full:
            self.behind = cast(asyncio.Protocol, self.gate.server())
            self.behind.connection_made(transport)
        seconds = TURNED_AWAY_S if full else PATIENCE_S
        self.timer = asyncio.get_running_loop().call_later(seconds, transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        self._heard()
        if self.uid is not None:
            self.gate.open[self.uid] -= 1
            if not self.gate.open[self.uid]:
                del self.gate.open[self.uid]
        if self.behind is not None:
            self.behind.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self.behind is not None:
            self._heard()
            self.behind.data_received(data)
        elif self.transport is not None and not self.transport.is_closing():
            words = f"you have {self.gate.limit()} connections to the daemon already: end some of them, or try later"
            body = msgspec.json.encode(Error(words))
            head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
            self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            self.transport.close()

    def eof_received(self) -> bool | None:
        return None if self.behind is None else self.behind.eof_received()

    def pause_writing(self) -> None:
        if self.behind is not None:
            self.behind.pause_writing()

    def resume_writing(self) -> None:
        if self.behind is not None:
            self.behind.resume_writing()

    def _heard(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
