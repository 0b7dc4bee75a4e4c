"""The machine's processes, as /proc has them: who is whose child, and how much memory each holds.

Standard library only: the shims import it. A read of /proc/PID/stat has both, at a tenth of what psutil's objects cost,
which matters where the daemon asks while stages start.
"""

import contextlib
import functools
import os
import signal
import time

PAGE = os.sysconf("SC_PAGE_SIZE")
FRESH_S = 0.5
MAX_DEPTH = 10_000  # generations of processes
MAX_LISTS = 25
_CHILDREN = "/proc/thread-self/children"  # not of every kernel
_NOT_YET = b"\0?"  # an environment's place, while a program is executed

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
    if not os.path.exists(_CHILDREN):
        return descendants(root)
    found = children(root)
    for pid in found:
        found += children(pid)
    return found


def children(pid: int) -> list[int]:
    """The pids of a process's children, of all its threads."""
    if not os.path.exists(_CHILDREN):
        return [child for child, (parent, _) in table().items() if parent == pid]
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def resident(pid: int) -> int | None:
    """A process's resident memory (bytes); None where it is gone."""
    try:
        fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return int(os.read(fd, 200).split()[1]) * PAGE
        finally:
            os.close(fd)
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

    With `uid` only that user's: anybody can write anything into an environment.
    """
    found = False
    seen: set[int] = set()
    quiet = 0
    # One that is listed may have forked and ended before it is looked at; then the next list has its child. Two lists
    # without such a one, for the kernel makes a list while numbers are given, and begins with small ones again. Where
    # others come and go all the time there is no such list; but so many find whatever of ours does.
    for _ in range(MAX_LISTS):
        new = [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if pid not in seen]
        seen.update(new)
        quiet += 1
        for pid in new:
            said = _environment(pid)
            if said is not None and said is not _NOT_YET and mark not in said.split(b"\0"):
                continue
            owner = None if said is None else _real_uid(pid)
            if owner is None:
                quiet = 0
            elif uid in (None, owner):
                found, quiet = True, 0
                _kill(pid, mark, uid)
        if quiet == 2:
            break
    return found


def _kill(pid: int, mark: bytes, uid: int | None) -> None:
    with contextlib.suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            # So the pidfd is no stranger's that has got the number since.
            if mark in (_environment(pid) or b"").split(b"\0") and uid in (None, _real_uid(pid)):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def _environment(pid: int) -> bytes | None:
    """What a process was started with; None where it has ended, `_NOT_YET` in the middle of an exec, and nothing of a
    stranger's or the kernel's."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            if said := file.read():
                return said
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        if fields[0] in (b"Z", b"X"):
            return None
        size, end = int(fields[20]), int(fields[48])  # its memory, and where its environment ends in there
        return _NOT_YET if size and not end else b""
    except PermissionError:
        return b""
    except (OSError, IndexError, ValueError):
        return None


def _is_below(pid: int, root: int) -> bool:
    for _ in range(MAX_DEPTH):
        if pid <= 1:
            return False
        with open(f"/proc/{pid}/stat", "rb") as file:
            pid = int(file.read().rpartition(b")")[2].split()[1])
        if pid == root:
            return True
    return False


def _real_uid(pid: int) -> int | None:
    """Whose a process is, also where it runs a program that lends it another's rights; None where it has ended."""
    with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{pid}/status", "rb") as file:
        return int(file.read().partition(b"\nUid:")[2].split()[0])
    return None


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it booted; 0 where it does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/vmstat", "rb") as file:
        for line in file:
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0


def recent_oom_kills() -> int:
    """As `oom_kills`, a second old at most: it takes long to ask for something that hardly ever changes."""
    return _oom_kills_of(int(time.monotonic()))


@functools.lru_cache(maxsize=1)
def _oom_kills_of(_second: int) -> int:
    return oom_kills()


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
