"""An engine without a daemon: attempts are started in a folder, and what is told of them is kept."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from labsched.core.model import Began, Ended, Fact
from labsched.engines.base import Order
from labsched.engines.local import Local

BOOT = "this boot"
NICE = 3


class Place:
    """A folder for attempts, and the engine that runs them at the moment."""

    def __init__(self, folder: Path, grace: float = 1.0) -> None:
        self.folder = folder
        self.grace = grace
        self.facts: list[Fact] = []
        self.engine = self._new()
        self.last = 0

    def _new(self, boot_id: str = BOOT) -> Local:
        return Local(self.facts.append, boot_id=boot_id, grace=self.grace, nice=NICE)

    def order(self, *argv: str, cwd: str = "/", time_limit: float | None = None, **env: str) -> Order:
        self.last += 1
        folder = str(self.folder / str(self.last))
        return Order(
            self.last, folder, argv, cwd, {"PATH": os.environ["PATH"], **env}, (), time_limit, BOOT, float(self.last)
        )

    def python(self, script: str, **more: str) -> Order:
        return self.order(sys.executable, "-I", "-c", script, **more)

    async def restart(self, boot_id: str = BOOT) -> None:
        """Another engine, as another daemon would have; what the old one was told is forgotten."""
        await self.engine.close()
        self.facts.clear()
        self.engine = self._new(boot_id)
        await self.engine.open()

    async def run(self, order: Order) -> Ended:
        """Start it, and wait until it has ended."""
        self.engine.launch(order)
        return await self.end(order)

    async def end(self, order: Order) -> Ended:
        def found() -> list[Ended]:
            return [fact for fact in self.facts if isinstance(fact, Ended) and fact.attempt == order.attempt]

        await until(lambda: bool(found()))
        [fact] = found()
        return fact

    async def began(self, order: Order) -> None:
        await until(lambda: any(isinstance(fact, Began) and fact.attempt == order.attempt for fact in self.facts))


@asynccontextmanager
async def place(folder: Path, grace: float = 1.0) -> AsyncIterator[Place]:
    """A place whose engine is open; what still runs at the end is stopped."""
    it = Place(folder, grace)
    await it.engine.open()
    try:
        yield it
    finally:
        try:
            for attempt in list(it.engine._orders):
                it.engine.stop(attempt)
            await until(lambda: not it.engine._orders)
        finally:
            await it.engine.close()


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until it is true; fail where that takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(0.005)


@contextmanager
def small_disk(folder: Path, kib: int, files: int | None = None) -> Iterator[None]:
    """A disk of so many KiB, and files, at `folder`; skips the test where nobody may mount one."""
    room = f"size={kib}k" if files is None else f"size={kib}k,nr_inodes={files}"
    words = ["mount", "-t", "tmpfs", "-o", room, "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path, leave: int = 0) -> None:
    """Fill the disk that `path` is on with that file, but for `leave` pages of 4 KiB."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(path, path.stat().st_size // 4096 * 4096 - 4096 * leave)


def fill_with_files(folder: Path, leave: int) -> None:
    """Fill the disk that `folder` is on with empty files in it, but for so many."""
    folder.mkdir()
    for number in range(os.statvfs(folder).f_ffree - leave):
        (folder / str(number)).touch()
    assert os.statvfs(folder).f_ffree == leave
