"""What broken requests leave in the daemon's log: now and then a line that counts them, nothing of what was in them."""

import asyncio
import logging
import time

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

EVERY_S = 60.0


class Noise(logging.Filter):
    """For aiohttp's own logger: a mistake of whoever asks is told to them, and is no error of ours.

    Else anybody could fill the disk with it, and a traceback would be no sign of a defect any more.
    """

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ConnectionError):  # whoever asked has gone
            return False
        # aiohttp's own: when the daemon stops, its patience may be over in the moment in which an answer is ready.
        if isinstance(error, asyncio.InvalidStateError):
            return False
        if not isinstance(error, HttpProcessingError | web.RequestPayloadError):
            return True
        self._count += 1
        if time.monotonic() < self._next:
            return False
        record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        record.msg, record.args = "requests that are no HTTP were refused: %s since this was last said", (self._count,)
        self._count, self._next = 0, time.monotonic() + EVERY_S
        return True
