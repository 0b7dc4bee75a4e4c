"""How many stages wait, run and have ended, and how long they waited: at little cost, however long the queue."""

from dataclasses import dataclass

import sqlalchemy as sa

from labsched.core.states import State
from labsched.store import tallies
from labsched.store.lines import parse
from labsched.store.prepared import driver

_OPEN = """SELECT s.state, count(*) FROM attempts a JOIN stages s ON s.id = a.stage_id
    WHERE a.ended_at IS NULL GROUP BY s.state"""
_OLDEST = (
    """SELECT submitted_at FROM jobs WHERE id = (SELECT job_id FROM stages WHERE line = :line ORDER BY id LIMIT 1)"""
)
_NEW = """
    SELECT count(*), coalesce(sum(max(a.created_at - max(j.submitted_at, coalesce((
        SELECT max(b.ended_at) FROM dependencies d JOIN stages b ON b.id = d.on_stage_id
        WHERE d.stage_id = s.id), 0)), 0)), 0)
    FROM attempts a JOIN stages s ON s.id = a.stage_id JOIN jobs j ON j.id = s.job_id
    WHERE a.id > :known AND a.number = 1"""
_NEWEST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'attempts'"
_EVENTS = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"

live_jobs = tallies.live_jobs
ended = tallies.outcomes


@dataclass(slots=True)
class Waits:
    """How many stages have started, and the seconds that they waited for it, each time that somebody asks: only those
    attempts are looked at that are new since then."""

    known: int | None = None
    count: int = 0
    seconds: float = 0.0

    def so_far(self, connection: sa.Connection) -> tuple[int, float]:
        """Since the first time that it was asked."""
        raw = driver(connection)
        (newest,) = raw.execute(_NEWEST).fetchone()
        if self.known is not None and newest > self.known:
            count, seconds = raw.execute(_NEW, {"known": self.known}).fetchone()
            self.count, self.seconds = self.count + count, self.seconds + seconds
        self.known = max(newest, self.known or 0)
        return self.count, self.seconds


def states(connection: sa.Connection) -> dict[str, int]:
    """How many stages wait, start and run."""
    found = dict.fromkeys((state.value for state in (State.WAITING, State.STARTING, State.RUNNING)), 0)
    found |= dict(driver(connection).execute(_OPEN).fetchall())
    found[State.WAITING.value] = max(tallies.live_stages(connection) - sum(found.values()), 0)
    return found


def oldest(connection: sa.Connection, now: float) -> dict[str, float]:
    """By pool: the seconds since the oldest job was queued that stands in line for it."""
    found: dict[str, float] = {}
    raw = driver(connection)
    for line in tallies.lines(connection):
        at = raw.execute(_OLDEST, {"line": line}).fetchone()
        for pool in parse(line).needs if at else ():
            found[pool] = max(found.get(pool, 0.0), now - at[0])
    return found


def events(connection: sa.Connection) -> int:
    """How many events there have been."""
    return int(driver(connection).execute(_EVENTS).fetchone()[0])
