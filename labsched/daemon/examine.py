"""What `labsched doctor` finds about a state folder: the queue, the attempts' folders, and who may touch them."""

import os
import pwd
import sqlite3
import stat
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

from labsched.daemon import aside
from labsched.daemon.restore import MARKER, check_complete
from labsched.errors import LabschedError
from labsched.store import backup, health
from labsched.store.upgrade import revision, revisions
from labsched.wire.messages import Finding

MANY = 20_000  # attempts up to which all their folders are looked at without being asked to
TOGETHER = 1000  # jobs
SHOWN = 5
NOT_BEGUN_S = 60.0  # an attempt that is younger may have no folder yet


def examine(state: Path, full: bool, now: float) -> Iterator[Finding]:
    """One finding after the other. With `full`, every row, every index and every folder is looked at."""
    queue = state / backup.QUEUE
    if (state / MARKER).exists():
        try:
            check_complete(state)
        except LabschedError as error:
            yield Finding(level="problem", what=str(error), mend="until then no daemon starts")
    try:
        if not queue.exists():
            yield Finding(level="note", what=f"there is no queue in {state} yet", mend="a daemon makes it")
            return
        queue.open("rb").close()
    except OSError as error:
        what = f"the queue {queue} cannot be looked at: {error.strerror}"
        yield Finding(level="note", what=what, mend="ask as its owner, or as root")
        return
    yield from _permissions(state)
    if found := health.damage(queue, full=full):
        for what in found:
            yield Finding(level="problem", what=f"the queue {queue} is damaged: {what}", mend=_mend(queue))
        return
    if (schema := revision(queue)) not in revisions():
        yield Finding(
            level="problem",
            what=f"the queue {queue} was written by another labsched (schema {schema})",
            mend="start a daemon of that version, or restore a backup",
        )
        return
    if schema != max(revisions()):
        yield Finding(level="ok", what=f"the queue {queue} is whole; the next start of a daemon brings it up to date")
        return
    yield Finding(level="ok", what=f"the queue {queue} is whole" + (", every row and index of it" if full else ""))
    try:
        for what in health.broken(queue):
            yield Finding(level="problem", what=f"the queue contradicts itself: {what}", mend=_mend(queue))
        yield from _folders(state, full, now)
    except (sqlite3.Error, LabschedError, OSError) as error:
        yield Finding(level="problem", what=f"the queue cannot be looked through: {error}", mend="try again")


def _mend(queue: Path) -> str:
    return f"stop the daemon; {backup.mend(queue)}"


def _folders(state: Path, full: bool, now: float) -> Iterator[Finding]:
    """Attempts and their folders, held against each other, some jobs at a time."""
    attempts = state / "attempts"
    strange: list[str] = []
    lost: list[str] = []
    there = without = 0
    with backup.reading(state / backup.QUEUE) as connection:
        if not full and (many := health.number(connection, "count(*) FROM attempts")) > MANY:
            yield Finding(level="note", what=f"the folders of {many} attempts were not looked at", mend="--full does")
            return
        jobs = aside.jobs(attempts)
        last = max(health.number(connection, "max(id) FROM jobs"), jobs[-1] if jobs else 0)
        for first in range(0, last + 1, TOGETHER):
            of = jobs[bisect_left(jobs, first) : bisect_left(jobs, first + TOGETHER)]
            found = {one.name: one for one in aside.folders(attempts, of)}  # first: its row was there before it
            rows = health.attempts(connection, first, first + TOGETHER - 1)
            nobodys = [name for name, one in found.items() if name not in rows and one.path.exists()]
            gone = [name for name in rows if name not in found and not (attempts / name).exists()]
            there += len(found) - len(nobodys)
            without += sum(not rows[name].open for name in gone)
            strange += nobodys
            lost += [name for name in gone if rows[name].open and rows[name].created_at < now - NOT_BEGUN_S]
    if strange:
        yield Finding(
            level="warning",
            what=f"the queue knows nothing of {_some(strange)}, below {attempts}",
            mend="look at them; what is not needed any more may be removed",
        )
    if lost:
        yield Finding(
            level="problem",
            what=f"the folder of {_some(lost)} is gone, and it has not ended: nobody will know how it ends",
            mend="labsched cancel JOB, then labsched retry JOB",
        )
    if without:
        yield Finding(level="ok", what=f"attempts that have ended, and whose logs were removed: {without}")
    yield Finding(level="ok", what=f"attempts with their folders: {there}")


def _permissions(state: Path) -> Iterator[Finding]:
    """Who may touch what: the queue holds everybody's environments."""
    owner = state.stat().st_uid
    for path, closed in ((state, 0o022 | 0o004), (state / "attempts", 0o026), (state / backup.FOLDER, 0o077),
                         (state / backup.QUEUE, 0o077), (state / f"{backup.QUEUE}-wal", 0o077)):  # fmt: skip
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        mode = stat.S_IMODE(found.st_mode)
        if mode & closed:
            yield Finding(
                level="problem",
                what=f"others may get at {path} (mode {mode:04o})",
                mend=f"chmod {mode & ~closed:04o} {path}",
            )
        if found.st_uid != owner:
            yield Finding(
                level="problem",
                what=f"{path} is {_name(found.st_uid)}'s, and {state} {_name(owner)}'s",
                mend=f"chown {_name(owner)} {path}, unless the folder is wrong",
            )
    if owner not in (os.geteuid(), 0) and os.geteuid() != 0:
        yield Finding(level="note", what=f"{state} is {_name(owner)}'s")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
