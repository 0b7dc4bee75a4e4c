"""The machine's processes, as /proc has them: who is whose child, and how much memory each holds.

Standard library only: the shims import it. A read of /proc/PID/stat has both, at a tenth of what psutil's objects cost,
which matters where the daemon asks while stages start.
"""

import contextlib
import os
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
