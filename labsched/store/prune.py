"""Removing jobs that have long ended: few at a time, so that nobody who writes waits for it.

What stays, however old: a job that has not ended; one that a job which has not ended comes after; one without success
that a job without success comes after (a retry would forget why it may not run); and of the jobs of each block (key)
the newest that succeeded, for that is what `--again` asks about.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

import sqlalchemy as sa

from labsched.store import usage
from labsched.store.prepared import driver

_BLOCKERS = """
    FROM stages m JOIN dependencies d ON d.on_stage_id = m.id JOIN stages f ON f.id = d.stage_id
    JOIN jobs k ON k.id = f.job_id
    WHERE m.job_id = {job} AND k.id <> m.job_id
    AND (k.ended_at IS NULL OR (m.outcome <> 'succeeded' AND f.outcome <> 'succeeded'))"""
_VERDICT = f"""
    EXISTS (SELECT 1 {_BLOCKERS.format(job="j.id")}) AS blocked,
    j.key IS NULL OR j.outcome <> 'succeeded'
        OR EXISTS (SELECT 1 FROM jobs n WHERE n.key = j.key AND n.id > j.id AND n.outcome = 'succeeded') AS spare"""
_BLOCKERS_OF = f"SELECT k.id, k.ended_at IS NULL {_BLOCKERS.format(job=':job')}"
_PAGE = f"""
    SELECT j.id, j.ended_at, j.uid, {_VERDICT} FROM jobs j
    WHERE j.ended_at IS NOT NULL AND (j.ended_at, j.id) > (:at, :id) AND j.ended_at < :before
    ORDER BY j.ended_at, j.id LIMIT :count"""
_LATEST = sa.text("""
    SELECT j.id, j.ended_at, j.uid FROM jobs j WHERE j.ended_at IS NOT NULL AND (j.ended_at, j.id) < (:at, :id)
    ORDER BY j.ended_at DESC, j.id DESC LIMIT :count""")
_LISTED = "(SELECT value FROM json_each(:jobs))"
_FOLDERS = f"SELECT s.job_id, a.folder FROM stages s JOIN attempts a ON a.stage_id = s.id WHERE s.job_id IN {_LISTED}"
_THESE = f"SELECT j.id, j.environment_id, {_VERDICT} FROM jobs j WHERE j.id IN {_LISTED} AND j.ended_at IS NOT NULL"
_STAGES = f"(SELECT id FROM stages WHERE job_id IN {_LISTED})"
_ROWS = (
    f"DELETE FROM attempts WHERE stage_id IN {_STAGES}",
    f"DELETE FROM dependencies WHERE stage_id IN {_STAGES}",
    f"DELETE FROM dependencies WHERE on_stage_id IN {_STAGES}",
    f"DELETE FROM events WHERE job_id IN {_LISTED}",
    f"DELETE FROM stages WHERE job_id IN {_LISTED}",
    f"DELETE FROM jobs WHERE id IN {_LISTED}",
)
_ENVIRONMENTS = """DELETE FROM environments WHERE id IN (SELECT value FROM json_each(:environments))
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE environment_id = environments.id)"""

Place = tuple[float, int]  # in the order in which jobs ended
START: Place = (float("-inf"), 0)
END: Place = (float("inf"), 0)


@dataclass(frozen=True, slots=True)
class Old:
    """A job that has ended, and the folders of its attempts. `may_go`: it is none of those that stay."""

    job: int
    uid: int
    may_go: bool
    folders: tuple[str, ...]


class Gone:
    """Jobs that go, or have gone: a bit each, so a million of them take 125 kB."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, job: int) -> bool:
        return job >> 3 < len(self._bits) and bool(self._bits[job >> 3] & 1 << (job & 7))

    def add(self, job: int) -> None:
        self._bits.extend(bytes(max((job >> 3) + 1 - len(self._bits), 0)))
        self._bits[job >> 3] |= 1 << (job & 7)

    def remove(self, jobs: Iterable[int]) -> None:
        for job in jobs:
            if job in self:
                self._bits[job >> 3] ^= 1 << (job & 7)


def page(
    connection: sa.Connection, after: Place, before: float, count: int, gone: Gone, uid: int | None = None
) -> tuple[list[Old], Place | None]:
    """Jobs (of user `uid`) that ended before this moment, the oldest first, from a place on; and the place to go on
    from (None: there is none).

    Each of them that may go once those in `gone` have gone, and those before it in the list, is added to `gone`; what
    is there already is passed over. `count` is the number of jobs that are looked at.
    """
    raw = driver(connection)
    asked = {"at": after[0], "id": after[1], "before": before, "count": count}
    rows = raw.execute(_PAGE, asked).fetchall()
    mine = [row for row in rows if uid in (None, row[2]) and row[0] not in gone]
    folders: dict[int, list[str]] = {}
    for job, folder in raw.execute(_FOLDERS, {"jobs": json.dumps([row[0] for row in mine])}):
        folders.setdefault(job, []).append(folder)
    old = []
    for job, _, owner, blocked, spare in mine:
        may_go = bool(spare) and not (blocked and _is_blocked(connection, job, gone))
        if may_go:
            gone.add(job)
        old.append(Old(job, owner, may_go, tuple(folders.get(job, ()))))
    return old, (rows[-1][1], rows[-1][0]) if len(rows) == count else None


def _is_blocked(connection: sa.Connection, job: int, gone: "Gone | set[int]") -> bool:
    """Whether a job has to stay for one that comes after it, and that is not in `gone`."""
    with closing(driver(connection).execute(_BLOCKERS_OF, {"job": job})) as found:
        return any(live or blocker not in gone for blocker, live in found)


def latest(connection: sa.Connection, before: Place, count: int, uid: int | None) -> tuple[list[float], Place | None]:
    """When the jobs (of user `uid`) ended that ended before a place, the latest first; and the place to go on from."""
    rows = connection.execute(_LATEST, {"at": before[0], "id": before[1], "count": count}).all()
    ended = [row.ended_at for row in rows if uid in (None, row.uid)]
    return ended, (rows[-1].ended_at, rows[-1].id) if len(rows) == count else None


def numbers(connection: sa.Connection, after: int, count: int, uid: int | None) -> tuple[list[int], int | None]:
    """The jobs (of user `uid`) with the next `count` numbers after this one; and the number to go on from."""
    highest = connection.execute(sa.text("SELECT max(id) FROM jobs")).scalar() or 0
    mine = "" if uid is None else "AND uid = :uid"
    query = sa.text(f"SELECT id FROM jobs WHERE id > :after AND id <= :last {mine} ORDER BY id")
    asked = {"after": after, "last": after + count} | ({} if uid is None else {"uid": uid})
    found = list(connection.execute(query, asked).scalars())
    return found, after + count if after + count < highest else None


def remove(connection: sa.Connection, wanted: Sequence[int]) -> list[int]:
    """Remove these jobs, with all that is stored of them, but those that have to stay by now; returns which went.

    What they used stays, by month.
    """
    raw = driver(connection)
    rows = {row[0]: row for row in raw.execute(_THESE, {"jobs": json.dumps(list(wanted))})}
    going = {job for job, (_, _, _, spare) in rows.items() if spare}
    for job in sorted(going, reverse=True):  # what comes after a job has a higher number
        if rows[job][2] and _is_blocked(connection, job, going):
            going.remove(job)
    if going:
        these = json.dumps(sorted(going))
        usage.keep(raw, these)
        for statement in _ROWS:
            raw.execute(statement, {"jobs": these})
        raw.execute(_ENVIRONMENTS, {"environments": json.dumps(list({rows[job][1] for job in going}))})
    return sorted(going)


def shrink(connection: sa.Connection, pages: int) -> int:
    """Give so many unused pages of the file back to the disk; returns how many are left (0: or it cannot)."""
    raw = driver(connection)
    if raw.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
        return 0
    unused = int(raw.execute("PRAGMA freelist_count").fetchone()[0])
    for _ in range(min(pages, unused)):  # one by one: Python 3.11 ends a statement without columns after its first step
        raw.execute("PRAGMA incremental_vacuum(1)")
    return max(unused - pages, 0)
