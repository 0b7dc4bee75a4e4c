"""Going back to a backup of the queue, with no daemon running.

The backup is made ready beside the queue that is there: nothing is touched until it is whole. Then a marker is written,
what was there is moved aside, and the new queue gets its name. Interrupted in between, it is done again: no daemon
starts before.

The folders of attempts may be newer than the queue. One that it does not know is moved aside, for its name would be
given again, and its end be taken for that of an attempt that is still to come.
"""

import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import sqlalchemy as sa

from labsched.daemon import aside
from labsched.daemon.alone import alone, give
from labsched.daemon.aside import Found
from labsched.daemon.views import moment
from labsched.errors import BadRequest, LabschedError, NotFound, Refused
from labsched.store import attempts, backup, outbox, rewind
from labsched.store.engine import open_engine
from labsched.store.health import damage
from labsched.store.tables import attempts as table
from labsched.store.upgrade import is_current, revision, revisions, upgrade
from labsched.wire.messages import Ref, Restored, Since

MARKER = "restoring"  # a file with the name of the folder where what was there is moved
BESIDE = ("", "-wal", "-shm")  # what belongs to a queue


def check_complete(state: Path) -> None:
    """Raise Refused where a restore of this state folder was interrupted."""
    if (state / MARKER).exists():
        raise Refused(f"a restore of {state} was interrupted: do it again: labsched restore FILE --state {state}")


def restore(file: Path, state: Path, stop: bool) -> Restored:
    """Put the backup `file` in the place of the queue in `state`; with `stop`, end what runs and it does not know.

    Raises Refused where a daemon runs on that folder, the backup cannot be used, or stages run that it does not know.
    """
    file = file.absolute()
    if not file.is_file():
        raise NotFound(f"there is no file {file}")
    queue = state / backup.QUEUE
    if queue.exists() and file.samefile(queue):
        raise BadRequest(f"{file} is the queue itself: name a backup of it")
    try:
        state.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"cannot make the state folder {state}: {error.strerror}; name another with --state") from None
    with alone(state), _ready(file, state) as (fresh, connection):
        given = _given(queue, state, rewind.numbers(fresh))
        later = _later(queue, rewind.numbers(fresh).get("jobs", 0))
        names = rewind.names(connection)
        known = dict(connection.execute(sa.select(table.c.folder, table.c.id)).tuples().all())
        strange = aside.strangers(state / "attempts", known)
        _end([found for found in strange if found.live], stop)
        now = time.time()
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        newest = rewind.newest(connection)
        rewind.go_on_after(connection, given)
        outbox.forget(connection)
        still_open = attempts.open_attempts(connection)
        gone = {attempt.id for attempt in still_open if not (state / "attempts" / attempt.folder).is_dir()}
        rewind.lose(connection, gone, now)
        held = {job for job in {found.job for found in strange} if rewind.hold(connection, job, now)}
        rewind.restored(connection, now, str(file))
        connection.exec_driver_sql("COMMIT")
        answer = Restored(
            state=str(state),
            jobs=len(names),
            newest=None if newest is None else moment(newest),
            held=tuple(_since(found, names) for found in strange if found.job in held),
            ended=tuple(_since(found, names) for found in strange if found.job in names and found.job not in held),
            open=tuple(_open(attempt, gone, state, names) for attempt in still_open),
            unknown=tuple(Ref(job, name) for job, name in _unknown(strange, later, names).items()),
        )
        connection.close()
        kept = _swap(fresh, queue, strange, state)
    return msgspec.structs.replace(answer, kept=kept)


@contextmanager
def _ready(file: Path, state: Path) -> Iterator[tuple[Path, sa.Connection]]:
    """The backup, copied beside the queue, looked through and brought up to date; and a connection to it."""
    fresh = state / f"restore-{secrets.token_hex(8)}.db"
    try:
        backup.copy(file, fresh)
        _usable(file, fresh)
        if not is_current(fresh):
            upgrade(fresh, keep=False)
        if found := damage(fresh, full=True):
            raise Refused(f"{file} is damaged ({found[0]}): take another backup")
        give(fresh, state)
        engine = open_engine(fresh)
        with engine.connect() as connection:
            yield fresh, connection
    finally:
        for end in BESIDE:
            with suppress(OSError):
                Path(f"{fresh}{end}").unlink()


def _usable(file: Path, fresh: Path) -> None:
    found = revision(fresh)
    if found is None:
        raise Refused(f"{file} is no queue of labsched: take another file")
    if found not in revisions():
        raise Refused(
            f"{file} was written by a newer labsched (schema {found}, this version knows {max(revisions())}): "
            "install that version, or take an older backup"
        )


def _given(queue: Path, state: Path, in_backup: Mapping[str, int]) -> dict[str, int]:
    """The highest numbers that were given since, as far as anything tells; where nothing does, more than enough."""
    highest = max((found.job for found in aside.folders(state / "attempts")), default=0)
    if not queue.exists():
        given: dict[str, int] = {}
    else:
        try:
            given = rewind.numbers(queue)
        except (LabschedError, OSError, sqlite3.Error):
            given = {name: in_backup.get(name, 0) + rewind.GAP for name in rewind.COUNTED}
            highest = max(highest + rewind.GAP, given["jobs"])
    return {**given, "jobs": max(highest, given.get("jobs", 0))}


def _later(queue: Path, after: int) -> dict[int, str]:
    """The jobs that the queue which was there has, and the backup has not."""
    try:
        return dict(rewind.later_jobs(queue, after))
    except (LabschedError, OSError, sqlite3.Error):
        return {}


def _unknown(strange: list[Found], later: dict[int, str], names: Mapping[int, str]) -> dict[int, str]:
    found = {one.job: later.get(one.job, "?") for one in strange if one.job not in names}
    return dict(sorted((found | later).items()))


def _end(running: list[Found], stop: bool) -> None:
    if running and not stop:
        named = ", ".join(found.name for found in running)
        raise Refused(
            f"the backup does not know what runs now ({named}), and would start it again beside it: wait until it has "
            "ended, or give --stop to end it"
        )
    aside.end(running)


def _since(found: Found, names: Mapping[int, str]) -> Since:
    return Since(job=found.job, name=names.get(found.job), stage=found.stage, attempt=found.number, how=found.how())


def _open(attempt: attempts.Open, gone: set[int], state: Path, names: Mapping[int, str]) -> Since:
    found = Found(attempt.job, attempt.stage_name, attempt.number, state / "attempts" / attempt.folder)
    how = "lost: its folder is gone" if attempt.id in gone else found.how()
    return Since(job=found.job, name=names.get(found.job), stage=found.stage, attempt=found.number, how=how)


def _swap(fresh: Path, queue: Path, strange: list[Found], state: Path) -> str | None:
    """Move aside what was there, and give the new queue its name; returns the folder where that lies now."""
    marker = state / MARKER
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    name = marker.read_text().strip() if marker.exists() else f"before-restore-{at}-{secrets.token_hex(2)}"
    folder = state / name
    backup.flush(fresh)
    marker.write_text(f"{name}\n")
    give(marker, state)
    backup.flush(marker)
    backup.flush(state)
    aside.move(strange, folder / "attempts", state)
    if queue.exists() and not folder.exists():
        folder.mkdir(mode=0o700)
        give(folder, state)
    for end in reversed(BESIDE):  # the queue last: as long as it is there, what belongs to it is found
        if (old := Path(f"{queue}{end}")).exists():
            old.rename(_free(folder, old.name))
    fresh.rename(queue)
    backup.flush(state)
    marker.unlink()
    backup.flush(state)
    return str(folder) if folder.exists() else None


def _free(folder: Path, name: str) -> Path:
    """A name in a folder that nothing has: an interrupted restore may have been here."""
    number = 1
    path = folder / name
    while path.exists():
        number += 1
        path = folder / f"{number}-{name}"
    return path
