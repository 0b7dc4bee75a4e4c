"""Where things are, when nobody says otherwise."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

SYSTEM_CONFIG = Path("/etc/labsched/config.toml")
SYSTEM_STATE = Path("/var/lib/labsched")
SYSTEM_SORTERS = Path("/var/lib/labsched-sorters")  # beside it, for all to use: nobody else may look into that one


PROBE_FILES = (".toml", ".prb", ".json")


def probe(named: str, folder: Path) -> str:
    """A rig or probe file as an absolute path, seen from `folder`; the name of a built-in probe as it is.

    What ends like such a file is one, be it there or not: it may be put there later, and the error should name it.
    """
    if "/" in named or named.lower().endswith(PROBE_FILES) or (folder / named).is_file():
        return seen_from(folder, named)
    return named


def seen_from(folder: Path, named: str) -> str:
    """A path as an absolute one: a relative one starts at `folder`, one with ~ in a home."""
    path = Path(named)
    with suppress(RuntimeError):  # nobody has such a home: whoever reads that it is not there sees why
        path = path.expanduser()
    return os.path.normpath(folder.absolute() / path)


def state_folder(given: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The daemon's folder: the one given, $LABSCHED_STATE, /var/lib/labsched for root, else the user's."""
    if given or environ.get("LABSCHED_STATE"):
        return Path(given or environ["LABSCHED_STATE"]).absolute()
    if os.getuid() == 0:
        return SYSTEM_STATE
    home = Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return home / "labsched"


def sorters_folder(given: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Where sorters' environments are: the folder given, $LABSCHED_SORTERS, /var/lib/labsched-sorters for root, else
    the user's own."""
    if given or environ.get("LABSCHED_SORTERS"):
        return str(Path(given or environ["LABSCHED_SORTERS"]).absolute())
    if os.getuid() == 0:
        return str(SYSTEM_SORTERS)
    home = Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    return str(home / "labsched/sorters")


def config_file(given: str | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The configuration: the one given, $LABSCHED_CONFIG, the user's, the system's; None where there is none."""
    if given or environ.get("LABSCHED_CONFIG"):
        return Path(given or environ["LABSCHED_CONFIG"]).absolute()
    home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for candidate in (home / "labsched/config.toml", SYSTEM_CONFIG):
        if candidate.exists():
            return candidate
    return None
