"""What is asked again and again costs the same, however long the queue and its history: it is found by an index."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from labsched.core.model import Began, Ended
from labsched.core.states import Outcome
from labsched.store import (
    attempts,
    events,
    find,
    health,
    limits,
    lines,
    outbox,
    prune,
    read,
    submit,
    targets,
    verbs,
    waits,
)
from labsched.store.prepared import driver
from tests.store.worlds import Queue, job

TARGET = {"uid": 0, "user": "ann", "kind": "url", "address": "json://x", "kinds": ["failed", "wait", "empty"],
          "log": True, "added_at": 0.0}  # fmt: skip
GROWING = "jobs|stages|attempts|events|dependencies|environments"
WHOLE_TABLE = re.compile(rf"(SCAN ({GROWING})\b(?! USING (COVERING )?INDEX)|SEARCH ({GROWING})$)")


@contextmanager
def watched(queue: Queue) -> Iterator[list[str]]:
    """The statements that are run meanwhile, with their values."""
    heard: list[str] = []
    raw = driver(queue.connection)
    raw.set_trace_callback(heard.append)
    try:
        yield heard
    finally:
        raw.set_trace_callback(None)


def whole_tables(queue: Queue, statements: list[str]) -> list[str]:
    """Which of these statements read all of a table that grows, and which table."""
    raw = driver(queue.connection)
    found = []
    for statement in statements:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH", "INSERT")):
            steps = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}")]
            newest = "ORDER BY jobs.id DESC\n LIMIT" in statement and "WHERE" not in statement
            found += [f"{step}: {statement}" for step in steps if WHOLE_TABLE.search(step) and not newest]
    return found


@pytest.fixture
def busy(queue: Queue) -> Queue:
    queue.submit(job("a", "b", name="one"), job(name="two"), job(name="three", after=("one",)))
    queue.submit(job(name="four", key="k", hold=True))
    for running in queue.step()[:1]:
        queue.step(Began(running.id, queue.now), Ended(running.id, queue.now, Outcome.FAILED, exit_code=1))
    return queue


QUESTIONS: dict[str, Callable[[Any], object]] = {
    "status": lambda c: (read.page(c, 0.0, 25, 0), read.counts(c, 0.0)),
    "rows": lambda c: read.load(c, [1, 2, 3]),
    "pools": lambda c: (read.pool_rows(c), lines.waiting_by_pool(c)),
    "snapshot": lines.snapshot,
    "running": lambda c: (read.open_rows(c), attempts.open_attempts(c)),
    "history": lambda c: (read.history(c, limit=20), read.history(c, limit=20, before=3)),
    "one job": lambda c: (find.find_job(c, "3"), find.find_job(c, "two", 0), find.find_job(c, "last")),
    "events": lambda c: (events.last(c), events.after(c, 2, 10), events.after(c, 2, 10, job=1)),
    "metrics": lambda c: (
        waits.states(c),
        waits.ended(c),
        waits.oldest(c, 0.0),
        waits.Waits(1).so_far(c),
        waits.events(c),
    ),
    "room": lambda c: limits.room(c, 0, 1, 100),
    "telling": lambda c: (
        targets.add(c, TARGET),
        driver(c).execute("UPDATE marks SET value = 0"),
        outbox.is_behind(c),
        outbox.gather(c, 9.0, 0.0),
        outbox.claim(c, 9.0, "b", ()),
        outbox.settle(c, "b", {1: None}, 9.0, 0.0),
        outbox.last_attempts(c, [1, 2]),
        outbox.long_waits(c, 1e6, 60.0),
        targets.of(c, 0),
    ),
}


@pytest.mark.parametrize("what", QUESTIONS)
def test_a_question_reads_no_whole_table(busy: Queue, what: str) -> None:
    with watched(busy) as statements:
        busy.do(QUESTIONS[what])
    assert [one for one in statements if one.startswith(("SELECT", "WITH"))]
    assert whole_tables(busy, statements) == []


def test_a_turn_of_the_scheduler_reads_no_whole_table(busy: Queue) -> None:
    with watched(busy) as statements:
        for running in list(busy.running().values()):
            busy.step(Began(running.id, busy.now), Ended(running.id, busy.now, Outcome.SUCCEEDED, exit_code=0))
    assert len(statements) > 20
    assert whole_tables(busy, statements) == []


def test_what_people_do_reads_no_whole_table(busy: Queue) -> None:
    with watched(busy) as statements:
        busy.do(submit.submit, [job(name="new", key="n", after=(2,))], "ann", 0, 1.0)
        for verb in (verbs.release, verbs.hold):
            busy.do(verb, [4], 1.0, "ann")
        busy.do(verbs.cancel, [4], 1.0, "ann", "why")
        busy.do(verbs.retry, 4, 1.0, "ann", None)
        busy.do(verbs.set_pool, "CPU", 1.0, "ann", 3, False)
    assert len(statements) > 40
    assert whole_tables(busy, statements) == []


def test_a_whole_table_would_be_found(busy: Queue) -> None:
    assert whole_tables(busy, ["SELECT * FROM stages WHERE outcome = 'failed'", "SELECT max(not_before) FROM stages"])


OTHER_QUESTIONS: dict[str, Callable[[Any], object]] = {
    "prune": lambda c: (
        prune.page(c, (0.0, 0), 1e9, 10, prune.Gone()),
        prune.latest(c, (1e9, 0), 10, None),
        prune.numbers(c, 0, 10, None),
        prune.remove(c, [1, 2]),
    ),
    "doctor": lambda c: [driver(c).execute(query) for query in health.RULES.values()],
}


def used(queue: Queue, statements: list[str]) -> set[str]:
    """The indexes by which these statements find their rows."""
    raw = driver(queue.connection)
    steps = [
        row[3]
        for statement in statements
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH", "INSERT"))
        for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]
    return {name for step in steps for name in re.findall(r"INDEX (\w+)", step)}


def test_each_index_is_used_by_something_that_is_asked(busy: Queue) -> None:
    with watched(busy) as statements:
        for question in (*QUESTIONS.values(), *OTHER_QUESTIONS.values()):
            busy.do(question)
        for running in list(busy.running().values()):
            busy.step(Began(running.id, busy.now), Ended(running.id, busy.now, Outcome.SUCCEEDED, exit_code=0))
        busy.submit(job(name="six", key="other", again=True))
    there = driver(busy.connection).execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    assert {name for (name,) in there} - used(busy, [one.strip() for one in statements]) == set()
