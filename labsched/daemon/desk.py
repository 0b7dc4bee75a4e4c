"""What all handlers share: the desk that they work at, reading a request, and writing a reply."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

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
from labsched.store import lines, read
from labsched.wire import messages as wire

T = TypeVar("T")
MAX_WITHIN = 60.0  # seconds that a question may wait for its answer
MAX_ROWS = 1_000
MAX_DIGITS = 15  # of a number: SQLite has 64 bits for it
LITTLE = 32_768  # bytes of a request: as many of them may come at a time as one may have connections
SMALL = 65_536  # bytes of an answer that the socket takes at once, or nearly
MAX_STAGES = 20_000  # of one request: nobody else's is done meanwhile
TOGETHER = 250  # jobs of an answer that are looked up at a time
MAX_SENDING = 4  # answers that one person may be taking at a time
PERSON = "person"


class Desk:
    """The loop, its store and the configuration: what handlers need."""

    def __init__(self, loop: Loop, config: Config, config_file: Path | None, state: Path, peers: Peers) -> None:
        self.loop = loop
        self.store = loop.store
        loop.shares = lambda: self.config.limits.slots_per_user
        self.config = config
        self.config_file = config_file
        self.config_trouble: str | None = None  # why the file could not take the place of what was read before
        self.reloaded = asyncio.Event()  # set when the configuration was read again
        self.state = state
        self.peers = peers
        self.since = time.monotonic()
        self.streams: Counter[int] = Counter()  # that are open, by person
        self._reading: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asking: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._under_way: set[asyncio.Transport] = set()
        self._sending: dict[int, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(MAX_SENDING))

    async def change(self, work: Callable[[sa.Connection], T]) -> T:
        """Change something in the queue; what may start then is decided in the same transaction, where that can be."""
        changed = self.store.write.put(work)
        self.loop.follow()
        result = await changed
        self.loop.bus.changed()
        return result

    @asynccontextmanager
    async def body(self, request: web.Request, kind: type[T]) -> AsyncIterator[T]:
        """What a request says, and the time to do it: of each person's large ones, one at a time, for they take memory
        while they come, and until they are done."""
        patience = self.config.limits.patience
        little = request.content_length is not None and request.content_length <= LITTLE
        async with nullcontext() if little else self._reading[request[PERSON].uid]:
            try:
                async with asyncio.timeout(patience):
                    data = await request.read()
            except TimeoutError:
                raise TryLater(f"the request did not come to its end within {patience:g} s") from None
            yield msgspec.json.decode(data, type=kind)

    def turn(self, person: Peer) -> asyncio.Lock:
        """Held while something is looked up: for each person one thing at a time, so that others' come in between."""
        return self._asking[person.uid]

    async def ask(self, person: Peer, look: Callable[..., T], *args: Any) -> T:
        """Look something up, when it is this person's turn."""
        async with self.turn(person):
            return await self.store.read(look, *args)

    async def answer(self, request: web.Request, look: Callable[..., msgspec.Struct], *args: Any) -> web.Response:
        """Look something up and send it. Of each person, a few large answers are under way at a time, and whoever does
        not take theirs is cut off: else they would fill the memory.
        """
        return await self.answer_with(request, self.ask(request[PERSON], look, *args))

    async def answer_with(self, request: web.Request, message: Coroutine[Any, Any, msgspec.Struct]) -> web.Response:
        """Make a message and send it, as `answer` does."""
        with closing(message):  # never begun, where this is cancelled before its turn comes
            async with self._sending[request[PERSON].uid]:
                response = reply(await message)
                await self.send(request, response)
                return response

    async def send(self, request: web.Request, response: web.Response) -> None:
        """Send an answer now, unless it is small; raises ConnectionResetError where nobody takes it."""
        if not isinstance(response.body, bytes) or len(response.body) <= SMALL or request.transport is None:
            return
        transport = request.transport
        self._under_way.add(transport)
        try:
            async with asyncio.timeout(0 if self.loop.draining else self.config.limits.patience):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            transport.abort()
            raise ConnectionResetError("nobody took the answer") from None
        finally:
            self._under_way.discard(transport)

    def cut_off(self) -> None:
        """End all answers that are being sent, for the daemon goes down."""
        for transport in self._under_way:
            transport.abort()

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

    def scene(
        self, connection: sa.Connection, ids: Sequence[int], person: Peer, *, whole: bool = False
    ) -> tuple[views.Scene, views.Looker]:
        """A scene as this person may see it, and how to look at its attempts."""
        now, shares = self.loop.clock.now(), self.loop.shares()
        scene = views.scene(connection, ids, now, self.glance, shares=shares, whole=whole)
        hidden = {str(job.id) for job in scene.records.jobs if not person.sees(job.uid)}

        def look(folder: str) -> Look:
            seen = self.look(folder)
            return sight.dim_look(seen) if folder.partition("/")[0] in hidden else seen

        assert self.loop.engine is not None
        records = sight.dim(scene.records, person)
        return replace(scene, records=records, unfenced=self.loop.engine.unfenced), look

    def rows(self, connection: sa.Connection, ids: Sequence[int], person: Peer) -> tuple[wire.JobRow, ...]:
        scene, look = self.scene(connection, ids, person)
        return tuple(views.job_row(scene, row, look) for row in scene.records.jobs)

    async def many_rows(self, ids: Sequence[int], person: Peer) -> tuple[wire.JobRow, ...]:
        """`rows`, some at a time: what others ask is looked up in between."""
        found: list[wire.JobRow] = []
        for at in range(0, len(ids), TOGETHER):
            found += await self.ask(person, self.rows, ids[at : at + TOGETHER], person)
        return tuple(found)

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


def not_too_many(connection: sa.Connection, numbers: Sequence[int]) -> None:
    """Raise BadRequest where these jobs have more stages than one request may touch."""
    if (count := read.how_many_stages(connection, numbers)) > MAX_STAGES:
        raise BadRequest(f"these jobs have {count} stages together, and a request may touch {MAX_STAGES}: name fewer")


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
