"""What all handlers share: the desk that they work at, reading a request, and writing a reply."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec
import sqlalchemy as sa
from aiohttp import web

from labsched.config import Config
from labsched.daemon import sight, views
from labsched.daemon.loop import Loop
from labsched.daemon.peers import Peer, Peers
from labsched.engines import rundir
from labsched.engines.base import Look
from labsched.errors import BadRequest, TryLater
from labsched.store import lines
from labsched.wire import messages as wire

T = TypeVar("T")
MAX_WITHIN = 60.0  # seconds that a question may wait for its answer
MAX_ROWS = 1_000
MAX_DIGITS = 15  # of a number: SQLite has 64 bits for it
PATIENCE_S = 30.0  # for a request to come to its end
PERSON = "person"


class Desk:
    """The loop, its store and the configuration: what handlers need."""

    def __init__(self, loop: Loop, config: Config, config_file: Path | None, state: Path, peers: Peers) -> None:
        self.loop = loop
        self.store = loop.store
        self.config = config
        self.config_file = config_file
        self.config_trouble: str | None = None  # why the file could not take the place of what was read before
        self.state = state
        self.peers = peers
        self.since = time.monotonic()
        self.streams: Counter[int] = Counter()  # that are open, by person
        self._reading: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def change(self, work: Callable[[sa.Connection], T]) -> T:
        result = await self.store.write(work)
        self.loop.bus.changed()
        self.loop.wake()
        return result

    async def body(self, request: web.Request, kind: type[T]) -> T:
        """What a request says: one at a time of each person, for a large one takes memory while it comes."""
        async with self._reading[request[PERSON].uid]:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    data = await request.read()
            except TimeoutError:
                raise TryLater(f"the request did not come to its end within {PATIENCE_S:g} s") from None
            return msgspec.json.decode(data, type=kind)

    @contextmanager
    def streaming(self, person: Peer) -> Iterator[None]:
        """While an answer goes on; raises TryLater where this person has too many of them."""
        limit = self.config.limits.streams_per_user
        if self.streams[person.uid] >= limit:
            raise TryLater(f"you follow {limit} logs or streams already: end some of them first")
        self.streams[person.uid] += 1
        try:
            yield
        finally:
            self.streams[person.uid] -= 1

    def scene(self, connection: sa.Connection, ids: list[int], person: Peer) -> tuple[views.Scene, views.Looker]:
        """A scene as this person may see it, and how to look at its attempts."""
        scene = views.scene(connection, ids, self.loop.clock.now(), self.glance)
        hidden = {str(job.id) for job in scene.records.jobs if not person.sees(job.uid)}

        def look(folder: str) -> Look:
            seen = self.look(folder)
            return sight.dim_look(seen) if folder.partition("/")[0] in hidden else seen

        return replace(scene, records=sight.dim(scene.records, person)), look

    def rows(self, connection: sa.Connection, ids: list[int], person: Peer) -> tuple[wire.JobRow, ...]:
        scene, look = self.scene(connection, ids, person)
        return tuple(views.job_row(scene, row, look) for row in scene.records.jobs)

    def pools(self, connection: sa.Connection) -> wire.Pools:
        return wire.Pools(views.pools(connection, lines.snapshot(connection)))

    def troubles(self) -> tuple[str, ...]:
        """What is wrong with the daemon itself, a sentence each."""
        assert self.loop.engine is not None
        stuck = self.loop.trouble or self.loop.engine.trouble
        said = [f"nothing starts: {stuck}"] if stuck else []
        if self.config_trouble:
            said.append(f"the configuration was not taken: {self.config_trouble}")
        return tuple(said)

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


def ref(request: web.Request, name: str = "ref") -> str:
    word = request.query.get(name)
    if not word:
        raise BadRequest(f"which job? {name}=NUMBER or a name")
    return word


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
