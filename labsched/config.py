"""The configuration: one TOML file, every key optional, an unknown one an error that names the nearest.

`examples/config.toml` shows all of it with comments.
"""

import difflib
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from labsched import paths
from labsched.errors import BadRequest


class Daemon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[daemon]"""

    socket_mode: str = "0660"
    socket_group: str | None = None
    shared_account: bool = False  # the lab shares the daemon's account: everybody who reaches the socket may use it
    stop_grace: float = 10.0  # seconds between TERM and KILL
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 10  # of the stages, which yield to the daemon and to people


class Sort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[sort]: how a block becomes a job of two stages. Patterns know `{block}`, and `{name}`: its last part."""

    source: str = "data/mat/{block}"
    target: str = "data/phy/{block}"
    probe: str | None = None  # a rig file, a probe file, or the name of a built-in probe
    reference: str = "war"
    format: str = "kwd"
    seed: int = 1
    denoise_needs: dict[str, int] = msgspec.field(default_factory=lambda: {"RAM": 1})
    klusta_needs: dict[str, int] = msgspec.field(default_factory=lambda: {"CPU": 1})
    denoise_threads: int = 2
    denoise_time_limit: float | None = None  # seconds
    klusta_time_limit: float | None = None
    klusta: dict[str, object] = msgspec.field(default_factory=dict)  # options: "spikedetekt.chunk_size_seconds" = 1


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Relative paths in [sort] start at the file's folder, or at the working folder without a file."""

    daemon: Daemon = Daemon()
    pools: dict[str, int] = msgspec.field(default_factory=dict)
    sort: Sort = Sort()


def load(path: Path | None) -> Config:
    """Read the configuration; the defaults where there is none.

    Raises BadRequest with a sentence that names the file, and the key or the line.
    """
    if path is None:
        return _anchored(Config(), Path.cwd())
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise BadRequest(f"cannot read the configuration {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadRequest(f"the configuration {path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise BadRequest(f"the configuration {path} is not valid TOML: {error}") from None
    _check_names(data, path)
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the configuration {path}: {_in_words(str(error))}") from None
    for name, slots in config.pools.items():
        if slots < 0:
            raise BadRequest(f"the configuration {path}: pool {name} cannot have {slots} slots")
    return _anchored(config, path.parent)


def _check_names(data: dict[str, object], path: Path) -> None:
    sections: dict[str, type[msgspec.Struct]] = {"daemon": Daemon, "sort": Sort}
    _suggest(data, Config.__struct_fields__, f"the configuration {path}", "section")
    for section, kind in sections.items():
        values = data.get(section)
        if isinstance(values, dict):
            _suggest(values, kind.__struct_fields__, f"the configuration {path}, [{section}]", "key")


def _suggest(given: dict[str, object], known: tuple[str, ...], where: str, what: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise BadRequest(f"{where}: there is no {what} {name}; {hint}")


def _in_words(error: str) -> str:
    what, _, where = error.partition(" - at `$.")
    return f"{where.rstrip('`')}: {what[0].lower()}{what[1:]}" if where else what


def _anchored(config: Config, folder: Path) -> Config:
    """Patterns and files as absolute paths: what a job says must not depend on who reads it, and where."""
    sort = config.sort
    return msgspec.structs.replace(
        config,
        sort=msgspec.structs.replace(
            sort,
            source=str(folder.absolute() / sort.source),
            target=str(folder.absolute() / sort.target),
            probe=paths.probe(sort.probe, folder) if sort.probe else None,
        ),
    )
