"""What a result was made from and with: checksums, versions, the machine's time and memory."""

import os
import platform
import resource
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labsched.ephys.errors import EphysError

PIECE = 1 << 20


@dataclass(frozen=True)
class Input:
    """A file as it was read: its size (bytes), time of change (ns since 1970) and BLAKE3 checksum (256 bits, hex)."""

    path: Path
    size: int
    mtime_ns: int
    blake3: str


class Fingerprints:
    """The checksums of some files, taken bit by bit beside other work, so that what is read at that time is at hand.

    BLAKE3 takes a third of the time of BLAKE2b, and a sixth of that of SHA-256 where the processor does not help it.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises EphysError where a file cannot be looked at."""
        self._paths = list(paths)
        self.n_bytes = 0
        for path in self._paths:
            try:
                self.n_bytes += path.stat().st_size
            except OSError as error:
                raise _unreadable(path, error) from None
        self.done = 0
        self._coming = self._pieces()
        self._found: list[Input] = []

    def __enter__(self) -> "Fingerprints":
        return self

    def __exit__(self, *_: object) -> None:
        self._coming.close()  # and with it the file that it was in

    def advance(self, part: float, most: int = 1 << 24) -> None:
        """Go on until `part` (0 to 1) of all bytes are done, `most` of them in this call. Raises EphysError."""
        until = min(int(part * self.n_bytes), self.done + most)
        while self.done < until and (count := next(self._coming, None)) is not None:
            self.done += count

    def finish(self) -> list[Input]:
        """Do the rest; the checksums of all files, in order. Raises EphysError."""
        for count in self._coming:
            self.done += count
        return self._found

    def _pieces(self) -> Generator[int, None, None]:
        from blake3 import blake3

        buffer = bytearray(PIECE)
        for path in self._paths:
            digest = blake3()
            try:
                with path.open("rb", buffering=0) as file:
                    state = os.fstat(file.fileno())
                    while count := file.readinto(buffer):
                        digest.update(memoryview(buffer)[:count])
                        yield count
            except OSError as error:
                raise _unreadable(path, error) from None
            self._found.append(Input(path, state.st_size, state.st_mtime_ns, digest.hexdigest()))


def _unreadable(path: Path, error: OSError) -> EphysError:
    return EphysError(f"cannot read {path}: {error.strerror or error}")


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
