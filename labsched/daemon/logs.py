"""Sending an attempt's log, and following it as it grows."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from asyncinotify import Inotify, Mask

BLOCK = 65_536


def tail_start(path: Path, lines: int) -> int:
    """Where the last `lines` lines of a file begin, in bytes, without reading what comes before them."""
    with path.open("rb") as file:
        position = file.seek(0, 2)
        if lines <= 0 or position == 0:
            return position
        file.seek(position - 1)
        missing = lines + (file.read(1) == b"\n")  # a newline at the end closes a line, it does not begin one
        while position > 0:
            step = min(BLOCK, position)
            position -= step
            file.seek(position)
            block = file.read(step)
            at = len(block)
            while (at := block.rfind(b"\n", 0, at)) >= 0:
                missing -= 1
                if missing == 0:
                    return position + at + 1
        return 0


async def pieces(path: Path, start: int, ended: asyncio.Event | None) -> AsyncIterator[bytes]:
    """The file from `start` on; with `ended`, also what is still to be written, until that is set."""
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(BLOCK):
            yield block
        if ended is None:
            return
        with Inotify() as inotify:
            inotify.add_watch(path, Mask.MODIFY)
            while True:
                done = ended.is_set()
                while block := file.read(BLOCK):
                    yield block
                if done:
                    return
                await _either(inotify, ended)


async def _either(inotify: Inotify, ended: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(inotify.get()), asyncio.ensure_future(ended.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
