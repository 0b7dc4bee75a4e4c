"""Finding out what a block is: which files of its folder are the recording, and of which format."""

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from labsched.ephys.errors import EphysError
from labsched.ephys.readers.rawio import kinds
from labsched.ephys.recording import natural

#: Files that tell a folder of SpikeInterface's: binary, and Zarr.
MARKS = ("binary.json", "cached.json", ".zgroup", ".zmetadata", "zarr.json")
OWN = (".mat", ".dat", ".smr", ".nwb")


@dataclass(frozen=True)
class Place:
    """A block's folder with the files in it (hidden ones left out, in natural order), or the one file that it is."""

    path: Path
    folder: bool
    files: tuple[Path, ...]

    @cached_property
    def deep(self) -> tuple[Path, ...]:
        """All files, those of folders below as well. Raises EphysError."""
        try:
            return tuple(kinds.below(self.path)) if self.folder else self.files
        except OSError as error:
            raise EphysError(f"cannot look into {error.filename or self.path}: {error.strerror or error}") from None

    def ending(self, suffix: str) -> list[Path]:
        """Its files with this suffix."""
        return [each for each in self.files if each.suffix.lower() == suffix]

    def named(self, *names: str) -> Path | None:
        """The first of these that its folder has."""
        return next((self.path / name for name in names if self.folder and (self.path / name).is_file()), None)


def place(source: Path) -> Place:
    """What is at a path, or, where nothing is, the one file of a known format beside it that is called so.

    Raises EphysError where nothing is there, or it may not be looked into.
    """
    try:
        mode = source.stat().st_mode
        if stat.S_ISREG(mode):
            return Place(source, False, (source,))
        if not stat.S_ISDIR(mode):
            raise EphysError(f"{source} is neither a folder nor a file: name the block's folder")
        found = [each for each in source.iterdir() if not each.name.startswith(".") and each.is_file()]
        return Place(source, True, tuple(sorted(found, key=lambda each: natural(each.name))))
    except FileNotFoundError:
        alone = single(source)
        if len(alone) == 1:
            return place(alone[0])
        several = f"; there are {', '.join(each.name for each in alone)}: name one of them" if alone else ""
        raise EphysError(
            f"there is no folder {source}{several or ': check the name of the block and where blocks are kept'}"
        ) from None
    except OSError as error:
        raise EphysError(f"cannot look into {source}: {error.strerror or error}") from None


def within(here: Place) -> Place | None:
    """The one folder of SpikeInterface's in a folder that holds nothing else. Raises EphysError for several."""
    try:
        inner = sorted(each for each in here.path.iterdir() if each.is_dir()) if here.folder else []
    except OSError as error:
        raise EphysError(f"cannot look into {here.path}: {error.strerror or error}") from None
    found = [each for each in inner if any((each / name).is_file() for name in MARKS)]
    if len(found) > 1:
        raise EphysError(f"{here.path} holds {', '.join(each.name for each in found)}: name one of them as the block")
    return place(found[0]) if found else None


def single(source: Path) -> list[Path]:
    """Files of formats that we read, beside `source`, that have its name and a suffix."""
    try:
        near = [each for each in source.parent.iterdir() if each.name.startswith(f"{source.name}.")]
    except OSError:
        return []
    ends = (*OWN, ".zarr", *kinds.SUFFIXES)
    return sorted(each for each in near if each.name[len(source.name) :].lower() in ends)


def nothing(here: Place) -> EphysError:
    """The sentence for a folder or file that is of no format we read."""
    if not here.folder:
        return EphysError(f"{here.path} is of no format that can be read: {KNOWN}")
    held = f"holds no recording ({_some(here.files)})" if here.files else "is empty"
    return EphysError(f"{here.path} {held}: {KNOWN}")


KNOWN = "export the block from Spike2 as MATLAB files into it, or put one there that docs/how-to/input-formats.md lists"


def _some(files: Sequence[Path]) -> str:
    names = [each.name for each in files]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
