"""The writer: what it said is on disk, whatever happens next; and nobody pays for another's mistake."""

import asyncio
import multiprocessing
import os
import resource
import shutil
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import sqlalchemy as sa

from labsched.errors import Refused, TryLater
from labsched.store.engine import Store, open_engine
from labsched.store.moves import record
from labsched.store.submit import submit
from labsched.store.tables import events
from tests.store.worlds import job

fork = multiprocessing.get_context("fork")


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    store = Store(path)
    try:
        yield store
    finally:
        store.close()


def note(connection: sa.Connection, word: str, size: int = 0) -> None:
    """Write something small, or of this many bytes."""
    record(connection, word, 1.0, data={"filling": "x" * size})


def notes(path: Path) -> list[str]:
    """What is on disk, seen from outside."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [kind for (kind,) in connection.execute("SELECT kind FROM events ORDER BY id")]


class Oops(Exception):
    """What the one who asked did wrong."""


def fail_halfway(connection: sa.Connection) -> None:
    note(connection, "half")
    raise Oops("in the middle")


def test_many_writes_at_a_time_are_all_on_disk_when_they_return(path: Path) -> None:
    words = [f"w{i}" for i in range(200)]

    async def write() -> None:
        with opened(path) as store:

            async def one(word: str) -> None:
                await store.write(note, word)
                seen.append((word, word in notes(path)) if len(seen) % 20 == 0 else (word, True))

            await asyncio.gather(*map(one, words))

    seen: list[tuple[str, bool]] = []
    asyncio.run(write())
    assert all(there for _, there in seen)
    assert sorted(notes(path)) == sorted(words)


def test_what_arrives_while_one_writes_goes_into_one_transaction(path: Path) -> None:
    async def write() -> None:
        with opened(path) as store:
            busy, go = threading.Event(), threading.Event()

            def slow(_: sa.Connection) -> None:
                busy.set()
                go.wait(10)

            first = asyncio.ensure_future(store.write(slow))
            await asyncio.to_thread(busy.wait, 10)
            rest = [asyncio.ensure_future(store.write(note, f"w{i}")) for i in range(50)]
            await asyncio.sleep(0)
            last = asyncio.ensure_future(store.write(lambda c: notes(path)))
            await asyncio.sleep(0)
            go.set()
            await asyncio.gather(first, *rest)
            assert await last == []  # seen from outside, none of them was there before all of them were

    asyncio.run(write())
    assert len(notes(path)) == 50


def test_one_that_fails_takes_nobody_with_it(path: Path) -> None:
    async def write() -> list[object]:
        with opened(path) as store:
            work = [store.write(fail_halfway) if i % 3 == 1 else store.write(note, f"w{i}") for i in range(9)]
            return await asyncio.gather(*work, return_exceptions=True)

    results = asyncio.run(write())
    assert [isinstance(result, Oops) for result in results] == [i % 3 == 1 for i in range(9)]
    assert notes(path) == [f"w{i}" for i in range(9) if i % 3 != 1]


def test_what_was_written_is_read_at_once(path: Path) -> None:
    async def write() -> None:
        with opened(path) as store:
            for i in range(20):
                await store.write(note, f"w{i}")
                count = await store.read(lambda c: c.execute(sa.select(sa.func.count()).select_from(events)).scalar())
                assert count == i + 1

    asyncio.run(write())


def test_the_reader_cannot_be_held_up_by_the_writer(path: Path) -> None:
    async def look() -> None:
        with opened(path) as store:
            busy, go = threading.Event(), threading.Event()

            def slow(connection: sa.Connection) -> None:
                note(connection, "slow")
                busy.set()
                go.wait(10)

            writing = asyncio.ensure_future(store.write(slow))
            await asyncio.to_thread(busy.wait, 10)
            assert await asyncio.wait_for(store.read(lambda c: c.execute(sa.select(events)).all()), 5) == []
            go.set()
            await writing

    asyncio.run(look())


def test_who_stops_waiting_does_not_stop_the_others(path: Path) -> None:
    async def write() -> None:
        with opened(path) as store:
            gone = asyncio.ensure_future(store.write(note, "gone"))
            await asyncio.sleep(0)
            gone.cancel()
            await store.write(note, "there")

    asyncio.run(write())
    assert notes(path) == ["gone", "there"]


def test_closing_finishes_what_was_given_and_takes_nothing_more(path: Path) -> None:
    async def write() -> None:
        store = Store(path)
        work = [asyncio.ensure_future(store.write(note, f"w{i}")) for i in range(20)]
        await asyncio.sleep(0)
        store.close()
        await asyncio.gather(*work)
        with pytest.raises(TryLater, match="closed"):
            await asyncio.wait_for(store.write(note, "late"), 5)

    asyncio.run(write())
    assert len(notes(path)) == 20


def test_a_store_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(TryLater, match="unable to open"):
        Store(tmp_path / "nowhere" / "queue.db").close()


def test_a_folder_may_have_any_name(blank: Path, tmp_path: Path) -> None:
    folder = tmp_path / "what? 100% #1 é"
    folder.mkdir()
    shutil.copy(blank, folder / "queue.db")

    async def write() -> None:
        with opened(folder / "queue.db") as store:
            await store.write(note, "here")

    asyncio.run(write())
    assert notes(folder / "queue.db") == ["here"]


# -- what dies in the middle


def until_killed(path: Path, acknowledged: Connection) -> None:
    """Submit jobs of two stages, many at a time, and tell of each that it is done."""

    async def write() -> None:
        with opened(path) as store:

            async def one(worker: int) -> None:
                while True:
                    (number,) = await store.write(submit, [job("one", "two", name=f"w{worker}")], "ann", 1000, 1.0)
                    acknowledged.send(number)

            await asyncio.gather(*map(one, range(8)))

    asyncio.run(write())


def test_what_was_acknowledged_survives_kill_9_and_nothing_is_half_there(path: Path) -> None:
    for _ in range(3):
        ours, theirs = fork.Pipe(duplex=False)
        child = fork.Process(target=until_killed, args=(path, theirs))
        child.start()
        theirs.close()
        told = [ours.recv() for _ in range(50)]
        child.kill()
        child.join()
        while True:
            try:
                told.append(ours.recv())
            except (EOFError, OSError):
                break
        ours.close()
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            query = (
                "SELECT jobs.id, count(job_id), count(line) FROM jobs LEFT JOIN stages ON job_id = jobs.id GROUP BY 1"
            )
            found = {number: (count, in_line) for number, count, in_line in connection.execute(query)}
            edges = connection.execute("SELECT count(*) FROM dependencies").fetchone()[0]
        assert set(told) <= set(found)
        assert set(found.values()) == {(2, 1)}
        assert edges == len(found)


def die_in_the_middle(path: Path) -> None:
    async def write() -> None:
        with opened(path) as store:
            await store.write(note, "before")

            def die(connection: sa.Connection) -> None:
                note(connection, "half", size=1_000_000)
                os._exit(9)

            await asyncio.gather(store.write(note, "together"), store.write(die))

    asyncio.run(write())


def test_a_death_in_the_middle_of_a_transaction_leaves_nothing_of_it(path: Path) -> None:
    child = fork.Process(target=die_in_the_middle, args=(path,))
    child.start()
    child.join(30)
    assert child.exitcode == 9
    assert [word for word in notes(path) if word != "together"] == ["before"]


# -- full disks and other programs


async def fill(path: Path, room: "Room", size: int) -> None:
    with opened(path) as store:
        await store.write(note, "before")
        room.shrink()
        work = [store.write(note, "small"), store.write(note, "big", size=size), store.write(note, "small")]
        for result in await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), 20):
            assert result is None or (isinstance(result, TryLater) and "make room" in str(result)), repr(result)
        with pytest.raises(TryLater, match="make room"):
            await asyncio.wait_for(store.write(note, "big", size=size), 20)
        assert await store.read(lambda c: len(c.execute(sa.select(events)).all())) >= 1
        room.grow()
        await asyncio.wait_for(store.write(note, "after"), 20)
    kept = notes(path)
    assert (kept[0], kept[-1]) == ("before", "after")
    assert "big" not in kept


class Room:
    """What there is to write to: less, then more."""

    def shrink(self) -> None: ...

    def grow(self) -> None: ...


class Limit(Room):
    """The kernel's limit on how large a file of this process may become."""

    def shrink(self) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, self.before[1]))

    def grow(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


class Disk(Room):
    """A small file system that another file fills."""

    def __init__(self, folder: Path) -> None:
        self.filler = folder / "filler"

    def shrink(self) -> None:
        with self.filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(100_000))
        os.truncate(self.filler, self.filler.stat().st_size - 200_000)  # as if something small still fitted

    def grow(self) -> None:
        self.filler.unlink()


# Where it fails depends on the size: at the commit, or in the statement itself once it no longer fits SQLite's cache.
sizes = pytest.mark.parametrize("size", [4_000_000, 20_000_000])


@sizes
def test_a_file_that_may_not_grow_is_a_sentence_and_loses_nothing(path: Path, size: int) -> None:
    def limited() -> None:
        asyncio.run(fill(path, Limit(), size))

    child = fork.Process(target=limited)  # a limit of our own might hit whoever runs the tests
    child.start()
    child.join(60)
    assert child.exitcode == 0


@sizes
def test_a_full_disk_is_a_sentence_and_loses_nothing(blank: Path, small_disk: Path, size: int) -> None:
    path = Path(shutil.copy(blank, small_disk / "queue.db"))
    asyncio.run(fill(path, Disk(small_disk), size))


def test_a_database_in_use_by_another_program_is_a_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labsched.store.engine.BUSY_TIMEOUT_S", 0.01)

    async def write() -> None:
        with opened(path) as store, closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(TryLater, match="in use by another program"):
                await store.write(note, "now")
            other.rollback()
            await store.write(note, "then")

    asyncio.run(write())
    assert notes(path) == ["then"]


def test_a_refusal_comes_back_as_it_is(path: Path) -> None:
    async def write() -> None:
        with opened(path) as store:
            await store.write(submit, [job(key="k")], "ann", 1000, 1.0)
            with pytest.raises(Refused, match="as job 1"):
                await store.write(submit, [job(key="k")], "ann", 1000, 1.0)

    asyncio.run(write())


def test_a_commit_waits_for_the_disk(path: Path) -> None:
    with open_engine(path).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
