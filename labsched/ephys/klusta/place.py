"""The folder that klusta works in, and how its results get their names."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import EphysError
from . import result
from .failure import sentence
from .sorting import Sorting, paths
from .stage import Input

ROOM, STOCK_ROOM = 1.0, 2.5
"""So many times the raw data is needed on disk: what is around spikes, the features and the rest; klusta's own code
keeps filtered data in float32."""
KEPT = ("detection", "clustering", "shanks")
"""The folders of checkpoints in the folder that klusta works in."""
MARK = "made-from"


@contextmanager
def workplace(folder: Path, name: str, mark: str, say: Callable[[str], None]) -> Iterator[Path]:
    """A folder of our own, held by a lock and gone afterwards, unless there are checkpoints and it ended with an error.

    What a killed attempt left in it goes too, except its checkpoints, if they are of the same ``mark``.
    """
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
            _begin(work, mark, say)
            yield work
        except BaseException as error:
            _tidy(work, KEPT)
            if not any((work / kept).is_dir() for kept in KEPT):
                shutil.rmtree(work, ignore_errors=True)
            if isinstance(error, OSError):
                raise EphysError(sentence(name, 1, [f"OSError: {error}"])) from None
            raise
        else:
            shutil.rmtree(work, ignore_errors=True)
    finally:
        os.close(handle)


def forget(work: Path) -> None:
    """Remove the checkpoints: the next attempt is to begin anew."""
    for kept in KEPT:
        shutil.rmtree(work / kept, ignore_errors=True)


def _begin(work: Path, mark: str, say: Callable[[str], None]) -> None:
    try:
        same = (work / MARK).read_text(encoding="utf-8") == mark
    except (OSError, UnicodeDecodeError):
        same = False
    if not same and any((work / kept).exists() for kept in KEPT):
        say("an earlier attempt left checkpoints of other data or other parameters: they are not used")
    _tidy(work, KEPT if same else ())
    beside = work / f"{MARK}.new"
    beside.write_text(mark, encoding="utf-8")
    beside.replace(work / MARK)


def _tidy(work: Path, keep: Sequence[str]) -> None:
    """Remove what an attempt left, but the folders to keep and the mark of what they were made from."""
    for entry in work.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            if entry.name not in keep:
                shutil.rmtree(entry)
        elif not keep or entry.name != MARK:
            entry.unlink()


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


def room(folder: Path, data: Input, stock: bool) -> None:
    """EphysError where the disk has not enough room for klusta to work."""
    need, free = int((STOCK_ROOM if stock else ROOM) * data.bytes), shutil.disk_usage(folder).free
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
