"""The processes of a story, and ending them: found by what their environments say, never by a number from before."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from labsched.engines import rundir
from labsched.faults import ENVIRONMENT
from tests.chaos.jobs import MARK
from tests.chaos.place import Place

STOPS_S = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """A process: what it is (daemon, parent, shim, stage, or nameless: just forked), and of which attempt."""

    pid: int
    pidfd: int
    what: str
    attempt: str = ""  # JOB/STAGE.N

    def caught(self, place: Place) -> "Found":
        """It, stopped, and what it is now: a shim does one attempt after another, and meanwhile goes on."""
        self.signal(signal.SIGSTOP)
        end = time.monotonic() + STOPS_S
        with suppress(OSError):
            while _state(self.pid) not in "TZX" and time.monotonic() < end:
                time.sleep(0.0005)
            env = Path(f"/proc/{self.pid}/environ").read_bytes().split(b"\0")
            return replace(self, **dict(zip(("what", "attempt"), _kind(place, self.pid, env, 0), strict=True)))
        return self

    def signal(self, number: int) -> bool:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)
            return True
        return False


class Processes:
    """All of a story's that are alive now; to be used in `with`, for it holds a pidfd of each."""

    def __init__(self, place: Place) -> None:
        self.found = list(_scan(place))

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.found:
            os.close(one.pidfd)

    def of(self, *what: str) -> list[Found]:
        return [one for one in self.found if one.what in what]


def _scan(place: Place) -> Iterator[Found]:
    ours = {f"{ENVIRONMENT}={place.mark}".encode(), f"{MARK}={place.mark}".encode()}
    daemon = place.process.pid if place.process is not None and place.process.poll() is None else 0
    for path in Path("/proc").iterdir():
        if not path.name.isdecimal():
            continue
        pid = int(path.name)
        if pid in (os.getpid(), place.nursery.pid):
            continue
        with suppress(OSError):
            pidfd = os.pidfd_open(pid)
            try:
                env = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                if not ours & set(env):
                    os.close(pidfd)
                    continue
                what, attempt = _kind(place, pid, env, daemon)
            except OSError:
                os.close(pidfd)
                continue
            yield Found(pid, pidfd, what, attempt)


def _kind(place: Place, pid: int, env: list[bytes], daemon: int) -> tuple[str, str]:
    said = dict(entry.split(b"=", 1) for entry in env if b"=" in entry)
    if MARK.encode() in said:
        words = [said[f"LABSCHED_{name}".encode()].decode() for name in ("JOB", "STAGE", "ATTEMPT")]
        return "stage", f"{words[0]}/{words[1]}.{words[2]}"
    if pid == daemon:
        return "daemon", ""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            target = fd.readlink()
            if target.name == rundir.RECORD:
                folder = target.parent
                what = "shim" if rundir.holder(str(folder)) == pid else "nameless"
                return what, f"{folder.parent.name}/{folder.name}"
    words_of = Path(f"/proc/{pid}/cmdline").read_bytes()
    if b"serve" in words_of and os.getsid(pid) == pid and _parent(pid) == daemon:
        return "parent", ""
    return "nameless", ""


def _state(pid: int) -> str:
    return _stat(pid)[0]


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
