"""A configuration's file: reading it, and telling what is wrong in it."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from labsched import paths
from labsched.config.places import Place, find
from labsched.config.schema import Config, sections
from labsched.core.check import bad_memory
from labsched.core.units import parse_size
from labsched.errors import BadRequest
from labsched.recipes.sorters import SORTERS

REFERENCES = ("ridge", "war", "car", "whiten", "none")
FORMATS = ("kwd", "dat", "spikeinterface")
BAD_CHANNELS = ("warn", "refuse", "omit", "off")
POOL = re.compile(r"[A-Za-z][\w.-]{0,63}", re.ASCII)  # as it can be said on the command line
MAX_SLOTS = 1_000_000
MAX_GRACE = 3600.0  # seconds
MAX_LIMIT = 1e9  # seconds
_ERROR = re.compile(r"Expected `([^`]+)`( [<>]=? \S+)?(?:, got `[^`]+`)? - at `\$\.?([^`]*)`")
_HINTS = {"socket_mode": ', such as "0660"'} | dict.fromkeys(("denoise_memory", "klusta_memory"), ', such as "12G"')
_WORDS = {
    "str": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "a table",
}


def load(path: Path | None) -> Config:
    """Read the configuration; the defaults where there is none.

    Raises BadRequest with a sentence that names the file, the line, the section and the key: the first mistake's.
    """
    read_file = read(path)
    if read_file.mistakes:
        raise BadRequest(read_file.mistakes[0])
    return read_file.config


@dataclass(frozen=True, slots=True)
class Read:
    """A configuration, all that is wrong in it (a sentence each), and the line of each key that the file has."""

    config: Config
    mistakes: tuple[str, ...] = ()
    places: Mapping[Place, int] = field(default_factory=dict)


def read(path: Path | None) -> Read:
    """Read the configuration; what is wrong in it is left out of `config`. Raises BadRequest where it is no TOML."""
    if path is None:
        return Read(_anchored(Config(), Path.cwd()))
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin with a mark
        data = tomllib.loads(text)
    except OSError as error:
        raise BadRequest(f"cannot read the configuration {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadRequest(f"the configuration {path} is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadRequest(f"the configuration {path} is not valid TOML: {error}") from None
    file = _File(path, find(text))
    config = file.check(data)
    return Read(_anchored(config, path.parent), tuple(file.said()), file.places)


class _File:
    """A configuration's file, and what is wrong in it."""

    def __init__(self, path: Path, where: Mapping[Place, int]) -> None:
        self.path = path
        self.places = where
        self._found: list[tuple[int, str]] = []

    def check(self, data: dict[str, Any]) -> Config:
        """The configuration without what is wrong in it."""
        self._check_names("", data, Config.__struct_fields__, "section")
        for section, kind in sections().items():
            if isinstance(values := data.get(section), dict):
                self._check_names(section, values, kind.__struct_fields__, "key")
        while True:
            try:
                config = msgspec.convert(data, Config)
            except msgspec.ValidationError as error:
                self._wrong_type(str(error), data)
            else:
                self._check_values(config)
                return config

    def said(self) -> list[str]:
        """What is wrong, from the top of the file to its end."""
        return [sentence for _, sentence in sorted(self._found, key=lambda found: found[0])]

    def _wrong(self, place: Place, sentence: str) -> None:
        """Note what is wrong at this place: a section, or a section and more."""
        section = place[0] if len(place) > 1 else ""
        line = next((self.places[place[:n]] for n in range(len(place), 0, -1) if place[:n] in self.places), None)
        where = f"the configuration {self.path}" + (f", line {line}" if line else "")
        self._found.append((line or 0, f"{where}, [{section}]: {sentence}" if section else f"{where}: {sentence}"))

    def _check_names(self, section: str, given: dict[str, Any], known: tuple[str, ...], what: str) -> None:
        for name in [name for name in given if name not in known]:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            self._wrong((section, name) if section else (name,), f"there is no {what} {name}; {hint}")
            del given[name]

    def _wrong_type(self, error: str, data: dict[str, Any]) -> None:
        """Note msgspec's error in words, and take the value out. It leaves out the names in a table whose names are
        free, and the values."""
        found = _ERROR.fullmatch(error)
        if found is None:
            raise BadRequest(f"the configuration {self.path}: {error}")
        kind, bounds, at = found[1].removesuffix(" | null"), found[2] or "", found[3].removesuffix("[...]")
        place, holder = tuple(at.split(".")), data
        for name in place[:-1]:
            holder = holder[name]
        value = holder[place[-1]]
        if isinstance(value, dict) and kind == "int":
            holder = value
            name, value = next((k, v) for k, v in value.items() if not isinstance(v, int) or isinstance(v, bool))
            place = (*place, name)
        hint = _HINTS.get(place[-1], "")
        self._wrong(place, f"{place[-1]} must be {_WORDS[kind]}{bounds}{hint}, not {_toml(value)}")
        del holder[place[-1]]

    def _check_values(self, config: Config) -> None:
        """What is of the right type, but makes no sense."""
        daemon, prune, sort = config.daemon, config.prune, config.sort
        if not re.fullmatch("(0o?)?[0-7]{3}", daemon.socket_mode):
            self._wrong(("daemon", "socket_mode"), f'{daemon.socket_mode!r} is not a mode such as "0660"')
        if not 0 <= daemon.stop_grace <= MAX_GRACE:
            self._wrong(("daemon", "stop_grace"), f"stop_grace must be 0 to {MAX_GRACE:g} seconds")
        for key, value, most in (("after_days", prune.after_days, 36_500), ("logs_gb", prune.logs_gb, 1_000_000)):
            if value is not None and not 0 <= value <= most:
                self._wrong(("prune", key), f"{key} must be 0 to {most}; leave it out to remove nothing")
        if prune.keep < 0:
            self._wrong(("prune", "keep"), "keep must be 0 or more")
        self._check_slots(("pools",), config.pools, 0)
        for key in ("denoise_needs", "klusta_needs", "klusta_up_to", "kilosort4_needs"):
            self._check_slots(("sort", key), getattr(sort, key), 1)
        for key in ("source", "target"):
            self._check_pattern(key, getattr(sort, key))
        for key, known in (
            ("reference", REFERENCES),
            ("format", FORMATS),
            ("bad_channels", BAD_CHANNELS),
            ("sorter", SORTERS),
        ):
            if (value := getattr(sort, key)) not in known:
                self._wrong(("sort", key), f"there is no {key} {value!r}; known are {', '.join(known)}")
        for key, least in (("seed", 0), ("denoise_threads", 1)):
            if getattr(sort, key) < least:
                self._wrong(("sort", key), f"{key} must be {least} or more")
        for key in ("denoise_time_limit", "klusta_time_limit"):
            if (limit := getattr(sort, key)) is not None and not 0 < limit < MAX_LIMIT:
                self._wrong(("sort", key), f"{key} must be a number of seconds; leave it out for none")

        for key in ("denoise_memory", "klusta_memory"):
            if (said := getattr(sort, key)) is None:
                continue
            size = parse_size(said)
            if size is None or bad_memory(size):
                self._wrong(
                    ("sort", key), f'{key} = {_toml(said)} is not a size such as "500M" or "12G", of 1 MB or more'
                )

    def _check_slots(self, place: Place, slots: Mapping[str, int], least: int) -> None:
        for pool, n in slots.items():
            if not POOL.fullmatch(pool):
                sentence = f"{pool!r} is not a pool's name: it is a letter, then letters, digits and . _ -"
                self._wrong((*place, pool), sentence)
            if not least <= n <= MAX_SLOTS:
                self._wrong((*place, pool), f"{pool} = {n} must be {least} to {MAX_SLOTS} slots")

    def _check_pattern(self, key: str, pattern: str) -> None:
        names = re.findall(r"\{([^{}]*)\}", pattern)
        if "\0" in pattern:
            self._wrong(("sort", key), f"{key} has a NUL character in it")
        elif unknown := [name for name in names if name not in ("block", "name")]:
            self._wrong(("sort", key), f"{key} knows {{block}} and {{name}}, and nothing called {{{unknown[0]}}}")
        elif not names:
            self._wrong(("sort", key), f"{key} must have {{block}} in it: without, all blocks would be in one place")


def _toml(value: object) -> str:
    """A value as it is written in TOML, near enough."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    return json.dumps(value) if isinstance(value, str | int | float | list) else str(value)


def _anchored(config: Config, folder: Path) -> Config:
    """Patterns and files as absolute paths: what a job says must not depend on who reads it, and where."""
    sort, notify = config.sort, config.notify
    return msgspec.structs.replace(
        config,
        notify=msgspec.structs.replace(
            notify, targets=paths.seen_from(folder, notify.targets) if notify.targets else None
        ),
        sort=msgspec.structs.replace(
            sort,
            source=paths.seen_from(folder, sort.source),
            target=paths.seen_from(folder, sort.target),
            probe=paths.probe(sort.probe, folder) if sort.probe else None,
            sorters=paths.sorters_folder(paths.seen_from(folder, sort.sorters) if sort.sorters else None),
        ),
    )
