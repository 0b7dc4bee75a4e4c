"""What all handlers share: the desk that they work at, reading a request, and writing a reply."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import sqlalchemy as sa
from aiohttp import web

from labsched.config import Config
from labsched.daemon import views
from labsched.daemon.loop import Loop
from labsched.engines import rundir
from labsched.engines.base import Look
from labsched.errors import BadRequest
from labsched.store import lines
from labsched.wire import messages as wire

T = TypeVar("T")
MAX_WITHIN = 60.0  # seconds that a question may wait for its answer
MAX_ROWS = 1_000
MAX_DIGITS = 15  # of a number: SQLite has 64 bits for it
PERSON = "person"


class Desk:
    """The loop, its store and the configuration: what handlers need."""

    def __init__(self, loop: Loop, config: Config, config_file: Path | None, state: Path) -> None:
        self.loop = loop
        self.store = loop.store
        self.config = config
        self.config_file = config_file
        self.state = state
        self.since = time.monotonic()

    async def change(self, work: Callable[[sa.Connection], T]) -> T:
        result = await self.store.write(work)
        self.loop.bus.changed()
        self.loop.wake()
        return result

    def rows(self, connection: sa.Connection, ids: list[int]) -> tuple[wire.JobRow, ...]:
        scene = views.scene(connection, ids, self.loop.clock.now(), self.glance)
        return tuple(views.job_row(scene, row, self.look) for row in scene.records.jobs)

    def pools(self, connection: sa.Connection) -> wire.Pools:
        return wire.Pools(views.pools(connection, lines.snapshot(connection)))

    def look(self, folder: str) -> Look:
        assert self.loop.engine is not None
        return self.loop.engine.look(str(self.loop.folder / folder))

    def glance(self, folder: str) -> Look:
        assert self.loop.engine is not None
        return self.loop.engine.look(str(self.loop.folder / folder), memory=False)

    def log_path(self, folder: str) -> str:
        return str(self.loop.folder / folder / rundir.LOG)


def reply(message: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(message), status=status, content_type="application/json")


async def body(request: web.Request, kind: type[T]) -> T:
    return msgspec.json.decode(await request.read(), type=kind)


def ref(request: web.Request) -> str:
    ref = request.query.get("ref")
    if not ref:
        raise BadRequest("which job? ref=NUMBER or a name")
    return ref


def number(request: web.Request, name: str) -> int | None:
    word = request.query.get(name)
    if word is None:
        return None
    if not word.isdecimal() or len(word) > MAX_DIGITS:
        raise BadRequest(f"{name}={word!r} is not a number")
    return int(word)


def flag(request: web.Request, name: str) -> bool:
    word = request.query.get(name, "0")
    if word not in ("0", "1"):
        raise BadRequest(f"{name}={word!r} is neither 0 nor 1")
    return word == "1"


def within(request: web.Request, otherwise: float) -> float:
    try:
        seconds = float(request.query.get("within", otherwise))
    except ValueError:
        raise BadRequest("within is not a number of seconds") from None
    return min(seconds, MAX_WITHIN) if seconds > 0 else 0.0
