"""The configuration written out: the commented sample, and every key with its value and where that comes from."""

import json
import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labsched.config.file import Read
from labsched.config.schema import Config as Schema
from labsched.config.schema import Key, keys, pools_key, sections

WIDTH = 118
HEAD = """\
# labsched's configuration: ~/.config/labsched/config.toml, /etc/labsched/config.toml, or labsched daemon --config FILE.
# Every key is optional. A line that is commented out shows what holds without it; one marked "example" shows how it is
# written, where nothing holds without it. After a change: labsched config check, then labsched config reload.
# This file was written by: labsched config sample
"""
RESTART = "Only a restart of the daemon changes it."
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Setting:
    """A key, its value (None where it has none), and where that comes from: ``default``, or ``FILE:LINE``."""

    key: str
    value: Any
    origin: str


def sample() -> str:
    """The commented sample: every key of the schema, commented out."""
    return HEAD + "".join(
        f"\n{block}" for name in Schema.__struct_fields__ for block in (_section(name) if name != "pools" else _pools())
    )


def settings(read: Read, file: Path | None) -> Iterator[Setting]:
    """Every key of the schema, and those of tables whose names are free, as `read` has them."""

    def origin(*place: str) -> str:
        line = read.places.get(place)
        return "default" if line is None else f"{file}:{line}"

    for name in Schema.__struct_fields__:
        held = getattr(read.config, name)
        if name == "pools":
            yield from (Setting(f"pools.{dotted(pool)}", n, origin("pools", pool)) for pool, n in held.items())
            continue
        for key in keys(name):
            value = getattr(held, key.name)
            if key.name == "klusta" and value:
                place = (name, key.name)
                yield from (Setting(f"{name}.klusta.{dotted(o)}", v, origin(*place, o)) for o, v in value.items())
            else:
                yield Setting(f"{name}.{key.name}", value, origin(name, key.name))


def toml(value: object) -> str:
    """A value as it is written in TOML."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{dotted(name)} = {toml(one)}" for name, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for the character that JSON need not escape.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


def dotted(name: str) -> str:
    """A key as TOML takes it: in quotes where it has to be."""
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _section(name: str) -> Iterator[str]:
    about = " ".join((sections()[name].__doc__ or "").split())
    tables = [key for key in keys(name) if isinstance(key.example, dict)]
    lines = [f"[{name}]", *_prose(about.partition("]")[2].lstrip(": "))]
    for key in keys(name):
        if key not in tables:
            lines += ["", *_prose(key.text + (f". {RESTART}" if key.fixed else "")), _commented(key)]
    yield "\n".join(lines) + "\n"
    for key in tables:
        yield "\n".join([f"[{name}.{key.name}]", *_prose(key.text), *_pairs(key.example)]) + "\n"


def _pools() -> Iterator[str]:
    key = pools_key()
    yield "\n".join(["[pools]", *_prose(key.text), *_pairs(key.example)]) + "\n"


def _commented(key: Key) -> str:
    if key.default is not None:
        return f"#{key.name} = {toml(key.default)}"
    return f"#{key.name} = {toml(key.example)}  # example"


def _pairs(example: Mapping[str, object]) -> list[str]:
    return [f"#{dotted(name)} = {toml(value)}  # example" for name, value in example.items()]


def _prose(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text[:1].upper() + text[1:], WIDTH)] if text else []
