"""What systemd is told, in the words of sd_notify(3): ready, reloading, stopping, how things are, and that we live."""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator, MutableMapping

from labsched.daemon.loop import Loop
from labsched.errors import LabschedError
from labsched.store import read
from labsched.store.engine import Store

log = logging.getLogger("labsched")
OFTEN_S = 1.0  # the least time between two words on how things are
SELDOM_S = 30.0  # the most time until trouble is told that changes nothing in the queue


class Notify:
    """Tells whoever listens on $NOTIFY_SOCKET; without one, nobody. Takes its variables out of `environ`."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        period, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address[:1] in ("/", "@") else None
        if self._socket is not None:
            self._socket.setblocking(False)
        elif address:
            log.warning("NOTIFY_SOCKET is neither a path nor an abstract name, so nobody is told: %s", address)
        #: Seconds within which a sign of life is expected; None where nobody waits for one.
        self.watchdog: float | None = None
        if self._socket is not None and period.isdecimal() and int(period) and pid in ("", str(os.getpid())):
            self.watchdog = int(period) / 1e6

    def send(self, *words: str) -> None:
        """Send assignments such as READY=1. Never fails: that nobody hears us is no reason to stop."""
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(words).encode(), self._address)
        except OSError as error:
            log.warning("systemd cannot be told %s: %s", words[0].partition("=")[0], error.strerror or error)

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def status(self, sentence: str) -> None:
        """Say what `systemctl status` shows."""
        self.send(_status(sentence))

    def ready(self, sentence: str) -> None:
        """The socket is served."""
        self.send("READY=1", _status(sentence))

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """While the configuration is read again; then we are ready again, also where that failed."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self.send("READY=1")

    def stopping(self) -> None:
        """The end has begun."""
        self.send("STOPPING=1", _status("stopping; what runs goes on"))

    async def keep_alive(self, store: Store) -> None:
        """Give a sign of life at half the watchdog's time, for as long as the store's writer answers; for ever.

        That we come to it at all shows that the event loop turns; that the writer answers, that jobs can be recorded.
        An error is an answer, too: a restart would not make room on a full disk.
        """
        if self.watchdog is None:
            return
        while True:
            begun = time.monotonic()
            with contextlib.suppress(Exception):
                await store.write(_nothing)
            self.send("WATCHDOG=1")
            await asyncio.sleep(max(0.0, begun + self.watchdog / 2 - time.monotonic()))

    async def follow(self, loop: Loop) -> None:
        """Say how things are whenever they change; for ever."""
        if self._socket is None:
            return
        said = ""
        while True:
            revision = loop.bus.revision
            with contextlib.suppress(LabschedError):  # it is tried again
                sentence = await how(loop)
                if sentence != said:
                    self.status(sentence)
                said = sentence
            await asyncio.sleep(OFTEN_S)
            await loop.bus.wait(revision, SELDOM_S)


async def how(loop: Loop) -> str:
    """What runs and what waits, or why nothing starts; raises TryLater."""
    trouble = loop.trouble or (loop.engine.trouble if loop.engine is not None else None)
    if trouble is not None:
        return f"nothing starts: {trouble}"
    running, waiting, _ = await loop.store.read(read.counts, loop.clock.now())
    return f"{running} running, {waiting} waiting"


def _nothing(_connection: object) -> None:
    """A transaction that changes nothing, and so writes nothing to the disk."""


def _status(sentence: str) -> str:
    return f"STATUS={' '.join(sentence.split())}"
