"""The folder that klusta works in, and how its results get their names."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import EphysError
from . import result
from .failure import sentence
from .sorting import Sorting, paths
from .stage import Input

ROOM = 2.5
"""klusta needs this many times the raw data on disk while it works: filtered data in float32, features, the rest."""


@contextmanager
def workplace(folder: Path, name: str) -> Iterator[Path]:
    """A folder of our own, empty, held by a lock and gone afterwards; what a killed attempt left in it goes too."""
    work = folder / f".{name}.sorting"
    try:
        work.mkdir(exist_ok=True)
        handle = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise EphysError(f"{folder} cannot be written to: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = work.exists() and os.path.samestat(os.fstat(handle), work.stat())
        except BlockingIOError:
            ours = False
        if not ours:
            raise EphysError(f"{name} is being sorted by another process right now: wait for it, or stop it")
        try:
            for entry in work.iterdir():
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            yield work
        except OSError as error:
            raise EphysError(sentence(name, 1, [f"OSError: {error}"])) from None
        finally:
            shutil.rmtree(work, ignore_errors=True)
    finally:
        os.close(handle)


def clear(data: Input, overwrite: bool, say: Callable[[str], None]) -> None:
    """Clear the way: remove what an unfinished attempt left; keep a whole sorting of other data under another name."""
    kwik, kwx, summary = paths(data)
    if overwrite and summary.exists():
        return  # it stays until the new one is there
    if kwik.exists() and not overwrite and result.complete(kwik):
        free = (k for k in range(1, 10_000) if not (data.folder / f"{data.name}.before-{k}.kwik").exists())
        kept = f"{data.name}.before-{next(free)}"
        say(f"{kwik} already exists and is not of this data or this stage: kept as {kept}.kwik")
        for path in (kwx, kwik, summary):
            if path.exists():
                path.rename(data.folder / path.name.replace(data.name, kept, 1))
    for path in (summary, kwik, kwx):
        if path.exists():
            say(f"removing {path}, which an unfinished sorting left")
            path.unlink()


def room(folder: Path, data: Input) -> None:
    """EphysError where the disk has not enough room for klusta to work."""
    need, free = int(ROOM * data.bytes), shutil.disk_usage(folder).free
    if free < need:
        raise EphysError(
            f"sorting {data.name} needs about {need / 1e9:.1f} GB on the disk of {folder}, which has "
            f"{free / 1e9:.1f} GB free: make room, then try again"
        )


def publish(work: Path, sorting: Sorting, summary: dict[str, Any]) -> None:
    """Give the results their names: the old summary goes first and the new one comes last."""
    text = work / "summary"
    text.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    for path in (work / sorting.kwx.name, work / sorting.kwik.name, text):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sorting.summary.unlink(missing_ok=True)
    (work / sorting.kwx.name).replace(sorting.kwx)
    (work / sorting.kwik.name).replace(sorting.kwik)
    text.replace(sorting.summary)
