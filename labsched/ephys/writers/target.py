"""The files of a finished stage 1, and how they come to be there all at once or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from labsched.ephys.errors import EphysError


@dataclass(frozen=True)
class Target:
    """Where the results of a block go: final names, and under which temporary names they are written."""

    folder: Path
    name: str
    format: str

    @property
    def data(self) -> Path:
        return self.folder / (f"{self.name}.raw.kwd" if self.format == "kwd" else f"{self.name}.dat")

    @property
    def described(self) -> Path:
        """The folder that tells SpikeInterface of the data, where the format is that."""
        return self.folder / f"{self.name}.spikeinterface"

    @property
    def prb(self) -> Path:
        return self.folder / f"{self.name}.prb"

    @property
    def prm(self) -> Path:
        return self.folder / f"{self.name}.prm"

    @property
    def json(self) -> Path:
        return self.folder / f"{self.name}.denoise.json"

    def partial(self, final: Path) -> Path:
        """The temporary name of a final one: same folder, hidden, this process's own."""
        return final.with_name(f".{final.name}.partial-{os.getpid()}")


def check_name(name: str) -> None:
    """Raises EphysError where a name could not be that of files in one folder."""
    if not name or name.startswith((".", "-")) or any(each in "/\\\"'" or not each.isprintable() for each in name):
        raise EphysError(
            f"{name!r} cannot name the results: use letters, digits, '_', '-' and '.', and no '.' or '-' in front"
        )
    if len(os.fsencode(name)) > 200:
        raise EphysError(f"the name {name[:40]}... is too long for files: use at most 200 bytes")


def sentence(error: OSError, target: Path, doing: str = "write to") -> EphysError:
    """What went wrong with a folder, and what to do about it."""
    where = error.filename if isinstance(error.filename, str) else str(target)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = "the disk is full" if error.errno == errno.ENOSPC else "your disk quota is used up"
        return EphysError(f"cannot {doing} {target}: {what}: make room there, then retry")
    # HDF5's own words run over several lines: those of the system say it better.
    why = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EphysError(f"cannot {doing} {where}: {why}: ask for the right to write there, then retry")
    return EphysError(f"cannot {doing} {where}: {why}")


def room(folder: Path, needed: int) -> None:
    """Check the free space. Raises EphysError with both numbers where `needed` bytes do not fit."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    state = os.statvfs(existing)
    free = state.f_bavail * state.f_frsize
    if needed > free:
        raise EphysError(
            f"not enough room in {folder}: {_size(needed)} needed, {_size(free)} free: make room there, then retry"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def separate(source: Path, files: tuple[Path, ...], target: Target) -> None:
    """Raises EphysError where the results would lie among the source's files, or on one of them."""
    home = source if source.is_dir() else source.parent
    if target.folder.exists() and target.folder.samefile(home):
        raise EphysError(f"the results would go into the source's own folder {target.folder}: choose another target")
    for final in (target.data, target.prb, target.prm, target.json):
        for each in files:
            if final.exists() and final.samefile(each):
                raise EphysError(f"the result {final} would replace the source {each}: choose another target or name")


#: The temporary files of the results that are being written, which `abandon` removes.
_begun: set[Path] = set()


def abandon() -> None:
    """Remove what `written` has begun. Made to be called by a signal handler that ends the process after it."""
    for path in _begun:
        with suppress(OSError):
            _remove(path)


@contextmanager
def written(target: Target) -> Iterator[None]:
    """Whole results or none: what is written under temporary names within is renamed at the end, the JSON last.

    First the JSON of an earlier run goes, since from here on it would vouch for files that are about to change, and
    the partial files that dead runs left. On any exception the partial files go. OSError becomes an EphysError.
    """
    finals = [target.data, target.prb, target.prm, target.json]
    if target.format == "spikeinterface":
        finals.insert(0, target.described)
    partials = [target.partial(final) for final in finals]
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        target.json.unlink(missing_ok=True)
        # Of whichever format this run is, a folder that is there tells of data that are about to change.
        if (target.described / "binary.json").exists():
            shutil.rmtree(target.described)
        _sweep(target)
        _sync(target.folder)
        _begun.update(partials)
        try:
            yield
            for partial in partials:
                for each in [*partial.rglob("*"), partial]:
                    if each.is_file():
                        with each.open("rb") as file:
                            os.fsync(file.fileno())
            for final in finals[:-1]:
                target.partial(final).replace(final)
            _sync(target.folder)
            target.partial(target.json).replace(target.json)
            _sync(target.folder)
        finally:
            # After a success there is none left under these names.
            for partial in partials:
                _remove(partial)
            _begun.difference_update(partials)
    except FileExistsError as error:
        raise EphysError(f"{error.filename} is a file where the results' folder should be: move it away") from None
    except OSError as error:
        raise sentence(error, target.folder) from None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sweep(target: Target) -> None:
    """Remove the partial files of runs that are no more."""
    ends = (".raw.kwd", ".dat", ".spikeinterface", ".prb", ".prm", ".denoise.json")
    for final in (target.folder / f"{target.name}{end}" for end in ends):
        for left in target.folder.glob(f".{_literal(final.name)}.partial-*"):
            pid = left.name.rpartition("-")[2]
            if not (pid.isdecimal() and _alive(int(pid))):
                _remove(left)


def _literal(name: str) -> str:
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
