"""The database: one thread that writes, one that reads, each with a connection of its own.

Writes that arrive while one is being committed go together into the next transaction: many moves, one fsync. Each is
a savepoint of its own, so one that fails takes nobody with it.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from labsched.errors import LabschedError, TryLater
from labsched.faults import point
from labsched.store.prepared import driver

T = TypeVar("T")
Work = Callable[[sa.Connection], T]
BUSY_TIMEOUT_S = 30.0
READ, WRITE = "BEGIN", "BEGIN IMMEDIATE"


def open_engine(path: Path, *, synchronous: str = "FULL") -> sa.Engine:
    """An engine on the file at `path`: WAL, foreign keys, and transactions that begin where we say (not the driver)."""
    url = sa.URL.create("sqlite", database=str(path))  # not as text: a folder may be called `100%?`
    connect_args = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}  # a Worker's is opened for its thread
    engine = sa.create_engine(url, poolclass=NullPool, connect_args=connect_args)

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        try:
            for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", "cache_size=-2000"):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()  # nobody else knows of it yet
            raise

    return engine


class Worker:
    """A thread with a connection: runs what it is given, in order, many in one transaction.

    Raises TryLater where the database cannot be opened.
    """

    def __init__(self, engine: sa.Engine, *, begin: str, name: str) -> None:
        try:
            self._connection = engine.connect()
        except Exception as error:
            raise readable(error) from None
        self._begin = begin
        self._writes = begin == WRITE
        self._closed = False
        self._queue: queue.SimpleQueue[tuple[Work[Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def __call__(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run ``work(connection, *args, **kwargs)`` in the thread; returns once it is committed.

        Raises what the work raises, and TryLater where the disk is full or the worker is closed.
        """
        return await self.put(work, *args, **kwargs)

    def put(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> "asyncio.Future[T]":
        """As a call, but given to the thread at once: what is put one after the other is likely one transaction."""
        if self._closed:  # nobody would ever answer
            raise TryLater("the queue is closed: the daemon is going down")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put((lambda connection: work(connection, *args, **kwargs), future))
        return future

    def close(self) -> None:
        """Finish what was given, then end."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        with self._connection as connection:
            while True:
                batch = [self._queue.get()]
                while not self._queue.empty():
                    batch.append(self._queue.get())
                work = [item for item in batch if item is not None]
                if work:
                    self._together(connection, work)
                if len(work) < len(batch):
                    return

    def _together(self, connection: sa.Connection, batch: list[tuple[Work[Any], asyncio.Future[Any]]]) -> None:
        raw = driver(connection)  # SQLAlchemy knows nothing of our transactions
        alone = len(batch) == 1
        results: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        try:
            raw.execute(self._begin)
            for work, future in batch:
                if not alone:
                    raw.execute("SAVEPOINT work")
                try:
                    results.append((future, work(connection), None))
                except Exception as error:  # handed to whoever asked for the work
                    if alone or not raw.in_transaction:
                        raise  # a full disk: SQLite has undone all of the batch, this savepoint too
                    raw.execute("ROLLBACK TO work")
                    results.append((future, None, readable(error)))
                if not alone:
                    raw.execute("RELEASE work")
            if self._writes:
                point("store.written")
            raw.execute("COMMIT")
            if self._writes:
                point("store.committed")
        except Exception as error:  # nothing of the batch is on disk: everybody is told so
            failed = readable(error)
            results = [(future, None, failed) for _, future in batch]
            if raw.in_transaction:
                raw.execute("ROLLBACK")
        connection.rollback()  # forgets SQLAlchemy's own idea of a transaction; SQLite's has ended above
        results[0][0].get_loop().call_soon_threadsafe(_settle, results)


def readable(error: Exception) -> Exception:
    """A full disk, a busy database or one that cannot be opened as a sentence; anything else unchanged."""
    if isinstance(error, sa.exc.OperationalError | sqlite3.OperationalError):
        what = str(error.orig if isinstance(error, sa.exc.OperationalError) else error)
        if "full" in what or "disk I/O" in what:
            return TryLater(f"the queue cannot be written ({what}): make room on the disk of the state folder")
        if "locked" in what or "busy" in what:
            return TryLater("the queue is in use by another program: close whatever has its database open")
        if "readonly" in what:
            return TryLater("the queue cannot be written: its file is read-only")
        if "unable to open" in what:
            return TryLater(f"the queue cannot be opened ({what}): is its folder there, writable, and not full?")
    if isinstance(error, sa.exc.DatabaseError):
        what = str(error.orig)
        if "malformed" in what or "not a database" in what or "decode to UTF-8" in what:
            return LabschedError(
                f"the queue is damaged ({what}): stop the daemon; at its next start it says what to do"
            )
    return error


def _settle(results: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, result, error in results:
        if future.done():  # whoever asked has gone
            if error is not None and not isinstance(error, LabschedError):
                future.get_loop().call_exception_handler({"message": "work failed for nobody", "exception": error})
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)


class Store:
    """The database, open. `write` and `read` run a function of a connection in their thread, and await it."""

    def __init__(self, path: Path) -> None:
        engine = open_engine(path)
        self.write = Worker(engine, begin=WRITE, name="store-write")
        self.read = Worker(engine, begin=READ, name="store-read")

    def close(self) -> None:
        """Finish what is under way."""
        self.read.close()
        self.write.close()
