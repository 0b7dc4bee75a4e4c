"""Bring a database to this version's schema: a backup first, then Alembic."""

import contextlib
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from labsched.errors import LabschedError, Refused, TryLater
from labsched.store import backup
from labsched.store.engine import open_engine, readable

MIGRATIONS = Path(__file__).parent.parent / "migrations"
INCREMENTAL = 2  # of PRAGMA auto_vacuum


def is_current(path: Path) -> bool:
    """Whether the database at `path` needs no `upgrade`; without Alembic, whose import takes a second.

    The newest revision is the last file by name: they are numbered.
    """
    return revision(path) == max(revisions())


def revisions() -> list[str]:
    """The revisions that this version knows."""
    return [file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*_*.py")]


def revision(path: Path) -> str | None:
    """The revision of the queue at `path`; None where it is none, or cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error:
        return None
    return str(found[0][0]) if len(found) == 1 else None


def upgrade(path: Path, *, keep: bool = True) -> Path | None:
    """Make the database at `path` current, or make a new one; returns what was kept of it as it was before.

    Raises Refused where the database is newer than this version of labsched, or is none of its; TryLater where it is in
    use, or the disk is full. Whatever it raises, the database is as it was. Without `keep` nothing is kept.
    """
    from alembic import command, script
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    scripts = script.ScriptDirectory.from_config(config)
    head = scripts.get_current_head()
    engine = open_engine(path)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            known = {revision.revision for revision in scripts.walk_revisions()}
            strange = current is None and sa.inspect(connection).get_table_names()
            connection.rollback()
            if current == head:
                return None
            if strange:
                raise Refused(f"{path} is not a labsched queue, but another program's database: move it away")
            if current is not None and current not in known:
                raise Refused(
                    f"the queue {path} was written by a newer labsched (schema {current}, this version knows {head}): "
                    f"install that version again, or {_go_back(path, known)}"
                )
            saved = backup.keep(path, current) if keep and current is not None else None
            config.attributes["connection"] = connection
            # A table that is made anew is dropped in between, with all that refers to it: so check afterwards.
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # all of the upgrade, or none
            command.upgrade(config, "head")
            if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
                raise Refused(f"{path} could not be upgraded: {len(broken)} of its rows would refer to nothing")
            connection.exec_driver_sql("COMMIT")
            _let_it_shrink(connection)
            return saved
    except sa.exc.DatabaseError as error:
        if isinstance(readable(error), TryLater):
            raise readable(error) from None
        raise Refused(f"{path} is not a labsched queue, or is damaged ({error.orig}): {backup.mend(path)}") from None
    finally:
        engine.dispose()


def _let_it_shrink(connection: sa.Connection) -> None:
    """Have the file give back what is deleted from it, bit by bit: see `labsched.store.prune`."""
    if connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() == INCREMENTAL:
        return
    connection.rollback()
    with contextlib.suppress(sa.exc.OperationalError):  # no room to write it anew: then it stays as large as it is
        connection.exec_driver_sql(f"PRAGMA auto_vacuum={INCREMENTAL}")
        connection.exec_driver_sql("VACUUM")


def _go_back(path: Path, known: set[str]) -> str:
    """How to go on with this version, without what has happened since the upgrade."""
    for kept in backup.kept(path.parent):
        if kept.name.split("-")[1] in known:
            return f"go back to what was before its upgrade: labsched restore {kept} --state {path.parent}"
    return f"go back to a backup of this version: labsched restore FILE --state {path.parent}"


def main(path: Path) -> int:
    """`upgrade` as a process: says on stderr what was done, or what is wrong; exit code 0 or 1."""
    try:
        saved = upgrade(path)
    except LabschedError as error:
        print(error, file=sys.stderr)
        return 1
    if saved:
        print(f"the queue was brought up to date; as it was before, it is kept as {saved}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
