"""Removing jobs that have long ended: few at a time, so that nobody who writes waits for it.

What stays, however old: a job that has not ended; one that a job which has not ended comes after; one without success
that a job without success comes after (a retry would forget why it may not run); and of the jobs of each block (key)
the newest that succeeded, for that is what `--again` asks about.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import sqlalchemy as sa

_MAY_GO = """
    j.ended_at IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM stages m JOIN dependencies d ON d.on_stage_id = m.id JOIN stages f ON f.id = d.stage_id
        JOIN jobs k ON k.id = f.job_id
        WHERE m.job_id = j.id AND k.id <> j.id AND (
            k.ended_at IS NULL OR (m.outcome <> 'succeeded' AND f.outcome <> 'succeeded')))
    AND (j.key IS NULL OR j.outcome <> 'succeeded'
        OR EXISTS (SELECT 1 FROM jobs n WHERE n.key = j.key AND n.id > j.id AND n.outcome = 'succeeded'))"""
_PAGE = sa.text(f"""
    SELECT j.id, j.ended_at, j.uid, {_MAY_GO} AS may_go FROM jobs j
    WHERE j.ended_at IS NOT NULL AND (j.ended_at, j.id) > (:at, :id) AND j.ended_at < :before
    ORDER BY j.ended_at, j.id LIMIT :count""")
_LATEST = sa.text("""
    SELECT j.id, j.ended_at, j.uid FROM jobs j WHERE j.ended_at IS NOT NULL AND (j.ended_at, j.id) < (:at, :id)
    ORDER BY j.ended_at DESC, j.id DESC LIMIT :count""")
_THESE = sa.text(f"SELECT j.id, j.environment_id FROM jobs j WHERE j.id IN :jobs AND {_MAY_GO}").bindparams(
    sa.bindparam("jobs", expanding=True)
)
_ROWS = [
    sa.text(f"DELETE FROM {statement}").bindparams(sa.bindparam("jobs", expanding=True))
    for statement in (
        "attempts WHERE stage_id IN (SELECT id FROM stages WHERE job_id IN :jobs)",
        "dependencies WHERE stage_id IN (SELECT id FROM stages WHERE job_id IN :jobs)",
        "dependencies WHERE on_stage_id IN (SELECT id FROM stages WHERE job_id IN :jobs)",
        "events WHERE job_id IN :jobs",
        "stages WHERE job_id IN :jobs",
        "jobs WHERE id IN :jobs",
    )
]
_ENVIRONMENTS = sa.text("""DELETE FROM environments WHERE id IN :environments
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE environment_id = environments.id)""").bindparams(
    sa.bindparam("environments", expanding=True)
)

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


def page(connection: sa.Connection, after: Place, before: float, count: int) -> tuple[list[Old], Place | None]:
    """Jobs that ended before this moment, the oldest first, from a place on; and the place to go on from (None: none).

    `count` is the number of jobs that are looked at.
    """
    asked = {"at": after[0], "id": after[1], "before": before, "count": count}
    rows = connection.execute(_PAGE, asked).all()
    folders: dict[int, list[str]] = {}
    query = sa.text(
        "SELECT s.job_id, a.folder FROM stages s JOIN attempts a ON a.stage_id = s.id WHERE s.job_id IN :jobs"
    )
    found = query.bindparams(sa.bindparam("jobs", expanding=True))
    for row in connection.execute(found, {"jobs": [row.id for row in rows]}):
        folders.setdefault(row.job_id, []).append(row.folder)
    old = [Old(row.id, row.uid, bool(row.may_go), tuple(folders.get(row.id, ()))) for row in rows]
    return old, (rows[-1].ended_at, rows[-1].id) if len(rows) == count else None


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
    """Remove these jobs, with all that is stored of them, but those that have to stay by now; returns which went."""
    rows = connection.execute(_THESE, {"jobs": list(wanted)}).all()
    gone = [row.id for row in rows]
    if gone:
        for statement in _ROWS:
            connection.execute(statement, {"jobs": gone})
        connection.execute(_ENVIRONMENTS, {"environments": list({row.environment_id for row in rows})})
    return gone


def shrink(connection: sa.Connection, pages: int) -> int:
    """Give so many unused pages of the file back to the disk; returns how many are left (0: or it cannot)."""
    if connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() != 2:
        return 0
    with closing(connection.connection.cursor()) as cursor:  # it has rows, a page each, but no columns
        cursor.execute(f"PRAGMA incremental_vacuum({int(pages)})")
        cursor.fetchall()
    return int(connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0)
