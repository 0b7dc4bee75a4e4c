"""Handing out a copy of the queue, for `labsched backup`."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from labsched.core.units import size
from labsched.daemon.desk import PERSON, Desk
from labsched.daemon.streams import Streams
from labsched.errors import Forbidden, TryLater
from labsched.store import backup
from labsched.store.moves import record

BLOCK = 1024**2


class Backups:
    """The handler of GET backup."""

    def __init__(self, desk: Desk, streams: Streams) -> None:
        self.desk = desk
        self.streams = streams
        self._one = asyncio.Lock()  # copy at a time: each takes the room of the queue on its disk

    async def backup(self, request: web.Request) -> web.StreamResponse:
        """GET backup: the queue as it is now, as one file."""
        if not request[PERSON].admin:
            raise Forbidden("a backup holds everybody's environments: ask an admin")
        async with self._one:
            file = await asyncio.to_thread(_copy, self.desk.state)
        with file:
            left = file.seek(0, 2)
            file.seek(0)
            await self._tell(request[PERSON].name, left)
            response = web.StreamResponse()
            response.content_type, response.content_length = "application/vnd.sqlite3", left
            return await self.streams.send(request, response, _pieces(file))

    async def _tell(self, user: str, size: int) -> None:
        with suppress(TryLater):  # a full disk is a reason to have a copy, not to get none
            now = self.desk.loop.clock.now()
            await self.desk.store.write(record, "queue.copied", now, user=user, data={"bytes": size})
        self.desk.loop.bus.changed()


def _copy(state: Path) -> BinaryIO:
    """A copy that is gone when it is closed, or when the daemon dies. Raises TryLater."""
    folder = state / backup.FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    needed, free = (state / backup.QUEUE).stat().st_size, shutil.disk_usage(folder).free
    if free < needed:  # else it would fill the disk on which the daemon itself writes
        raise TryLater(f"a copy of the queue takes {size(needed)}, and {folder} has {size(free)} left: make room there")
    path = folder / f"copy-{secrets.token_hex(8)}{backup.PART}"
    backup.copy(state / backup.QUEUE, path)
    try:
        return path.open("rb")
    finally:
        path.unlink()


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while block := await asyncio.to_thread(file.read, BLOCK):
        yield block
