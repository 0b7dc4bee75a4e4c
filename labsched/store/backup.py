"""Copies of the queue: whole, closed to others, and made while it is in use."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from labsched.errors import LabschedError, NotFound, Refused, TryLater

QUEUE = "queue.db"  # in the state folder
FOLDER = "backups"  # beside it: what is kept before an upgrade
PART = ".part"  # what a copy is called until it is whole
KEPT = 5  # of those
PATIENCE_S = 30.0  # for a queue that somebody else has locked


def copy(source: Path, target: Path) -> None:
    """Copy the queue at `source`, as it is at one moment, to the file `target`: new, mode 0600, on the disk.

    Nobody who writes to the queue waits for it. Raises NotFound where there is no queue, Refused where it is damaged or
    cannot be read, TryLater where there is no room; then there is no `target`.
    """
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise TryLater(f"the queue could not be copied to {target}: {error.strerror}; make room there") from None
    try:
        with reading(source) as connection:
            # Not the pages as they are: what was deleted is in none of these, and what is damaged does not pass.
            connection.execute("VACUUM INTO ?", (str(target),))
        with closing(sqlite3.connect(_uri(target, "ro"), uri=True)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise Refused(f"the copy of {source} is damaged ({verdict}): labsched doctor --full looks for the cause")
        flush(target)
    except (sqlite3.Error, OSError) as error:
        target.unlink(missing_ok=True)
        raise readable(error, source, target) from None
    except BaseException:
        target.unlink(missing_ok=True)
        raise


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a queue that is only read, wherever it lies: in use, on a disk that cannot be written, or a file
    without its -wal. Raises NotFound, PermissionError and sqlite3.Error."""
    if not path.is_file():
        raise NotFound(f"there is no queue {path}: name its folder with --state")
    path.open("rb").close()  # SQLite says less about what it may not open
    alone = not Path(f"{path}-wal").exists()
    for mode in ("rw", "ro", *(["ro&immutable=1"] if alone else [])):
        with closing(sqlite3.connect(_uri(path, mode), uri=True, timeout=PATIENCE_S, isolation_level=None)) as found:
            try:
                found.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except sqlite3.OperationalError as error:
                if "unable to open" in str(error) or "readonly" in str(error):
                    continue
                raise
            yield found
            return
    raise sqlite3.OperationalError("it cannot be opened where it lies: copy it, with its -wal, to another folder")


def keep(path: Path, revision: str) -> Path:
    """Keep the queue as it is before its upgrade; of what is kept so, the newest few remain.

    Raises what `copy` raises.
    """
    folder = path.parent / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise TryLater(f"the queue could not be copied to {folder}: {error.strerror}; make room there") from None
    tidy(path.parent)
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    named = (folder / f"queue-{revision}-{at}{number}.db" for number in ("", *(f"-{n}" for n in range(2, 1000))))
    target = next(path for path in named if not path.exists())
    part = target.with_suffix(PART)
    copy(path, part)
    part.replace(target)
    flush(folder)
    for old in kept(path.parent)[KEPT:]:
        old.unlink(missing_ok=True)
    return target


def kept(state: Path) -> list[Path]:
    """What was kept before upgrades of the queue in this state folder, the newest first."""
    try:
        found = [(path.stat().st_mtime, path.name, path) for path in (state / FOLDER).glob("queue-*.db")]
    except OSError:
        return []
    return [path for *_, path in sorted(found, reverse=True)]


def tidy(state: Path) -> None:
    """Remove what copies that were interrupted have left in a state folder."""
    for part in (state / FOLDER).glob(f"*{PART}*"):
        part.unlink(missing_ok=True)


def mend(path: Path) -> str:
    """What to do about a queue that is damaged: which backup to restore, in words that can be typed."""
    if path.name != QUEUE:
        return "take another backup"
    newest = next(iter(kept(path.parent)), None)
    if newest is None:
        return f"restore a backup that you have made: labsched restore FILE --state {path.parent}"
    return (
        f"restore a backup: labsched restore FILE --state {path.parent}, with one that you have made, or the newest "
        f"that an upgrade has kept, {newest}"
    )


def flush(path: Path) -> None:
    """Have a file, or what a folder lists, on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def readable(error: sqlite3.Error | OSError, source: Path, target: Path) -> LabschedError:
    """Why a copy could not be made, and what to do."""
    what = str(error) if isinstance(error, sqlite3.Error) else (error.strerror or str(error))
    if isinstance(error, PermissionError):
        return Refused(f"you may not read {source}: do it as its owner or as root")
    if "malformed" in what or "not a database" in what or "disk I/O" in what:
        return Refused(f"{source} is damaged, or no queue ({what}): {mend(source)}")
    if "locked" in what or "busy" in what:
        return TryLater(f"the queue {source} is in use by another program: close whatever has it open")
    return TryLater(f"the queue {source} could not be copied to {target} ({what}): make room there")


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"
