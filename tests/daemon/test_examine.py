"""What doctor says of a state folder."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from labsched.daemon.examine import NOT_BEGUN_S, examine
from labsched.store.upgrade import upgrade
from tests.store import worlds
from tests.store.worlds import job


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a job that has ended, one that runs, and many that wait."""
    state = tmp_path_factory.mktemp("made") / "state"
    for folder in ("", "attempts", "backups"):
        (state / folder).mkdir(mode=0o700)
    upgrade(state / "queue.db")
    (state / "queue.db").chmod(0o600)
    with worlds.queue(state / "queue.db") as queue:
        queue.submit(job(), job(), *(job(hold=True) for _ in range(200)))
        queue.step()
        queue.finish("1.run")
    for number in (1, 2):
        (state / f"attempts/{number}/run.1").mkdir(parents=True)
    return state


@pytest.fixture
def state(made: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(made, tmp_path / "state")
    yield tmp_path / "state"


def said(state: Path, full: bool = False, now: float | None = None) -> dict[str, str]:
    """What is found, but for what is right: each with its level."""
    found = examine(state, full, time.time() if now is None else now)
    return {finding.what: finding.level for finding in found if finding.level != "ok"}


def statement(state: Path, words: str) -> None:
    with closing(sqlite3.connect(state / "queue.db")) as connection:
        connection.execute(words)
        connection.commit()


@pytest.mark.parametrize("full", [False, True])
def test_nothing_is_found_where_nothing_is_wrong(state: Path, full: bool) -> None:
    assert said(state, full) == {}


@pytest.mark.parametrize("full", [False, True])
def test_damage_is_found_and_what_to_do(state: Path, full: bool) -> None:
    with (state / "queue.db").open("r+b") as file:
        file.seek(40_000)
        file.write(os.urandom(20_000))
    found = [finding for finding in examine(state, full, time.time()) if finding.level == "problem"]
    assert found
    assert all("is damaged" in one.what and "labsched restore FILE --state" in str(one.mend) for one in found)


def test_an_index_that_does_not_fit_its_table_is_found_in_full(state: Path) -> None:
    statement(state, "CREATE INDEX x ON jobs (name)")
    with closing(sqlite3.connect(state / "queue.db")) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX x ON jobs (recipe)' WHERE name = 'x'")
        connection.commit()
    assert said(state) == {}
    assert "problem" in said(state, full=True).values()


def test_a_rule_that_does_not_hold_is_found(state: Path) -> None:
    statement(state, "UPDATE stages SET state = 'waiting' WHERE job_id = 2")
    assert any(
        "the queue contradicts itself: a stage that does not run has an open attempt: job 2" in w for w in said(state)
    )


def test_a_folder_that_is_nobodys_is_found(state: Path) -> None:
    (state / "attempts/7/one.two.3").mkdir(parents=True)
    (state / "attempts/notes").touch()
    [(what, level)] = said(state).items()
    assert (level, "7/one.two.3" in what) == ("warning", True)


def test_a_folder_that_is_gone_matters_only_while_its_attempt_runs(state: Path) -> None:
    shutil.rmtree(state / "attempts/1")
    assert said(state) == {}
    shutil.rmtree(state / "attempts/2")
    assert said(state, now=1_000_000 + NOT_BEGUN_S) == {}  # just opened
    [(what, level)] = said(state).items()
    assert (level, "2/run.1 is gone" in what) == ("problem", True)


@pytest.mark.parametrize(("what", "mode"), [("queue.db", 0o644), ("", 0o755), ("attempts", 0o777), ("backups", 0o750)])
def test_what_is_open_to_others_is_found(what: str, mode: int, state: Path) -> None:
    (state / what).chmod(mode)
    assert [f"(mode {mode:04o})" in words for words in said(state)] == [True]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_what_is_somebody_elses_is_found(state: Path) -> None:
    os.chown(state / "queue.db", 12345, 12345)
    assert [f"{state}/queue.db is 12345's" in words for words in said(state)] == [True]


def test_a_queue_of_another_version_is_told(state: Path) -> None:
    statement(state, "UPDATE alembic_version SET version_num = '9999'")
    assert any("written by another labsched (schema 9999)" in words for words in said(state))
    statement(state, "UPDATE alembic_version SET version_num = '0001'")
    assert said(state) == {}


def test_an_interrupted_restore_and_an_empty_place_are_told(tmp_path: Path) -> None:
    assert any("there is no queue" in words for words in said(tmp_path))
    (tmp_path / "restoring").touch()
    assert any("was interrupted: do it again" in words for words in said(tmp_path))
