"""Where people are told: each person's own targets, and the lab's, which the configuration names."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from labsched.errors import NotFound, Refused
from labsched.store import events, marks
from labsched.store.outbox import CURSOR
from labsched.store.tables import outbox, targets

Row = sa.Row[Any]
MOST = 20  # of one person


def add(connection: sa.Connection, values: Mapping[str, Any]) -> int:
    """Add a person's target; returns its number. Raises Refused where they have too many."""
    mine = sa.select(sa.func.count()).where(targets.c.uid == values["uid"], targets.c.lab.is_(None))
    if (connection.execute(mine).scalar() or 0) >= MOST:
        raise Refused(f"you have {MOST} targets: labsched notify remove NUMBER, for one that you do not need")
    return _insert(connection, values)


def of(connection: sa.Connection, uid: int | None) -> Sequence[tuple[Row, int]]:
    """The targets of a person, and the lab's (None: everybody's); with each, how many things wait for it."""
    waiting = sa.select(sa.func.count()).where(outbox.c.target_id == targets.c.id).scalar_subquery()
    query = sa.select(targets, waiting).order_by(targets.c.id)
    if uid is not None:
        query = query.where(sa.or_(targets.c.uid == uid, targets.c.lab.is_not(None)))
    return [(row, row[-1]) for row in connection.execute(query)]


def find(connection: sa.Connection, ids: Iterable[int]) -> list[Row]:
    """These targets, in this order; raises NotFound."""
    ids = list(ids)
    possible = [number for number in ids if 0 < number < 2**63]
    there = {row.id: row for row in connection.execute(sa.select(targets).where(targets.c.id.in_(possible)))}
    if missing := [number for number in ids if number not in there]:
        raise NotFound(f"there is no target {missing[0]}: labsched notify list")
    return [there[number] for number in ids]


def remove(connection: sa.Connection, ids: Iterable[int]) -> None:
    """Forget targets, and what waits for them."""
    for number in ids:
        connection.execute(outbox.delete().where(outbox.c.target_id == number))
        connection.execute(targets.delete().where(targets.c.id == number))


def configure(connection: sa.Connection, wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Have these targets of the lab's, by name, and no others; one that stays keeps what waits for it."""
    rows = connection.execute(sa.select(targets).where(targets.c.lab.is_not(None)))
    there = {row.lab: row for row in rows}
    remove(connection, [row.id for name, row in there.items() if name not in wanted])
    for name, values in wanted.items():
        if name in there:
            held = {key: value for key, value in values.items() if key != "added_at"}
            connection.execute(targets.update().where(targets.c.id == there[name].id).values(held))
        else:
            _insert(connection, {**values, "lab": name})


def _insert(connection: sa.Connection, values: Mapping[str, Any]) -> int:
    if connection.execute(sa.select(targets.c.id).limit(1)).scalar() is None:
        marks.put(connection, CURSOR, events.last(connection))  # what was before is told to nobody
    result = connection.execute(targets.insert().values(values))
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])
