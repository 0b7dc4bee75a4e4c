"""How many stages stand in each line, how many jobs of each person have not ended, the kinds of their stages, and how
many stages ended how: counted by the database itself.

So nobody who asks has to count a hundred thousand rows, and no statement can forget to keep count.
"""

from collections import Counter
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from labsched.store.prepared import Prepared
from labsched.store.tables import stages, tallies


@dataclass(frozen=True, slots=True)
class Tally:
    """The rows of a table that count, by name; `counts` and `name` are SQL of a row, here called ``ROW``."""

    kind: str
    table: str
    column: str  # whose change may make a row count, or count no more
    counts: str
    name: str

    def triggers(self) -> dict[str, str]:
        """What keeps count."""
        new, old = self.counts.replace("ROW", "NEW"), self.counts.replace("ROW", "OLD")
        more = f"""INSERT INTO tallies (kind, name, number) VALUES ('{self.kind}', {self.name.replace("ROW", "NEW")}, 1)
            ON CONFLICT (kind, name) DO UPDATE SET number = number + 1;"""
        this = f"kind = '{self.kind}' AND name = {self.name.replace('ROW', 'OLD')}"
        less = f"UPDATE tallies SET number = number - 1 WHERE {this}; DELETE FROM tallies WHERE {this} AND number < 1;"
        changed = f"AFTER UPDATE OF {self.column} ON {self.table} WHEN OLD.{self.column} IS NOT NEW.{self.column}"
        return {
            f"{self.kind}_added": f"AFTER INSERT ON {self.table} WHEN {new} BEGIN {more} END",
            f"{self.kind}_removed": f"AFTER DELETE ON {self.table} WHEN {old} BEGIN {less} END",
            f"{self.kind}_left": f"{changed} AND {old} BEGIN {less} END",
            f"{self.kind}_joined": f"{changed} AND {new} BEGIN {more} END",
        }

    def count(self) -> str:
        """The rows of the tally, counted anew."""
        name, counts = self.name.replace("ROW", self.table), self.counts.replace("ROW", self.table)
        return f"SELECT '{self.kind}', {name}, count(*) FROM {self.table} WHERE {counts} GROUP BY 2"


LINE = Tally("line", "stages", "line", "ROW.line IS NOT NULL", "ROW.line")
LIVE = Tally("live", "jobs", "ended_at", "ROW.ended_at IS NULL", "CAST(ROW.uid AS TEXT)")
KIND = Tally(
    *("kind", "stages", "ended_at", "ROW.ended_at IS NULL"),
    "(SELECT j.uid || ' ' || j.priority || ' ' FROM jobs j WHERE j.id = ROW.job_id) || ROW.needs",
)
OVER = Tally("over", "stages", "outcome", "ROW.outcome IS NOT NULL", "ROW.outcome")
ALL = (LINE, LIVE, KIND, OVER)

_IN_LINE, _LIVE, _OF_KIND, _OVER = (tallies.c.kind == tally.kind for tally in ALL)

_LINES = Prepared(sa.select(tallies.c.name, tallies.c.number).where(_IN_LINE).order_by(tallies.c.name))
_ALL_LIVE = Prepared(sa.select(sa.func.coalesce(sa.func.sum(tallies.c.number), 0)).where(_LIVE))
_LIVE_OF = Prepared(sa.select(tallies.c.number).where(_LIVE, tallies.c.name == sa.bindparam("uid", type_=sa.String)))
_KINDS_OF_JOB = Prepared(
    sa.select(sa.literal_column(KIND.name.replace("ROW", "stages")).label("name"), sa.func.count().label("number"))
    .select_from(stages)
    .where(stages.c.job_id == sa.bindparam("job"), stages.c.ended_at.is_(None))
    .group_by(sa.literal_column("1"))
)
_ADD = Prepared(
    insert(tallies)
    .values(kind=sa.bindparam("kind"), name=sa.bindparam("name"), number=sa.bindparam("more"))
    .on_conflict_do_update(index_elements=["kind", "name"], set_={"number": tallies.c.number + sa.bindparam("more")})
)
_NONE = Prepared(sa.delete(tallies).where(_OF_KIND, tallies.c.number < 1))
_ALL_KINDS = Prepared(sa.select(tallies.c.name, tallies.c.number).where(_OF_KIND))
_KINDS_OF = Prepared(
    sa.select(sa.func.count()).where(
        _OF_KIND,
        tallies.c.name >= sa.bindparam("first", type_=sa.String),
        tallies.c.name < sa.bindparam("after", type_=sa.String),
    )
)
_OUTCOMES = Prepared(sa.select(tallies.c.name, tallies.c.number).where(_OVER))
_ALL_STAGES = Prepared(sa.select(sa.func.coalesce(sa.func.sum(tallies.c.number), 0)).where(_OF_KIND))


def suspend(connection: sa.Connection) -> None:
    """Keep count of nothing any more, until `install`: while there are triggers, no table can be made anew."""
    for tally in ALL:
        for name in tally.triggers():
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")


def install(connection: sa.Connection) -> None:
    """Count everything anew, and from now on."""
    suspend(connection)
    connection.exec_driver_sql("DELETE FROM tallies")
    for tally in ALL:
        for name, text in tally.triggers().items():
            connection.exec_driver_sql(f"CREATE TRIGGER {name} {text}")
        connection.exec_driver_sql(f"INSERT INTO tallies (kind, name, number) {tally.count()}")


def lines(connection: sa.Connection) -> dict[str, int]:
    """How many stages stand in each line."""
    return {row.name: row.number for row in _LINES.rows(connection)}


def live_jobs(connection: sa.Connection, uid: int | None = None) -> int:
    """How many jobs (of this person) have not ended."""
    if uid is None:
        return int(_ALL_LIVE.scalar(connection))
    return int(_LIVE_OF.scalar(connection, uid=str(uid)) or 0)


def kinds_of(connection: sa.Connection, job: int) -> Counter[str]:
    """The kinds of this job's stages, by the names that they are counted by."""
    return Counter({row.name: row.number for row in _KINDS_OF_JOB.rows(connection, job=job)})


def recount(connection: sa.Connection, job: int, before: Counter[str]) -> None:
    """Count this job's stages among their kinds anew: no trigger sees a change of priority or needs."""
    now = kinds_of(connection, job)
    for name in now.keys() | before.keys():
        if more := now[name] - before[name]:
            _ADD.run(connection, kind=KIND.kind, name=name, more=more)
    _NONE.run(connection)


def needs(connection: sa.Connection) -> list[tuple[dict[str, int], int]]:
    """What stages that have not ended need, with how many of them need the same."""
    kinds = _ALL_KINDS.rows(connection)
    return [(msgspec.json.decode(kind.name.split(" ", 2)[2]), kind.number) for kind in kinds]


def kinds(connection: sa.Connection, uid: int) -> int:
    """How many kinds (priority and needs) there are of this person's stages that have not ended."""
    return int(_KINDS_OF.scalar(connection, first=f"{uid} ", after=f"{uid}!"))


def live_stages(connection: sa.Connection) -> int:
    """How many stages have not ended."""
    return int(_ALL_STAGES.scalar(connection))


def outcomes(connection: sa.Connection) -> dict[str, int]:
    """How many stages have ended, by how."""
    return {row.name: row.number for row in _OUTCOMES.rows(connection)}
