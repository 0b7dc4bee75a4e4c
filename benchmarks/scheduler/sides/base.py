"""A side: a program that runs jobs, and the ways to give it some."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

NOOP = ("/bin/true",)
NOOP_SLOTS = 2
RAM, CPU = 2, 4  # slots of the two-stage jobs
CLIENTS = 8  # "many at once"


@dataclass(frozen=True)
class Bench:
    """Where a part works, and how much it does. `peers`: a virtual environment with peers, or None."""

    folder: Path
    quick: bool = False
    peers: Path | None = None

    def program(self, name: str) -> str | None:
        """The path of a peer's program: of PEERS first, then of PATH."""
        found = shutil.which(name, path=str(self.peers / "bin")) if self.peers else None
        return found or shutil.which(name)

    def python(self, package: str) -> str | None:
        """An interpreter that has this package: that of PEERS, or one of PATH."""
        for python in (self.program("python"), sys.executable, shutil.which("python3")):
            words = ["-c", f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"]
            if python and not subprocess.run([python, *words], capture_output=True, cwd="/").returncode:
                return python
        return None

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new folder, short enough for the path of a socket. It goes when all has been measured: for some seconds
        after thousands of files were deleted, ext4 takes several times longer to make one, whoever is next."""
        yield Path(tempfile.mkdtemp(prefix="", dir=self.folder))

    def rounds(self, count: int) -> int:
        return 1 if self.quick else count


Noops = Callable[[Bench, int], float]
"""Runs so many no-op jobs; seconds from the first submit to the last end."""
Pairs = Callable[[Bench, int, Sequence[str]], float]
"""Runs so many jobs of two stages that are this command each; seconds from the first submit to the last end."""


@dataclass(frozen=True)
class Side:
    """A program. `version` is None where it is not installed; `install` says how to. Each way has a name of its own,
    and the number of jobs (no-ops, pairs) that it is given a round."""

    name: str
    install: str
    version: Callable[[Bench], str | None]
    noops: Mapping[str, tuple[int, Noops]] = field(default_factory=dict)
    pairs: Mapping[str, tuple[int, Pairs]] = field(default_factory=dict)
    pools: bool = True  # whether it can keep to RAM and CPU slots, somehow
    no_pairs: Callable[[], str | None] = lambda: None  # why it cannot run them as it is set up, if so


def said(*words: str) -> str | None:
    """The first line that a program prints, or None where there is no such program or it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    except OSError:
        return None
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines and not done.returncode else None


def quiet_env(folder: Path) -> dict[str, str]:
    """An environment in which a program's files go to `folder`."""
    return {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
