"""What waits to be told: from the events, in the order in which they happened, to the targets that want them.

The mark `CURSOR` is the last event that was looked at: it moves in the transaction that fills the outbox, so nothing is
passed over, and nothing told twice, whenever the daemon dies. What is being sent has a `batch`; a daemon that finds
such a one at its start asks the sender's receipts what became of it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from labsched.core.states import Outcome
from labsched.store import marks
from labsched.store.events import last
from labsched.store.moves import record
from labsched.store.read import argv_head
from labsched.store.tables import attempts, events, jobs, outbox, stages, targets

Row = sa.Row[Any]
CURSOR = "told"
BLOCK = 1000  # events that are looked at in one transaction
MOST = 2000  # things in one message
QUIET_S = 3600.0  # after which a target is written to soon again
LONGEST_S = 900.0  # that things are gathered for, unless somebody wants it longer
FIRST_S, FARTHEST_S = 30.0, 3600.0  # until another try, doubling
KEPT_S = 3 * 24 * 3600.0  # that is tried for
_NEVER = 1e12  # seconds: when a target is due that is being written to
#: What a target can want to be told of, by the kind of event.
WANTED = {
    "stage.failed": "failed",
    "stage.timed_out": "failed",
    "stage.lost": "lost",
    "stage.succeeded": "succeeded",
    "job.waits": "wait",
    "queue.empty": "empty",
    "disk.low": "disk",
}
_ENDS = ("stage.failed", "stage.timed_out", "stage.lost", "stage.succeeded", "stage.cancelled", "stage.skipped")


def wanted(connection: sa.Connection) -> set[str]:
    """What anybody wants to be told of."""
    return {kind for kinds in connection.execute(sa.select(targets.c.kinds)).scalars() for kind in kinds}


def is_behind(connection: sa.Connection) -> bool:
    """Whether there are events that nobody has looked at."""
    return last(connection) > (marks.get(connection, CURSOR) or 0)


def gather(connection: sa.Connection, now: float, digest: float) -> bool:
    """Look at the next events; returns whether there may be more."""
    every = connection.execute(sa.select(targets)).all()
    if not every:
        return False
    after = marks.get(connection, CURSOR) or 0
    query = sa.select(events.c.id).where(events.c.id > after).order_by(events.c.id).limit(BLOCK)
    found = connection.execute(query).scalars().all()
    if not found:
        marks.put(connection, CURSOR, last(connection))  # what came after was removed since
        return False
    told = _told(connection, after, found[-1])
    for row in told:
        if (kind := WANTED.get(row.kind)) is not None:
            _put(connection, every, row, kind)
    marks.put(connection, CURSOR, found[-1])
    more = len(found) == BLOCK
    ended = not more and any(row.kind in _ENDS for row in told)
    if ended and any("empty" in row.kinds for row in every) and not _goes_on(connection):
        record(connection, "queue.empty", now)
        more = True
    _set_due(connection, now, digest)
    return more


def _told(connection: sa.Connection, after: int, until: int) -> Sequence[Row]:
    """The events that may be of interest, with what is known of their jobs."""
    first = stages.alias("first")
    columns = (stages.c.name.label("stage"), jobs.c.name.label("job"), jobs.c.uid, jobs.c.user.label("owner"))
    return connection.execute(
        sa.select(events, *columns, jobs.c.outcome, argv_head(first).label("argv_head"))
        .outerjoin(stages, stages.c.id == events.c.stage_id)
        .outerjoin(jobs, jobs.c.id == events.c.job_id)
        .outerjoin(first, sa.and_(first.c.job_id == events.c.job_id, first.c.position == 0))
        .where(events.c.id > after, events.c.id <= until, events.c.kind.in_([*WANTED, *_ENDS]))
        .order_by(events.c.id)
    ).all()


def _put(connection: sa.Connection, every: Sequence[Row], event: Row, kind: str) -> None:
    if event.job_id is not None and event.uid is None:
        return  # it was removed since
    wanting = [
        row for row in every if kind in row.kinds and (row.lab is not None or event.uid is None or event.uid == row.uid)
    ]
    if not wanting or (kind == "succeeded" and not _is_last(connection, event)):
        return
    data = {"stage": event.stage, "name": event.job, "owner": event.owner, "argv_head": event.argv_head, **event.data}
    row = {"kind": kind, "at": event.at, "job_id": event.job_id, "stage_id": event.stage_id, "data": data}
    connection.execute(outbox.insert(), [{"target_id": one.id, **row} for one in wanting])


def _is_last(connection: sa.Connection, event: Row) -> bool:
    """Whether its job succeeded with this stage."""
    if event.outcome != Outcome.SUCCEEDED:
        return False
    newest = sa.select(sa.func.max(events.c.id)).where(
        events.c.job_id == event.job_id, events.c.kind == "stage.succeeded"
    )
    return bool(connection.execute(newest).scalar() == event.id)


def _goes_on(connection: sa.Connection) -> bool:
    """Whether anything runs, or may start without somebody doing something."""
    runs = sa.select(sa.exists().where(attempts.c.ended_at.is_(None)))
    waits = sa.select(sa.exists().where(jobs.c.ended_at.is_(None), jobs.c.held_by.is_(None)))
    return bool(connection.execute(runs).scalar() or connection.execute(waits).scalar())


def _set_due(connection: sa.Connection, now: float, digest: float) -> None:
    """Say when targets are written to for which something has come."""
    waits = sa.exists().where(outbox.c.target_id == targets.c.id)
    for row in connection.execute(sa.select(targets).where(targets.c.due.is_(None), waits)).all():
        due = now + _patience(row.digest, row.sent_at, row.streak, now, digest)
        connection.execute(targets.update().where(targets.c.id == row.id).values(due=due))


def _patience(apart: float | None, sent_at: float | None, streak: int, now: float, digest: float) -> float:
    """How long things are gathered for a target: longer where one message followed the other."""
    if sent_at is None or sent_at > now:
        return digest
    if apart is not None:
        return max(digest, sent_at + apart - now)
    if now - sent_at > QUIET_S:
        return digest
    return float(min(digest * 4 ** min(streak, 20), max(LONGEST_S, digest)))


def next_due(connection: sa.Connection) -> float | None:
    """When the next message is to be sent."""
    return connection.execute(sa.select(sa.func.min(targets.c.due))).scalar()


def account(target: Row) -> tuple[int, bool]:
    """Whose a target is: one sender has the letters of one account."""
    return target.uid, target.lab is not None


def claim(
    connection: sa.Connection, now: float, batch: str, busy: Collection[tuple[int, bool]]
) -> list[tuple[Row, Sequence[Row]]]:
    """The targets of one account that are due, with what waits for them; they get no other message meanwhile.

    `busy` are accounts whose turn it is not, for a sender of theirs is at work.
    """
    every = connection.execute(sa.select(targets).where(targets.c.due <= now).order_by(targets.c.due)).all()
    due = [row for row in every if account(row) not in busy]
    ours = [row for row in due if account(row) == account(due[0])]
    claimed = []
    for row in ours:
        query = sa.select(outbox).where(outbox.c.target_id == row.id).order_by(outbox.c.id).limit(MOST)
        things = connection.execute(query).all()
        connection.execute(targets.update().where(targets.c.id == row.id).values(due=None if not things else _NEVER))
        if things:
            connection.execute(
                outbox.update().where(outbox.c.target_id == row.id, outbox.c.id <= things[-1].id).values(batch=batch)
            )
            claimed.append((row, things))
    return claimed


def batches(connection: sa.Connection) -> dict[str, list[int]]:
    """What an earlier daemon was sending: the targets by batch."""
    query = sa.select(outbox.c.batch, outbox.c.target_id).where(outbox.c.batch.is_not(None)).distinct()
    found: dict[str, list[int]] = {}
    for batch, target in connection.execute(query):
        found.setdefault(batch, []).append(target)
    return found


def settle(
    connection: sa.Connection, batch: str, said: Mapping[int, str | None], now: float, digest: float
) -> list[int]:
    """Write down what became of a batch: by target, None where it was sent, else why not. Returns the targets for which
    things were given up, for they were tried long enough."""
    given_up = []
    for target, why in said.items():
        row = connection.execute(sa.select(targets).where(targets.c.id == target)).one_or_none()
        if row is None:  # somebody has removed it meanwhile
            continue
        ours = sa.and_(outbox.c.target_id == target, outbox.c.batch == batch)
        if why is None:
            connection.execute(outbox.delete().where(ours))
            soon = row.sent_at is not None and now - row.sent_at <= QUIET_S
            streak = row.streak + 1 if soon else 1
            values: dict[str, Any] = {"sent_at": now, "streak": streak, "failures": 0, "trouble": None}
        else:
            old = connection.execute(outbox.delete().where(ours, outbox.c.at < now - KEPT_S)).rowcount
            given_up += [target] if old else []
            connection.execute(outbox.update().where(ours).values(batch=None))
            values = {"failures": row.failures + 1, "trouble": why}
        left = connection.execute(sa.select(outbox.c.id).where(outbox.c.target_id == target).limit(1)).scalar()
        if left is None:
            due = None
        elif why is None:
            due = now + _patience(row.digest, now, values["streak"], now, digest)
        else:
            due = now + min(FIRST_S * 2 ** min(row.failures, 20), FARTHEST_S)
        connection.execute(targets.update().where(targets.c.id == target).values(due=due, **values))
    return given_up


def forget(connection: sa.Connection) -> None:
    """Let nothing wait, and go on after what has happened so far: what a backup would tell was told when it was new."""
    marks.put(connection, CURSOR, last(connection))
    connection.execute(outbox.delete())
    connection.execute(targets.update().values(due=None, failures=0, trouble=None))


def last_attempts(connection: sa.Connection, stage_ids: Sequence[int]) -> dict[int, Row]:
    """The last attempt at each of these stages."""
    query = sa.select(attempts).where(attempts.c.stage_id.in_(stage_ids)).order_by(attempts.c.id)
    return {row.stage_id: row for row in connection.execute(query)}


def long_waits(connection: sa.Connection, now: float, seconds: float) -> int:
    """Leave an event of each job that has stood in line for so long, and of which nothing was told since; returns how
    many there were. Only of jobs whose owner wants it, or all where the lab does."""
    wanting = [row for row in connection.execute(sa.select(targets)) if "wait" in row.kinds]
    if not wanting:
        return 0
    newest = sa.select(sa.func.max(events.c.at)).where(events.c.job_id == jobs.c.id).scalar_subquery()
    query = (
        sa.select(jobs.c.id, newest)
        .where(
            jobs.c.id.in_(sa.select(stages.c.job_id).where(stages.c.line.is_not(None))),
            jobs.c.ended_at.is_(None),
            jobs.c.submitted_at < now - seconds,
            newest < now - seconds,
            sa.not_(sa.exists().where(events.c.job_id == jobs.c.id, events.c.kind == "job.waits")),
        )
        .limit(BLOCK)
    )
    if all(row.lab is None for row in wanting):
        query = query.where(jobs.c.uid.in_([row.uid for row in wanting]))
    found = connection.execute(query).all()
    for job, since in found:
        record(connection, "job.waits", now, job=job, data={"seconds": round(now - since, 1)})
    return len(found)


def disk(connection: sa.Connection, path: str, free: int, least: int, now: float) -> bool:
    """Leave an event where a disk has become nearly full; returns whether it has. It is told again once there was room
    in between (a tenth more than the least)."""
    name, low = f"disk {path}", marks.get(connection, f"disk {path}") == 1
    if low and free > least * 1.1:
        marks.put(connection, name, 0)
    elif not low and free < least:
        marks.put(connection, name, 1)
        record(connection, "disk.low", now, data={"path": path, "free": free})
        return True
    return False
