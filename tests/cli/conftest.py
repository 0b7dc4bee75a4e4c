"""A command line to try: run in a process of its own, as people run it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The last line of stderr, less `error:`; fails where that is not what stands there."""
        assert "Traceback" not in self.err
        last = self.err.rstrip("\n").rpartition("\n")[2]
        assert last.startswith("error: "), self
        return last.removeprefix("error: ")


Labsched = Callable[..., Ran]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder with a short name: the path of a socket has at most 107 bytes."""
    with TemporaryDirectory(prefix="ls-") as folder:
        yield Path(folder)


@pytest.fixture
def labsched(scratch: Path) -> Labsched:
    """Run `labsched WORDS` with a socket in `scratch`, times in UTC, and no configuration of this machine's."""

    def run(*words: str, env: dict[str, str] | None = None, stdin: bytes = b"", cwd: Path | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "labsched", *words],
            input=stdin,
            capture_output=True,
            env=environment(scratch, **(env or {})),
            cwd=cwd or scratch,
            timeout=60,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def environment(scratch: Path, **more: str) -> dict[str, str]:
    """What the command line gets to see: nothing of the one who runs the tests but PATH."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch),
        "XDG_CONFIG_HOME": str(scratch / "config"),
        "LABSCHED_SOCKET": str(scratch / "socket"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONWARNINGS": "error",
        **more,
    }


def eventually(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until it is true; fail where that takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)
