"""Numbers that are remembered by name."""

import sqlalchemy as sa

from labsched.store.tables import marks


def get(connection: sa.Connection, name: str) -> int | None:
    """The number of this name; None where there is none."""
    return connection.execute(sa.select(marks.c.value).where(marks.c.name == name)).scalar()


def put(connection: sa.Connection, name: str, value: int) -> None:
    """Remember a number."""
    if connection.execute(marks.update().where(marks.c.name == name).values(value=value)).rowcount == 0:
        connection.execute(marks.insert().values(name=name, value=value))
