"""Databases of yesterday, today and tomorrow."""

import multiprocessing
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from labsched.core.states import Outcome, State
from labsched.errors import Refused, TryLater
from labsched.store import upgrade as module
from labsched.store.backup import KEPT, keep, kept
from labsched.store.engine import open_engine
from labsched.store.tables import metadata
from labsched.store.upgrade import is_current, main, upgrade
from tests.store import worlds

ROWS = Path(__file__).parent / "rows"


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(module.MIGRATIONS))
    return ScriptDirectory.from_config(config)


REVISIONS = [script.revision for script in scripts().walk_revisions()][::-1]
HEAD = REVISIONS[-1]

# A later version of labsched. It makes two tables that others refer to anew, as SQLite asks for when a column changes,
# and it may die between the two.
TOMORROW = f"""
import os
from pathlib import Path
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = {HEAD!r}

def upgrade():
    with op.batch_alter_table("jobs", recreate="always", table_kwargs={{"sqlite_autoincrement": True}}) as table:
        table.add_column(sa.Column("colour", sa.String, nullable=False, server_default="blue"))
    if Path(__file__).with_name("die").exists():
        os._exit(9)
    if Path(__file__).with_name("fail").exists():
        raise ArithmeticError("a defect")
    if Path(__file__).with_name("orphan").exists():
        op.execute("DELETE FROM jobs WHERE id = 1")
    with op.batch_alter_table("stages", recreate="always", table_kwargs={{"sqlite_autoincrement": True}}) as table:
        table.alter_column("cwd", new_column_name="folder")
"""


@pytest.fixture
def tomorrow(tmp_path: Path) -> Path:
    """The migrations of a later version."""
    folder = tmp_path / "tomorrow"
    shutil.copytree(module.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9999_tomorrow.py").write_text(TOMORROW)
    return folder


def as_of(revision: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A queue of this revision, with rows in it, as the version of that day made it."""
    later = {f"{name}_*" for name in REVISIONS[REVISIONS.index(revision) + 1 :]}
    shutil.copytree(module.MIGRATIONS, folder / "then", ignore=shutil.ignore_patterns("__pycache__", *later))
    path = folder / "queue.db"
    with monkeypatch.context() as then:
        then.setattr(module, "MIGRATIONS", folder / "then")
        assert upgrade(path) is None
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        for script in sorted(ROWS.glob("*.sql")):
            if script.stem <= revision:
                connection.executescript(script.read_text())
    return path


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Today's queue, with rows: what is old tomorrow."""
    return as_of(HEAD, tmp_path, monkeypatch)


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}


def schema(connection: sa.Connection) -> dict[str, object]:
    """What Alembic's comparison does not look at: partial indexes, and tables that never give a number twice."""
    master = connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {
        name: " ".join(sql.split()) if kind == "index" else "AUTOINCREMENT" in sql
        for kind, name, table, sql in master
        if table in metadata.tables and kind != "trigger"
    }


def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    assert upgrade(path) is None
    wanted = sa.create_engine("sqlite://")
    metadata.create_all(wanted)
    with open_engine(path).connect() as connection, wanted.connect() as plain:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert schema(connection) == schema(plain)
    wanted.dispose()


def test_the_revisions_are_one_chain_numbered_as_their_files() -> None:
    assert scripts().get_heads() == [HEAD]
    for script in scripts().walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")
    assert sorted(REVISIONS) == REVISIONS


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_queue_of_any_age_becomes_current_and_keeps_its_jobs(
    revision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_of(revision, tmp_path, monkeypatch)
    before = rows(path)
    saved = upgrade(path)
    assert (saved is None) == (revision == HEAD)
    with open_engine(path).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    after = rows(path)
    assert {name: len(found) for name, found in after.items() if name in before} == {
        name: len(found) for name, found in before.items() if name in after
    }
    with worlds.queue(path) as queue:
        assert queue.states(1) == [Outcome.SUCCEEDED, Outcome.FAILED]
        assert list(queue.running()) == ["2.run"]
        queue.retry(1)
        queue.pool("CPU", paused=False)
        assert worlds.names(queue.step()) == ["1.sort"]
        assert queue.finish("2.run", Outcome.CANCELLED) == []
        assert queue.states(2) == [Outcome.CANCELLED, Outcome.SKIPPED]
        queue.release(7)
        assert worlds.names(queue.step()) == ["7.run"]
        assert queue.submit(worlds.job()) == [8]
        assert queue.states(8) == [State.WAITING]


def test_what_is_current_is_left_alone(old: Path) -> None:
    assert is_current(old)
    before = rows(old)
    assert upgrade(old) is None
    assert rows(old) == before
    assert not kept(old.parent)


@pytest.mark.parametrize("what", ["missing", "empty", "garbage", "of another program"])
def test_what_is_no_queue_is_not_current(what: str, tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    make(path, what)
    assert not is_current(path)


def make(path: Path, what: str) -> None:
    if what == "empty":
        path.touch()
    elif what == "garbage":
        path.write_bytes(b"this is not a database, however long " * 200)
    elif what == "of another program":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE recipes (title TEXT)")


@pytest.mark.parametrize("what", ["garbage", "of another program"])
def test_a_file_that_is_no_queue_is_refused_and_left_alone(what: str, tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    make(path, what)
    before = path.read_bytes() if what == "garbage" else rows(path)
    with pytest.raises(Refused, match="not a labsched queue"):
        upgrade(path)
    assert (path.read_bytes() if what == "garbage" else rows(path)) == before


def test_an_empty_file_becomes_a_queue(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    path.touch()
    assert upgrade(path) is None
    assert is_current(path)


def test_an_upgrade_keeps_a_copy_and_every_row(
    old: Path, tomorrow: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = rows(old)
    (old.parent / "backups").mkdir()
    (old.parent / "backups/queue-1-x.part").write_bytes(b"half of a copy, from an upgrade that was interrupted")
    monkeypatch.setattr(module, "MIGRATIONS", tomorrow)
    assert not is_current(old)
    assert main(old) == 0
    assert is_current(old)
    (copy,) = kept(old.parent)
    assert list((old.parent / "backups").iterdir()) == [copy]
    assert copy.name.startswith(f"queue-{HEAD}-")
    assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert str(copy) in capfd.readouterr().err
    assert rows(copy) == before
    after = rows(old)
    assert [row[:-1] for row in after["jobs"]] == before["jobs"]
    assert {name: after[name] for name in after if name not in ("jobs", "alembic_version")} == {
        name: before[name] for name in before if name not in ("jobs", "alembic_version")
    }


def test_a_queue_of_a_newer_version_is_refused_and_left_alone(
    old: Path, tomorrow: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as then:
        then.setattr(module, "MIGRATIONS", tomorrow)
        upgrade(old)
    before = rows(old)
    assert not is_current(old)
    assert main(old) == 1
    said = capfd.readouterr().err
    assert "written by a newer labsched (schema 9999, this version knows" in said
    assert f"labsched restore {kept(old.parent)[0]} --state {old.parent}" in said
    assert "Traceback" not in said
    assert rows(old) == before


def test_an_upgrade_that_dies_halfway_changes_nothing_and_is_done_again(
    old: Path, tomorrow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(old)
    monkeypatch.setattr(module, "MIGRATIONS", tomorrow)
    (tomorrow / "versions" / "die").touch()
    child = multiprocessing.get_context("fork").Process(target=upgrade, args=(old,))
    child.start()
    child.join(60)
    assert child.exitcode == 9
    assert rows(old) == before
    (tomorrow / "versions" / "die").unlink()
    assert upgrade(old) is not None
    assert [row[-1] for row in rows(old)["jobs"]] == ["blue"] * 3


@pytest.mark.parametrize("defect", ["fail", "orphan"])
def test_an_upgrade_with_a_defect_changes_nothing(
    defect: str, old: Path, tomorrow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(old)
    monkeypatch.setattr(module, "MIGRATIONS", tomorrow)
    (tomorrow / "versions" / defect).touch()
    with pytest.raises((ArithmeticError, Refused)):
        upgrade(old)
    assert rows(old) == before


@pytest.mark.parametrize("size", [0, 100_000])
def test_an_upgrade_without_room_says_so_and_changes_nothing(
    size: int, old: Path, tomorrow: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(old, small_disk))
    before = rows(path)
    monkeypatch.setattr(module, "MIGRATIONS", tomorrow)
    with (small_disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(10_000))
    os.truncate(small_disk / "filler", (small_disk / "filler").stat().st_size - size)
    with pytest.raises(TryLater, match="make room"):
        upgrade(path)
    (small_disk / "filler").unlink()
    assert rows(path) == before
    assert upgrade(path) is not None


def test_an_upgrade_while_the_queue_is_in_use_says_so(
    old: Path, tomorrow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIGRATIONS", tomorrow)
    monkeypatch.setattr("labsched.store.engine.BUSY_TIMEOUT_S", 0.01)
    with closing(sqlite3.connect(old)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TryLater, match="in use by another program"):
            upgrade(old)
        other.rollback()
    assert upgrade(old) is not None


def test_of_what_upgrades_keep_the_newest_few_remain(old: Path) -> None:
    made = [keep(old, HEAD) for _ in range(KEPT + 2)]
    for age, path in enumerate(reversed(made[-KEPT:])):
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    assert kept(old.parent) == made[: -KEPT - 1 : -1]


def test_a_queue_gives_room_back_once_it_is_current(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
