"""A configuration's file: reading it, and telling what is wrong in it."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from labsched import paths
from labsched.config.schema import Config, Daemon, Sort
from labsched.errors import BadRequest

REFERENCES = ("none", "car", "war")
FORMATS = ("kwd", "dat")
POOL = re.compile(r"[A-Za-z][\w.-]{0,63}", re.ASCII)  # as it can be said on the command line
MAX_SLOTS = 1_000_000
MAX_GRACE = 3600.0  # seconds
MAX_LIMIT = 1e9  # seconds
_ERROR = re.compile(r"Expected `([^`]+)`( [<>]=? \S+)?(?:, got `[^`]+`)? - at `\$\.?([^`]*)`")
_WORDS = {
    "str": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "a table",
}
_HEADER = re.compile(r"\s*\[\s*([^\[\]]*?)\s*\]")
_KEY = re.compile(r"\s*([\"']?)([^\"'=#]+?)\1\s*=")


def load(path: Path | None) -> Config:
    """Read the configuration; the defaults where there is none.

    Raises BadRequest with a sentence that names the file, the line where that can be told, the section and the key.
    """
    if path is None:
        return _anchored(Config(), Path.cwd())
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin with a mark
        data = tomllib.loads(text)
    except OSError as error:
        raise BadRequest(f"cannot read the configuration {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadRequest(f"the configuration {path} is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadRequest(f"the configuration {path} is not valid TOML: {error}") from None
    file = _File(path, text)
    file.check_names(data)
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise file.wrong_type(str(error), data) from None
    file.check_values(config)
    return _anchored(config, path.parent)


class _File:
    """A configuration's file, and what may be wrong with it. `check_...` raises BadRequest."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()

    def wrong(self, section: str, key: str | None, sentence: str) -> BadRequest:
        """The error that names file, line and section."""
        line = self._line(section, key)
        where = f"the configuration {self.path}" + (f", line {line}" if line else "")
        return BadRequest(f"{where}, [{section}]: {sentence}" if section else f"{where}: {sentence}")

    def check_names(self, data: Mapping[str, object]) -> None:
        """Sections and keys."""
        self._suggest("", data, Config.__struct_fields__, "section")
        for section, kind in (("daemon", Daemon), ("sort", Sort)):
            values = data.get(section)
            if isinstance(values, dict):
                self._suggest(section, values, kind.__struct_fields__, "key")

    def wrong_type(self, error: str, data: Mapping[str, object]) -> BadRequest:
        """msgspec's error in words: it leaves out the names in a table whose names are free, and the values."""
        found = _ERROR.fullmatch(error)
        if found is None:
            return self.wrong("", None, error)
        kind, bounds, place = found[1].removesuffix(" | null"), found[2] or "", found[3].removesuffix("[...]")
        value: Any = data
        for name in place.split(".") if place else ():
            value = value[name]
        section, _, key = place.partition(".")
        if isinstance(value, dict) and kind == "int":
            key, value = next((k, v) for k, v in value.items() if not isinstance(v, int) or isinstance(v, bool))
        hint = ', such as "0660"' if key == "socket_mode" else ""
        name = key or section
        return self.wrong(
            section if key else "", name, f"{name} must be {_WORDS[kind]}{bounds}{hint}, not {_toml(value)}"
        )

    def check_values(self, config: Config) -> None:
        """What is of the right type, but makes no sense."""
        daemon, sort = config.daemon, config.sort
        if not re.fullmatch("(0o?)?[0-7]{3}", daemon.socket_mode):
            raise self.wrong("daemon", "socket_mode", f'{daemon.socket_mode!r} is not a mode such as "0660"')
        if not 0 <= daemon.stop_grace <= MAX_GRACE:
            raise self.wrong("daemon", "stop_grace", f"stop_grace must be 0 to {MAX_GRACE:g} seconds")
        self._check_slots("pools", None, config.pools, 0)
        for key in ("denoise_needs", "klusta_needs"):
            self._check_slots("sort", key, getattr(sort, key), 1)
        for key in ("source", "target"):
            self._check_pattern(key, getattr(sort, key))
        for key, known in (("reference", REFERENCES), ("format", FORMATS)):
            if (value := getattr(sort, key)) not in known:
                raise self.wrong("sort", key, f"there is no {key} {value!r}; known are {', '.join(known)}")
        for key, least in (("seed", 0), ("denoise_threads", 1)):
            if getattr(sort, key) < least:
                raise self.wrong("sort", key, f"{key} must be {least} or more")
        for key in ("denoise_time_limit", "klusta_time_limit"):
            if (limit := getattr(sort, key)) is not None and not 0 < limit < MAX_LIMIT:
                raise self.wrong("sort", key, f"{key} must be a number of seconds; leave it out for none")

    def _check_slots(self, section: str, key: str | None, slots: Mapping[str, int], least: int) -> None:
        for pool, n in slots.items():
            if not POOL.fullmatch(pool):
                raise self.wrong(
                    section,
                    key or pool,
                    f"{pool!r} is not a pool's name: it is a letter, then letters, digits and . _ -",
                )
            if not least <= n <= MAX_SLOTS:
                raise self.wrong(section, key or pool, f"{pool} = {n} must be {least} to {MAX_SLOTS} slots")

    def _check_pattern(self, key: str, pattern: str) -> None:
        names = re.findall(r"\{([^{}]*)\}", pattern)
        if "\0" in pattern:
            raise self.wrong("sort", key, f"{key} has a NUL character in it")
        if unknown := [name for name in names if name not in ("block", "name")]:
            raise self.wrong("sort", key, f"{key} knows {{block}} and {{name}}, and nothing called {{{unknown[0]}}}")
        if not names:
            raise self.wrong("sort", key, f"{key} must have {{block}} in it: without, all blocks would be in one place")

    def _suggest(self, section: str, given: Mapping[str, object], known: tuple[str, ...], what: str) -> None:
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                raise self.wrong(section, name, f"there is no {what} {name}; {hint}")

    def _line(self, section: str, key: str | None) -> int | None:
        """The number of the line where a key of a section stands, as far as that can be told without parsing."""
        current = ""
        for number, line in enumerate(self.lines, 1):
            if header := _HEADER.match(line):
                current = header[1]
                if current == (f"{section}.{key}" if section else key):
                    return number
            elif name := _KEY.match(line):
                full = f"{current}.{name[2]}".strip(".")
                if full == f"{section}.{key}".strip(".") or (not section and full.startswith(f"{key}.")):
                    return number
        return None


def _toml(value: object) -> str:
    """A value as it is written in TOML, near enough."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    return json.dumps(value) if isinstance(value, str | int | float | list) else str(value)


def _anchored(config: Config, folder: Path) -> Config:
    """Patterns and files as absolute paths: what a job says must not depend on who reads it, and where."""
    sort = config.sort
    return msgspec.structs.replace(
        config,
        sort=msgspec.structs.replace(
            sort,
            source=paths.seen_from(folder, sort.source),
            target=paths.seen_from(folder, sort.target),
            probe=paths.probe(sort.probe, folder) if sort.probe else None,
        ),
    )
