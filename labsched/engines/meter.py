"""What a running attempt takes of memory: looked at from time to time while it runs, and never without one.

File cache does not count: the kernel gives it up before it denies anything to anybody, and a stage that reads a long
recording would else seem to need all the memory that there is. Standard library only: the shim imports this.
"""

import contextlib
import resource
import time

from labsched.engines import processes
from labsched.engines.cgroups import Group

FIRST_S, PERIOD_S, WATCH_S = 0.02, 1.0, 0.2
LONGER = 1.25  # from one pause to the next: what comes in seconds ends in seconds
SHARE, WATCH_SHARE = 100, 20  # of a processor, looking takes no more than one part of so many
OURS = 3_000_000  # bytes that a fork of the shim's own may take before it is the command


class Meter:
    """Measures what is below the process `root`, or in `group` where it has one.

    Without a group, `limit` (bytes) is watched for: `over` says that it was exceeded. With a group the kernel sees to
    it, and `over` says that it has killed a process of it.
    """

    def __init__(self, root: int, group: Group | None, limit: int | None) -> None:
        self.over = False
        self._root = root
        self._group = group
        self._limit = limit
        self._peak = 0
        self._cache = 0
        self._own = processes.resident(root) or 0
        self._period, self._share = (PERIOD_S, SHARE) if limit is None else (WATCH_S, WATCH_SHARE)
        self._pause = FIRST_S if group is None else self._period
        self.next = time.monotonic() + self._pause
        if group is None:
            self.look()

    def look(self) -> None:
        """Look now; `next` is when to look again (of time.monotonic)."""
        began = time.process_time()
        with contextlib.suppress(OSError, KeyError):
            if self._group is None:
                self._look_at_tree()
            else:
                self._look_at_group(self._group)
        cost = time.process_time() - began
        self._pause = min(self._pause * LONGER, self._period)
        self.next = time.monotonic() + max(self._pause, cost * self._share)

    def peak(self) -> int:
        """Bytes that it had at most, once all of it has ended and been waited for."""
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        if largest > self._own + OURS:  # else it is what the fork had of ours, before it was the command
            self._peak = max(self._peak, largest)
        if self._group is not None:
            with contextlib.suppress(OSError, KeyError):
                taken = self._group.taken()
                # Of what it had at the most, so much may have been cache, and no more.
                self._peak = max(self._peak, taken.peak - max(self._cache, taken.cache))
                return min(self._peak, taken.peak)
        return self._peak or largest

    def _look_at_group(self, group: Group) -> None:
        taken = group.taken()
        self._peak, self._cache = max(self._peak, taken.held), max(self._cache, taken.cache)
        if self._limit is not None and group.oom_kills():
            self.over = True

    def _look_at_tree(self) -> None:
        pids = processes.family(self._root)
        each = {pid: processes.resident(pid) or 0 for pid in pids}
        held = sum(each.values())
        # What processes share counts for each of them, and it takes long to find out: only where it matters.
        if held > self._peak and held - max(each.values(), default=0) > held // 10:
            held = sum(processes.proportional(pid, rest) for pid, rest in each.items())
        self._peak = max(self._peak, held)
        if self._limit is not None and held > self._limit:
            self.over = True


def usage() -> tuple[float, int, int]:
    """Processor time (seconds), bytes read from and written to disks, of all children that were waited for, and theirs.

    What came from the file cache was not read; what was written counts when it goes to the cache.
    """
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime, used.ru_inblock * 512, used.ru_oublock * 512
