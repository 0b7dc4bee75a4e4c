"""The machine's processes, as /proc has them: who is whose child, and how much memory each holds.

Standard library only: the shims import it. A read of /proc/PID/stat has both, at a tenth of what psutil's objects cost,
which matters where the daemon asks while stages start.
"""

import contextlib
import os
import signal
import time

PAGE = os.sysconf("SC_PAGE_SIZE")
FRESH_S = 0.5

Table = dict[int, tuple[int, int]]


def table() -> Table:
    """Each process's parent and resident memory (bytes), by pid."""
    found: Table = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{name}/stat", "rb") as file:
                # The command's name, in parentheses, may have anything in it.
                fields = file.read().rpartition(b")")[2].split()
                found[int(name)] = int(fields[1]), int(fields[21]) * PAGE
    return found


def descendants(root: int, of: Table | None = None) -> list[int]:
    """The pids of all processes below `root`, parents first."""
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in (table() if of is None else of).items():
        children.setdefault(parent, []).append(pid)
    found = list(children.get(root, ()))
    for pid in found:
        found += children.get(pid, ())
    return found


def marked(mark: bytes) -> list[int]:
    """The pids of all processes that were started with `mark`, a ``NAME=VALUE``, in their environment."""
    return [pid for pid in table() if _has(pid, mark)]


def kill_marked(mark: bytes) -> bool:
    """Kill all processes that have `mark` in their environment; whether there were any, that may not be gone yet."""
    found = False
    for pid in marked(mark):
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
            try:
                if _has(pid, mark):  # so the pidfd is no stranger's that has got the number since
                    found = True
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)
    return found


def _has(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False


class Memory:
    """What trees of processes hold, from one look at /proc for many questions."""

    def __init__(self) -> None:
        self._seen: Table = {}
        self._until = 0.0

    def below(self, root: int) -> int | None:
        """Resident memory (bytes) of all processes below `root`; None where there is none. Half a second old at most.

        Pages that processes share count for each of them.
        """
        now = time.monotonic()
        if now > self._until:
            self._seen, self._until = table(), now + FRESH_S
        pids = descendants(root, self._seen)
        return sum(self._seen[pid][1] for pid in pids) if pids else None
