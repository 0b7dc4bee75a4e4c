"""Copies of the queue: whole at one moment, closed to others, or not there at all."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from labsched.errors import NotFound, Refused, TryLater
from labsched.store import backup
from labsched.store.health import broken, damage
from tests.engines.place import fill
from tests.store import worlds
from tests.store.worlds import Queue, job


@pytest.fixture
def busy(path: Path) -> Iterator[threading.Event]:
    """Somebody who queues jobs, each with its stages in one transaction, and ends them; set the event to end it."""
    stop = threading.Event()

    def work() -> None:
        with worlds.queue(path) as queue:
            while not stop.is_set():
                queue.submit(job("one", "two"), job("one", "two"))
                for name in [worlds.names([attempt])[0] for attempt in queue.step()]:
                    queue.finish(name)

    thread = threading.Thread(target=work)
    thread.start()
    yield stop
    stop.set()
    thread.join()


def count(path: Path, what: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0])


def test_a_copy_is_the_queue_at_one_moment_though_it_is_written_to(path: Path, busy: object, tmp_path: Path) -> None:
    seen = 0
    for number in range(20):
        target = tmp_path / f"{number}.db"
        backup.copy(path, target)
        assert damage(target, full=True) == broken(target) == []
        assert count(target, "stages") == 2 * count(target, "jobs")
        assert count(target, "jobs") >= seen
        seen = count(target, "jobs")
        assert target.stat().st_mode & 0o777 == 0o600
        assert [file.name for file in tmp_path.glob(f"{number}.db*")] == [target.name]
    assert seen > 0


def test_what_was_deleted_is_in_no_copy(queue: Queue, path: Path, tmp_path: Path) -> None:
    queue.submit(job(env={"TOKEN": "a-secret-word"}))
    queue.do(lambda c: [c.exec_driver_sql(f"DELETE FROM {t}") for t in ("events", "stages", "jobs", "environments")])
    backup.copy(path, tmp_path / "copy.db")
    assert b"a-secret-word" not in (tmp_path / "copy.db").read_bytes()


def test_a_copy_that_is_there_is_not_written_over(path: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("mine")
    with pytest.raises(TryLater, match="File exists"):
        backup.copy(path, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "mine"


@pytest.mark.parametrize("where", [20_000, 40_000, 60_000])
def test_a_damaged_queue_is_not_taken_for_a_backup(queue: Queue, path: Path, tmp_path: Path, where: int) -> None:
    queue.submit(*(job(name=f"job {n}") for n in range(300)))
    queue.close()
    with path.open("r+b") as file:
        file.seek(where)
        file.write(os.urandom(9_000))
    with pytest.raises(Refused, match=r"damaged.*labsched restore FILE --state"):
        backup.copy(path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert damage(path)


def test_without_room_there_is_no_copy(queue: Queue, path: Path, small_disk: Path) -> None:
    queue.submit(*(job(name=f"job {n}") for n in range(300)))
    fill(small_disk / "filler")
    os.truncate(small_disk / "filler", (small_disk / "filler").stat().st_size - 50_000)
    with pytest.raises(TryLater, match="make room"):
        backup.copy(path, small_disk / "copy.db")
    assert list(small_disk.iterdir()) == [small_disk / "filler"]


def test_a_queue_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no queue"):
        backup.copy(tmp_path / "queue.db", tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


def test_a_queue_that_was_left_in_the_middle_is_copied_with_its_wal(queue: Queue, path: Path, tmp_path: Path) -> None:
    queue.submit(*(job() for _ in range(5)))  # the connection stays open, so the file alone has less than this
    (tmp_path / "left").mkdir()
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", tmp_path / "left")
    backup.copy(tmp_path / "left/queue.db", tmp_path / "copy.db")
    assert count(tmp_path / "copy.db", "jobs") == 5
