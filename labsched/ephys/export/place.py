"""How an export gets its name: all at once, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import EphysError
from ..writers.target import sentence


@contextmanager
def made(final: Path, overwrite: bool) -> Iterator[Path]:
    """A path beside ``final``, under which a file or folder is written; it gets that name at the end.

    Raises EphysError where there is one already and it is not to be replaced, and where it cannot be written.
    """
    if final.exists() and not overwrite:
        raise EphysError(
            f"{final} exists already, and what was done in it would be lost: move it away, or say --overwrite"
        )
    # the end of the name stays: pynwb goes by it
    partial = final.with_name(f".partial-{os.getpid()}.{final.name}")
    aside = final.with_name(f".{final.name}.before-{os.getpid()}")
    try:
        _sweep(final)
        yield partial
        for each in [*partial.rglob("*"), partial]:
            if each.is_file():
                with each.open("rb") as file:
                    os.fsync(file.fileno())
        if final.is_dir():
            final.rename(aside)  # a folder cannot replace another one that has files in it
        partial.rename(final)
        _remove(aside)
    except OSError as error:
        raise sentence(error, final.parent) from None
    finally:
        _remove(partial)
        if aside.exists() and not final.exists():
            aside.rename(final)


def _sweep(final: Path) -> None:
    """Remove what runs have left that are no more."""
    for left in final.parent.iterdir():
        pid, _, name = left.name.removeprefix(".partial-").partition(".")
        ours = left.name.startswith(".partial-") and name == final.name
        if ours and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            _remove(left)


def _remove(path: Path) -> None:
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def at_hand(source: Path, target: Path) -> bool:
    """Have the data under another name: as another link to the same file, which takes no room, or else as a copy.
    Returns whether it is a link. Raises EphysError where there is no room for a copy, OSError."""
    try:
        os.link(source, target)
        return True
    except OSError:
        need, free = source.stat().st_size, shutil.disk_usage(target.parent).free
        if need > free:
            raise EphysError(
                f"{source.name} cannot be linked to and its copy needs {need / 1e9:.1f} GB, of which "
                f"{free / 1e9:.1f} GB are free in {target.parent.parent}: make room there"
            ) from None
        shutil.copyfile(source, target)
        return False
