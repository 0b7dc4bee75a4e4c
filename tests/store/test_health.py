"""What is wrong with a queue is found, and nothing is found in one that is right."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from labsched.store.health import RULES, broken, damage
from tests.store.worlds import FAILED, Queue, job, names

#: By rule: what breaks it, and which job is named. Jobs: see `lively`.
BREAKS = {
    "a stage that runs has no open attempt": "UPDATE attempts SET ended_at = 1, outcome = 'lost' WHERE id = 1",
    "a stage that does not run has an open attempt": "UPDATE attempts SET ended_at = NULL, outcome = NULL WHERE id = 2",
    "a job has not ended as its stages have": "UPDATE jobs SET ended_at = NULL WHERE outcome IS NOT NULL",
    "the stages of a line are miscounted": "UPDATE tallies SET number = number + 1 WHERE kind = 'line'",
    "the jobs of a person are miscounted": "UPDATE tallies SET number = number + 1 WHERE kind = 'live'",
    "a stage has several open attempts": """INSERT INTO attempts (stage_id, number, folder, boot_id, created_at)
        SELECT stage_id, 9, 'x', 'b', 1 FROM attempts WHERE id = 1""",
    "an attempt that has ended has no outcome, or one that has not has one": """UPDATE attempts SET outcome = 'lost'
        WHERE id = 1""",
    "a stage is in a state that there is not": "UPDATE stages SET outcome = 'sideways' WHERE job_id = 2",
    "a stage that has ended does not say how, or one that has not says it": """UPDATE stages SET outcome = NULL
        WHERE job_id = 2""",
    "a stage that may not start stands in line": """UPDATE stages SET line = '[0,"ann",[]]'
        WHERE job_id = 3 AND position = 1""",
    "a stage that may start stands in no line": "UPDATE stages SET line = NULL WHERE job_id = 3",
    "a stage waits for one that will not succeed": """UPDATE stages SET state = 'ended', outcome = 'failed',
        line = NULL, ended_at = 1 WHERE job_id = 3 AND position = 0""",
    "a job has no stages": """INSERT INTO jobs (name, recipe, user, uid, submitted_at, environment_id)
        SELECT name, recipe, user, uid, 1, environment_id FROM jobs WHERE id = 1""",
    "two jobs of the same key have not ended": "UPDATE jobs SET key = 'k' WHERE id IN (1, 3)",
}


@pytest.fixture
def lively(queue: Queue) -> Queue:
    """Job 1 runs, 2 has failed and 5 was skipped for it, 3 waits, 4 is held, 6 waits for its time, 7 is done."""
    queue.submit(job(), job(name="bad"))
    assert names(queue.step()) == ["1.run", "2.run"]
    queue.pool("CPU", slots=1)
    queue.submit(job("one", "two"), job(hold=True), job(after=("bad",)), job(), job())
    queue.finish("2.run", FAILED)
    queue.do(lambda c: c.exec_driver_sql("UPDATE stages SET not_before = 9e9, line = NULL WHERE job_id = 6"))
    return queue


def test_nothing_is_found_where_nothing_is_wrong(lively: Queue, path: Path) -> None:
    assert broken(path) == damage(path) == damage(path, full=True) == []


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_does_not_hold_is_named_with_the_job(rule: str, lively: Queue, path: Path) -> None:
    before = broken(path)
    lively.do(lambda c: c.exec_driver_sql(BREAKS[rule]))
    found = set(broken(path)) - set(before)
    assert [one for one in found if one.startswith(f"{rule}: job ")], found


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE stages SET needs = '{\"CPU\": ' WHERE job_id = 3",
        "UPDATE environments SET variables = 'x'",
        "UPDATE stages SET state = 'waitinG' WHERE job_id = 3",
    ],
)
def test_a_value_that_is_not_what_was_written_is_damage(spoil: str, lively: Queue, path: Path) -> None:
    lively.do(lambda c: c.exec_driver_sql(spoil))
    assert [one.split(":")[0].partition(" job ")[0] for one in damage(path)] == ["what is stored of"]


def test_a_row_that_refers_to_nothing_is_damage(lively: Queue, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM environments")
        connection.commit()
    assert damage(path, full=True) == ["7 rows of jobs name a row of environments that is not there"]


def test_a_queue_that_is_not_there_is_damage(tmp_path: Path) -> None:
    assert "there is no queue" in damage(tmp_path / "queue.db")[0]
