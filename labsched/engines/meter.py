"""What a running attempt takes of memory: looked at from time to time while it runs, and never without one.

File cache does not count: the kernel gives it up before it denies anything to anybody, and a stage that reads a long
recording would else seem to need all the memory that there is. Standard library only: the shim imports this.
"""

import contextlib
import functools
import resource
import time

from labsched.engines import processes
from labsched.engines.cgroups import Group

FIRST_S, PERIOD_S, LONGEST_S, WATCH_S = 0.02, 1.0, 30.0, 0.2
LONGER = 1.25  # from one pause to the next: what comes in seconds ends in seconds
PART = 60  # of its age, a pause longer than PERIOD_S: what has run for days need not be looked at each second
SHARE, WATCH_SHARE = 100, 20  # of a processor, looking takes no more than one part of so many
OURS = 3_000_000  # bytes that a fork of the shim's own may take before it is the command


@functools.lru_cache(maxsize=1)
def _at_first(shim: int) -> int:
    """What a shim has itself; it hardly changes."""
    return processes.resident(shim) or 0


class Used:
    """What the processes of an attempt took that were waited for, and those that they waited for."""

    def __init__(self) -> None:
        self.cpu_time = 0.0  # seconds
        self.bytes_read = 0  # from disks: what came from the file cache was not read
        self.bytes_written = 0  # to disks: it counts when it goes to the cache
        self.largest = 0  # bytes that one of them had of memory, at the most

    def add(self, one: resource.struct_rusage) -> None:
        """Add what was told when a process was waited for."""
        self.cpu_time += one.ru_utime + one.ru_stime
        self.bytes_read += one.ru_inblock * 512
        self.bytes_written += one.ru_oublock * 512
        self.largest = max(self.largest, one.ru_maxrss * 1024)


class Meter:
    """Measures what is below the process `root`, where there is `command` so far; or in `group` where it has one.

    Without a group, `limit` (bytes) is watched for: `over` says that it was exceeded. With a group the kernel sees to
    it, and `over` says that it has killed a process of it.
    """

    def __init__(self, root: int, command: int, group: Group | None, limit: int | None) -> None:
        self.over = False
        self._root = root
        self._group = group
        self._limit = limit
        self._peak = processes.resident(command) or 0
        self._cache = 0
        self._own = _at_first(root)
        # Of a whole group that it kills at once, the kernel needs nobody to look.
        self._watched = limit is not None and not (group is not None and group.v2)
        self._share = WATCH_SHARE if self._watched else SHARE
        self._pause = FIRST_S if group is None else WATCH_S if self._watched else PERIOD_S
        self._began = time.monotonic()
        self.next = self._began + self._pause

    def look(self) -> None:
        """Look now; `next` is when to look again (of time.monotonic)."""
        began = time.process_time()
        with contextlib.suppress(OSError, KeyError):
            if self._group is None:
                self._look_at_tree()
            else:
                self._look_at_group(self._group)
        cost = time.process_time() - began
        now = time.monotonic()
        longest = WATCH_S if self._watched else min(max(PERIOD_S, (now - self._began) / PART), LONGEST_S)
        self._pause = min(self._pause * LONGER, longest)
        self.next = now + max(self._pause, cost * self._share)

    def peak(self, largest: int) -> int:
        """Bytes that it had at most, once all of it has ended and been waited for; `largest`: of one process of it."""
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
