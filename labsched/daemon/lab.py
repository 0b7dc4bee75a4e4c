"""The lab's own targets: a TOML file, a table for each, that the configuration names and nobody else may read."""

import difflib
import json
import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from labsched.errors import BadRequest
from labsched.notify import address
from labsched.notify.kinds import DEFAULT, kinds


class Lab(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""

    url: str | None = None
    command: list[str] | None = None
    on: list[str] = msgspec.field(default_factory=lambda: list(DEFAULT))
    digest: float | None = None
    log: bool = False


def read(file: str | None, now: float) -> dict[str, dict[str, Any]]:
    """The targets of this file, by name, as the store has them. Raises BadRequest with a sentence that shows no
    address."""
    if file is None:
        return {}
    path = Path(file)
    try:
        mode = path.stat().st_mode & 0o077
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRequest(f"cannot read the lab's targets {file}: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        # What is wrong is not said in TOML's words: they may show a piece of a line.
        raise BadRequest(f"the lab's targets {file} are not valid TOML") from None
    if mode:
        raise BadRequest(f"the lab's targets {file} have passwords in them, and others may read them: chmod 600 {file}")
    return {name: _values(f"the lab's targets {file}, [{name}]", table, now) for name, table in data.items()}


def _values(where: str, table: object, now: float) -> dict[str, Any]:
    known = Lab.__struct_fields__
    for key in table if isinstance(table, dict) else ():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise BadRequest(f"{where}: there is no key {key}; " + (f"did you mean {near[0]}?" if near else
                             f"known are {', '.join(known)}"))  # fmt: skip
    try:
        lab = msgspec.convert(table, Lab)
    except msgspec.ValidationError as error:
        raise BadRequest(f"{where}: {error}") from None
    if (lab.url is None) == (lab.command is None):
        raise BadRequest(f"{where}: give it a url, or a command (a list of words)")
    if lab.url is not None and (wrong := address.wrong(lab.url)):
        raise BadRequest(f"{where}: its url is not understood: {wrong}")
    if lab.command is not None and not lab.command:
        raise BadRequest(f"{where}: its command has no words")
    if lab.digest is not None and not 0 <= lab.digest <= 31 * 86_400:
        raise BadRequest(f"{where}: digest is a number of seconds, of a month at most")
    try:
        wanted = kinds(lab.on)
    except ValueError as error:
        raise BadRequest(f"{where}: {error}") from None
    return {
        "uid": os.geteuid(),
        "user": "the lab",
        "kind": "command" if lab.url is None else "url",
        "address": json.dumps(lab.command) if lab.url is None else lab.url,
        "kinds": wanted,
        "digest": lab.digest,
        "log": lab.log,
        "added_at": now,
    }
