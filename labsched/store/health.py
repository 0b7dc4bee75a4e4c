"""Whether the queue is whole: its file, its rows, and what must hold between them."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labsched.core.states import Outcome, State
from labsched.errors import NotFound
from labsched.store.backup import reading

MANY = 5  # of a kind that are named


def damage(path: Path, *, full: bool = False) -> list[str]:
    """What is wrong with the file of a queue, as SQLite finds it; nothing where it is whole.

    `full` also compares every index with its table, and looks at the rows of jobs that have ended.
    """
    try:
        with reading(path) as connection:
            return [*_pages(connection, full), *_values(connection, full), *(_references(connection) if full else ())]
    except sqlite3.Error as error:
        return [str(error)]
    except NotFound as error:
        return [str(error)]
    except OSError as error:
        return [f"it cannot be read: {error.strerror}"]


def broken(path: Path) -> list[str]:
    """Which of the rules that `labsched.store` keeps do not hold in a queue: a sentence each.

    Raises NotFound, OSError and sqlite3.Error.
    """
    with reading(path) as connection:
        return list(_broken(connection))


@dataclass(frozen=True, slots=True)
class Row:
    """Of an attempt: whether it has not ended, and when it was written down."""

    open: bool
    created_at: float


def attempts(connection: sqlite3.Connection, first: int, last: int) -> dict[str, Row]:
    """The attempts of jobs `first` to `last`, by the names of their folders."""
    rows = connection.execute(
        """SELECT a.folder, a.ended_at IS NULL, a.created_at FROM stages s JOIN attempts a ON a.stage_id = s.id
           WHERE s.job_id BETWEEN ? AND ?""",
        (first, last),
    )
    return {folder: Row(bool(is_open), created) for folder, is_open, created in rows}


def number(connection: sqlite3.Connection, what: str) -> int:
    """A number that SQL asks for, such as ``count(*) FROM attempts``."""
    return int(connection.execute(f"SELECT {what}").fetchone()[0] or 0)


def _pages(connection: sqlite3.Connection, full: bool) -> list[str]:
    what = "integrity_check" if full else "quick_check"
    found = [str(line) for (line,) in connection.execute(f"PRAGMA {what}({MANY})")]
    return [] if found == ["ok"] else [" ".join(line.split()) for line in found]


def _values(connection: sqlite3.Connection, full: bool) -> Iterator[str]:
    """Values that are not what was written: SQLite's own check does not look into them."""
    of_these = "" if full else "s.state <> 'ended' AND"
    said = " AND ".join(f"json_valid(coalesce(s.{name}, '{{}}'))" for name in _JSON)
    stages = f"SELECT s.job_id FROM stages s WHERE {of_these} NOT ({said} AND s.state IN ({_STATES}))"
    environments = f"""SELECT s.job_id FROM stages s JOIN jobs j ON j.id = s.job_id
        JOIN environments e ON e.id = j.environment_id WHERE {of_these} NOT json_valid(e.variables)"""
    if jobs := _jobs(connection, f"{stages} UNION {environments}"):
        yield f"what is stored of job {jobs} makes no sense"


def _references(connection: sqlite3.Connection) -> Iterator[str]:
    count: dict[tuple[str, str], int] = {}
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        count[table, parent] = count.get((table, parent), 0) + 1
    for (table, parent), number in count.items():
        yield f"{number} rows of {table} name a row of {parent} that is not there"


_JSON = ("argv", "env", "outputs", "needs", "up_to", "retry")
_STATES = ", ".join(f"'{state}'" for state in State)
_OUTCOMES = ", ".join(f"'{outcome}'" for outcome in Outcome)
_OPEN = "a.ended_at IS NULL"
_BEFORE = "dependencies d JOIN stages b ON b.id = d.on_stage_id"

#: What must not be found: in words, and as a query of jobs' numbers.
RULES = {
    "a stage that runs has no open attempt": f"""
        SELECT s.job_id FROM stages s WHERE s.state <> 'ended' AND s.state IN ('starting', 'running')
        AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.stage_id = s.id AND {_OPEN})""",
    "a stage that does not run has an open attempt": f"""
        SELECT s.job_id FROM attempts a JOIN stages s ON s.id = a.stage_id
        WHERE {_OPEN} AND s.state NOT IN ('starting', 'running')""",
    "a stage has several open attempts": f"""
        SELECT s.job_id FROM attempts a JOIN stages s ON s.id = a.stage_id
        WHERE {_OPEN} GROUP BY s.id HAVING count(*) > 1""",
    "an attempt that has ended has no outcome, or one that has not has one": f"""
        SELECT s.job_id FROM attempts a JOIN stages s ON s.id = a.stage_id
        WHERE ({_OPEN}) <> (a.outcome IS NULL)""",
    "a stage is in a state that there is not": f"""
        SELECT job_id FROM stages WHERE state NOT IN ({_STATES})
        OR (outcome IS NOT NULL AND outcome NOT IN ({_OUTCOMES}))""",
    "a stage that has ended does not say how, or one that has not says it": """
        SELECT job_id FROM stages
        WHERE (state = 'ended') <> (outcome IS NOT NULL) OR (state = 'ended') <> (ended_at IS NOT NULL)""",
    "a stage that may not start stands in line": f"""
        SELECT s.job_id FROM stages s JOIN jobs j ON j.id = s.job_id WHERE s.line IS NOT NULL AND (
            s.state <> 'waiting' OR s.not_before IS NOT NULL OR j.held_by IS NOT NULL OR EXISTS (
                SELECT 1 FROM {_BEFORE} WHERE d.stage_id = s.id AND coalesce(b.outcome, '') <> 'succeeded'))""",
    "a stage that may start stands in no line": f"""
        SELECT s.job_id FROM stages s JOIN jobs j ON j.id = s.job_id
        WHERE s.state <> 'ended' AND s.state = 'waiting' AND s.line IS NULL
        AND s.not_before IS NULL AND j.held_by IS NULL AND NOT EXISTS (
            SELECT 1 FROM {_BEFORE} WHERE d.stage_id = s.id AND coalesce(b.outcome, '') <> 'succeeded')""",
    "a stage waits for one that will not succeed": f"""
        SELECT s.job_id FROM stages s WHERE s.state <> 'ended' AND s.state = 'waiting' AND EXISTS (
            SELECT 1 FROM {_BEFORE} WHERE d.stage_id = s.id AND b.state = 'ended' AND b.outcome <> 'succeeded')""",
    "a job has not ended as its stages have": """
        SELECT j.id FROM jobs j WHERE (j.ended_at IS NULL) <> EXISTS (
            SELECT 1 FROM stages s WHERE s.job_id = j.id AND s.state <> 'ended')
        OR (j.ended_at IS NULL) <> (j.outcome IS NULL)""",
    "the stages of a line are miscounted": """
        SELECT max(s.job_id) FROM stages s WHERE s.line IS NOT NULL GROUP BY s.line HAVING count(*) <> coalesce(
            (SELECT t.number FROM tallies t WHERE t.kind = 'line' AND t.name = s.line), 0)""",
    "the jobs of a person are miscounted": """
        SELECT max(j.id) FROM jobs j WHERE j.ended_at IS NULL GROUP BY j.uid HAVING count(*) <> coalesce(
            (SELECT t.number FROM tallies t WHERE t.kind = 'live' AND t.name = CAST(j.uid AS TEXT)), 0)""",
    "a job has no stages": "SELECT j.id FROM jobs j WHERE NOT EXISTS (SELECT 1 FROM stages s WHERE s.job_id = j.id)",
    "two jobs of the same key have not ended": """
        SELECT max(j.id) FROM jobs j WHERE j.key IS NOT NULL AND EXISTS (
            SELECT 1 FROM stages s WHERE s.job_id = j.id AND s.state <> 'ended')
        GROUP BY j.key HAVING count(*) > 1""",
}


def _broken(connection: sqlite3.Connection) -> Iterator[str]:
    for what, query in RULES.items():
        if jobs := _jobs(connection, query):
            yield f"{what}: job {jobs}"


def _jobs(connection: sqlite3.Connection, query: str) -> str:
    """The numbers that a query finds, in words; nothing where it finds none."""
    found = [job for (job,) in connection.execute(f"SELECT DISTINCT * FROM ({query}) ORDER BY 1 LIMIT {MANY + 1}")]
    return ", ".join(map(str, found[:MANY])) + (" and more" if len(found) > MANY else "")
