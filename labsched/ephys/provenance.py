"""What a result was made from and with: checksums, versions, the machine's time and memory."""

import hashlib
import platform
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from labsched.ephys.errors import EphysError

PIECE = 1 << 22


@dataclass(frozen=True)
class Input:
    """A file as it was read: its size (bytes), time of change (ns since 1970) and BLAKE2b checksum (256 bits, hex)."""

    path: Path
    size: int
    mtime_ns: int
    blake2b: str


def fingerprint(path: Path, stop: Event | None = None) -> Input:
    """Read a file once, 4 MiB at a time, for its checksum; given up early once `stop` is set.

    Raises EphysError where it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=32)
    try:
        state = path.stat()
        with path.open("rb", buffering=0) as file:
            while (piece := file.read(PIECE)) and not (stop and stop.is_set()):
                digest.update(piece)
    except OSError as error:
        raise EphysError(f"cannot read {path}: {error.strerror or error}") from None
    return Input(path, state.st_size, state.st_mtime_ns, digest.hexdigest())


def unchanged(inputs: Sequence[Input]) -> None:
    """Raises EphysError for a file that is no longer as it was when it was read."""
    for each in inputs:
        try:
            state = each.path.stat()
        except OSError:
            raise EphysError(f"{each.path} vanished while it was read: put it back and retry") from None
        if (state.st_size, state.st_mtime_ns) != (each.size, each.mtime_ns):
            raise EphysError(f"{each.path} changed while it was read: wait until its export is complete, then retry")


def versions(packages: Sequence[str]) -> dict[str, str | None]:
    """Python's version and those of some packages; None for one that is not there."""
    import importlib.metadata  # slow to import, and needed once at the end

    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def peak_rss() -> int:
    """The most memory (bytes) that this process has held.

    From /proc: what getrusage says includes the process that started this one, up to its exec.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
