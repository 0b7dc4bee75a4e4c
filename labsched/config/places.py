"""Where things stand in a TOML file: the parser of the standard library does not tell."""

import tomllib
from collections.abc import Iterator, Mapping

Place = tuple[str, ...]
LONGEST = 500  # lines of one value


def find(text: str) -> dict[Place, int]:
    """The number of the line where each table and each key begins. `text` must be valid TOML.

    A statement is as many lines as it takes until they are valid: a value goes on where it is not complete.
    """
    found: dict[Place, int] = {}
    header: Place = ()
    lines = text.split("\n")  # not splitlines(), which knows more ends of lines than TOML
    at = 0
    while at < len(lines):
        end, data = _statement(lines, at)
        table = lines[at].lstrip().startswith("[")
        paths = list(_paths(data))
        if table and paths:
            header = paths[-1]
        for path in paths:
            found.setdefault(path if table else header + path, at + 1)
        at = end
    return found


def _statement(lines: list[str], at: int) -> tuple[int, Mapping[str, object]]:
    for end in range(at + 1, min(len(lines), at + LONGEST) + 1):
        try:
            return end, tomllib.loads("\n".join(lines[at:end]).removesuffix("\r"))
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
    return at + 1, {}


def _paths(data: Mapping[str, object]) -> Iterator[Place]:
    """The paths of all keys, each table before what is in it."""
    for name, value in data.items():
        yield (name,)
        inner = value[-1] if isinstance(value, list) and value and isinstance(value[-1], dict) else value
        if isinstance(inner, dict):
            yield from ((name, *rest) for rest in _paths(inner))
