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
MAX_DEPTH = 10_000  # generations of processes

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


def family(root: int) -> list[int]:
    """The pids of all processes below `root`, as `descendants`, but at a cost that does not grow with the machine's."""
    if not os.path.exists("/proc/thread-self/children"):
        return descendants(root)
    found = _children(root)
    for pid in found:
        found += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    """Of all threads of a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def resident(pid: int) -> int | None:
    """A process's resident memory (bytes); None where it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE
    except (OSError, IndexError):
        return None


def proportional(pid: int, otherwise: int) -> int:
    """A process's resident memory (bytes), of what it shares with others its part; `otherwise` where that is secret."""
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return otherwise


def signal_below(root: int, number: int) -> None:
    """Send a signal to every process below `root`, and wake those that are stopped: they could not obey.

    None but those: a pid that was given to a stranger's process in between is passed over.
    """
    for pid in descendants(root):
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
            try:
                if _is_below(pid, root):
                    signal.pidfd_send_signal(pidfd, number)
                    signal.pidfd_send_signal(pidfd, signal.SIGCONT)
            finally:
                os.close(pidfd)


def kill_marked(mark: bytes, uid: int | None = None) -> bool:
    """Kill all processes that have `mark`, a ``NAME=VALUE``, in the environment that they were started with; whether
    there were any, that may not be gone yet.

    With `uid` only that user's: anybody can write anything into an environment. One that is just executing a program
    has no environment yet, so it counts as one that may be there.
    """
    found = False
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        if not _has(pid, mark, uid):
            found = found or _executes(pid, uid)
            continue
        found = True
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
            try:
                if _has(pid, mark, uid):  # so the pidfd is no stranger's that has got the number since
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)
    return found


def _is_below(pid: int, root: int) -> bool:
    for _ in range(MAX_DEPTH):
        if pid <= 1:
            return False
        with open(f"/proc/{pid}/stat", "rb") as file:
            pid = int(file.read().rpartition(b")")[2].split()[1])
        if pid == root:
            return True
    return False


def _has(pid: int, mark: bytes, uid: int | None) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            if mark not in file.read().split(b"\0"):
                return False
        return uid is None or _real_uid(pid) == uid
    except (OSError, IndexError, ValueError):
        return False


def _executes(pid: int, uid: int | None) -> bool:
    """Whether a process is in the middle of an exec: it has memory, but not yet an environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # which nobody reads of a stranger's
            if file.read(1):
                return False
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        size, end = int(fields[20]), int(fields[48])
        return size > 0 and end == 0 and (uid is None or _real_uid(pid) == uid)
    except (OSError, IndexError, ValueError):
        return False


def _real_uid(pid: int) -> int:
    """Whose a process is, also where it runs a program that lends it another's rights."""
    with open(f"/proc/{pid}/status", "rb") as file:
        return int(file.read().partition(b"\nUid:")[2].split()[0])


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it booted; 0 where it does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/vmstat", "rb") as file:
        for line in file:
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0


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
