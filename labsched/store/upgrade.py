"""Bring a database to this version's schema: a backup first, then Alembic."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from labsched.errors import LabschedError, Refused, TryLater
from labsched.store.engine import open_engine, readable

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def is_current(path: Path) -> bool:
    """Whether the database at `path` needs no `upgrade`; without Alembic, whose import takes a second.

    The newest revision is the last file by name: they are numbered.
    """
    newest = max(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(newest,)]
    except sqlite3.Error:
        return False


def upgrade(path: Path) -> str | None:
    """Make the database at `path` current, or make a new one; returns the backup's path where one was needed.

    Raises Refused where the database is newer than this version of labsched, or is none of its; TryLater where it is in
    use, or the disk is full. Whatever it raises, the database is as it was.
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
                    f"the queue {path} was written by a newer labsched (schema {current}): "
                    "install that version again, or restore the backup beside it"
                )
            saved = _backup(path, current) if current is not None else None
            config.attributes["connection"] = connection
            # A table that is made anew is dropped in between, with all that refers to it: so check afterwards.
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # all of the upgrade, or none
            command.upgrade(config, "head")
            if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
                raise Refused(f"{path} could not be upgraded: {len(broken)} of its rows would refer to nothing")
            connection.exec_driver_sql("COMMIT")
            return saved
    except sa.exc.DatabaseError as error:
        if isinstance(readable(error), TryLater):
            raise readable(error) from None
        raise Refused(f"{path} is not a labsched queue, or is damaged ({error.orig}): restore a backup") from None
    finally:
        engine.dispose()


def _backup(path: Path, revision: str) -> str:
    target = path.with_name(f"{path.name}.before-{revision}.bak")
    part = target.with_suffix(".part")  # never taken for the whole, should we be interrupted
    try:
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        part.replace(target)
    except (sqlite3.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise TryLater(f"the queue could not be copied to {target} ({error}): make room there") from None
    return str(target)


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
