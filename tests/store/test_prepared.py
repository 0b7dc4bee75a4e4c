"""Statements that the driver runs itself."""

import sqlite3

import pytest
import sqlalchemy as sa

from labsched.store.prepared import Prepared, listed, numbers
from labsched.store.tables import events, stages
from tests.store.worlds import Queue

RECORD = Prepared(
    events.insert().values(kind=sa.bindparam("kind"), at=sa.bindparam("at"), data=sa.bindparam("data"), user="me")
)
EVENTS = Prepared(sa.select(events.c.id, events.c.kind, events.c.data, events.c.user).where(events.c.id.in_(listed())))
NEWEST = Prepared(sa.select(sa.func.max(events.c.id)))
RETRY = Prepared(sa.update(stages).where(stages.c.id == sa.bindparam("stage")).values(retry=sa.bindparam("retry")))


def test_values_come_back_as_they_were_given(queue: Queue) -> None:
    c = queue.connection
    given = {"a": [1, None, "é\u2028", {"b": 1.5}]}
    c.exec_driver_sql("BEGIN")
    first = RECORD.run(c, kind="one", at=1.0, data=given).lastrowid
    assert first is not None
    RECORD.many(c, [{"kind": "two", "at": 2.0, "data": {}}, {"kind": "three", "at": 2.0, "data": given}])
    RECORD.many(c, [])
    rows = EVENTS.rows(c, ids=numbers(range(first, first + 9)))
    assert [(row.kind, row.data, row.user) for row in rows] == [
        ("one", given, "me"), ("two", {}, "me"), ("three", given, "me")
    ]  # fmt: skip
    assert rows[0]._replace(kind="x").kind == "x"
    assert NEWEST.scalar(c) == first + 2
    assert EVENTS.rows(c, ids=numbers(())) == []
    assert RETRY.run(c, stage=0, retry=None).rowcount == 0
    c.exec_driver_sql("ROLLBACK")


def test_a_parameter_that_is_missing_is_an_error(queue: Queue) -> None:
    with pytest.raises(sqlite3.ProgrammingError, match="kind"):
        RECORD.run(queue.connection, at=1.0, data={})
