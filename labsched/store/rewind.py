"""A queue that is older than what has happened since: making it fit for going on.

Its numbers go on after those that were given since, so that none is given twice; jobs that have run since are held.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import sqlalchemy as sa

from labsched.core.model import Ended
from labsched.core.states import Outcome
from labsched.store import attempts, verbs
from labsched.store.backup import reading
from labsched.store.find import stages_of
from labsched.store.moves import record
from labsched.store.tables import events, jobs

BY = "labsched restore"  # whom such a job is held by
GAP = 1000  # numbers that are left out where nobody knows which were given
COUNTED = ("jobs", "stages", "attempts", "events")


def numbers(path: Path) -> dict[str, int]:
    """The highest number that a queue has given, by table; raises what `reading` raises."""
    with reading(path) as connection:
        found = connection.execute("SELECT name, seq FROM sqlite_sequence")
        return {name: int(seq) for name, seq in found if name in COUNTED}


def later_jobs(path: Path, after: int) -> list[tuple[int, str]]:
    """The jobs of a queue with a higher number than this one, and their names; raises what `reading` raises."""
    with reading(path) as connection:
        return list(connection.execute("SELECT id, name FROM jobs WHERE id > ? ORDER BY id", (after,)))


def go_on_after(connection: sa.Connection, given: Mapping[str, int]) -> None:
    """Let the numbers of these tables begin after what was given, where that is higher."""
    for table, last in given.items():
        args = {"table": table, "last": last}
        there = connection.execute(sa.text("SELECT 1 FROM sqlite_sequence WHERE name = :table"), args).scalar()
        connection.execute(
            sa.text("UPDATE sqlite_sequence SET seq = max(seq, :last) WHERE name = :table")
            if there
            else sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)"),
            args,
        )


def hold(connection: sa.Connection, job: int, now: float) -> bool:
    """Hold a job that has run since, unless it has ended; returns whether that was done."""
    if not stages_of(connection, job) or verbs.has_ended(connection, job):
        return False
    verbs.hold(connection, [job], now, BY)
    return True


def lose(connection: sa.Connection, gone: Iterable[int], now: float) -> None:
    """Write down that nobody knows how these open attempts ended: they must not begin anew."""
    why = "its folder was gone when the queue was restored, so nobody knows how it ended"
    facts = [Ended(attempt, now, Outcome.LOST, why) for attempt in gone]
    attempts.step(connection, facts, now, "", drain=True)


def restored(connection: sa.Connection, now: float, file: str) -> None:
    """Leave an event that says so."""
    record(connection, "daemon.restored", now, data={"from": file})


def newest(connection: sa.Connection) -> float | None:
    """When the last thing happened that the queue knows of."""
    return connection.execute(sa.select(sa.func.max(events.c.at))).scalar()


def names(connection: sa.Connection) -> dict[int, str]:
    """All jobs by number."""
    return {row.id: row.name for row in connection.execute(sa.select(jobs.c.id, jobs.c.name))}
