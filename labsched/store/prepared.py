"""Statements that are compiled once and then run by the driver itself.

SQLAlchemy composes them; but composing, keying and wrapping each anew costs thirty times what SQLite needs to run it,
and the scheduler runs a dozen for every job.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

Row = Any
"""A named tuple of the columns, JSON decoded."""

_DIALECT = sqlite.dialect(paramstyle="named")
_decode = msgspec.json.decode


class Prepared:
    """A statement, ready to run; its parameters are given by name, and JSON comes and goes as Python's values."""

    def __init__(self, statement: sa.Executable) -> None:
        assert isinstance(statement, sa.ClauseElement)
        compiled = statement.compile(dialect=_DIALECT)
        self.sql = str(compiled)
        binds: dict[str, sa.BindParameter[Any]] = compiled.binds  # type: ignore[attr-defined]
        self._fixed = {name: bind.effective_value for name, bind in binds.items() if not bind.required}
        self._encoders = _encoders(binds)
        columns = list(getattr(statement, "selected_columns", ()))
        names = [column.key or f"column_{i}" for i, column in enumerate(columns)]
        self._row: Callable[[Iterable[Any]], Row] = namedtuple("Row", names)._make  # type: ignore[attr-defined]
        self._json = [i for i, column in enumerate(columns) if isinstance(column.type, sa.JSON)]

    def rows(self, connection: sa.Connection, **parameters: Any) -> list[Row]:
        """All rows of a select."""
        found = self.run(connection, **parameters)
        if not self._json:
            return list(map(self._row, found))
        return [self._row(self._decoded(list(values))) for values in found]

    def scalar(self, connection: sa.Connection, **parameters: Any) -> Any:
        """The first value of the first row; None where there is no row."""
        found = self.run(connection, **parameters).fetchone()
        return None if found is None else found[0]

    def run(self, connection: sa.Connection, **parameters: Any) -> sqlite3.Cursor:
        """Run it once. The cursor knows `rowcount` and `lastrowid`."""
        return driver(connection).execute(self.sql, self._encoded(parameters))

    def many(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it for each of these rows."""
        if rows:
            driver(connection).executemany(self.sql, map(self._encoded, rows))

    def _encoded(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        values = {**self._fixed, **parameters}
        for name, encode in self._encoders:
            values[name] = encode(values[name])
        return values

    def _decoded(self, values: list[Any]) -> list[Any]:
        for i in self._json:
            if values[i] is not None:
                values[i] = _decode(values[i])
        return values


def driver(connection: sa.Connection) -> sqlite3.Connection:
    """The driver's own connection."""
    raw: Any = connection.connection.dbapi_connection
    assert raw is not None
    return raw  # type: ignore[no-any-return]


def listed(name: str = "ids") -> sa.Select[Any]:
    """The numbers of a parameter, for ``column.in_(listed())``; it is given as `numbers` makes it."""
    each = sa.func.json_each(sa.bindparam(name, type_=sa.String)).table_valued("value")
    return sa.select(each.c.value)


def numbers(values: Iterable[int]) -> str:
    """The value of a parameter of `listed`."""
    return f"[{','.join(map(str, values))}]"


def texts(values: Iterable[str]) -> str:
    """The same, of words."""
    return _json(list(values))


def _encoders(binds: Mapping[str, Any]) -> list[tuple[str, Callable[[Any], Any]]]:
    json = {name: bind.type for name, bind in binds.items() if isinstance(bind.type, sa.JSON)}
    return [(name, _nullable if kind.none_as_null else _json) for name, kind in json.items()]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _nullable(value: Any) -> str | None:
    return None if value is None else _json(value)
