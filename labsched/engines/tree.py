"""A command and all its descendants, watched by the shim that stands by them until none is left.

Standard library only, and little of it: each shim carries what is imported here.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from labsched.engines import meter, processes
from labsched.engines.cgroups import Group

TERMINATE = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
RECALL = signal.SIGUSR1  # give back what has not begun
WATCHED = TERMINATE | {signal.SIGCHLD, RECALL}  # blocked while an attempt runs, and waited for
KILL_AGAIN_S = 0.1


class Tree:
    """The processes of an attempt, from the command `pid` on. As a "child subreaper" (prctl), the shim inherits every
    one whose parent died, also those that left the session, so none can get away.
    """

    def __init__(
        self, pid: int, grace: float, group: Group | None, memory: int | None, recall: Callable[[], None]
    ) -> None:
        self.pid = pid
        self.recall = recall
        self.grace = grace
        self.group = group
        self.used = meter.Used()
        self.meter = meter.Meter(os.getpid(), pid, group, memory)
        self.status: int | None = None
        self.killed = False  # a process of it, and not by us
        self.oom_kills = processes.recent_oom_kills()
        self.ending = False  # we have begun to end it
        self.stopped = False
        self.timed_out = False
        self.empty = False

    def ends_within(self, seconds: float) -> bool:
        """Wait for so long; whether the command has ended by then, or we were told to end it."""
        deadline = time.monotonic() + seconds
        while self.status is None and not self.stopped and time.monotonic() < deadline:
            self._wait(deadline)
        return self.status is not None or self.stopped

    def watch(self, limit: float | None) -> None:
        """Return when nothing of the tree is left; end it where it is told to, takes longer than `limit` seconds from
        now on, or more memory than it may.

        What a command leaves behind when it ends is ended too: its slots are about to be given to somebody else.
        """
        deadline = None if limit is None else time.monotonic() + limit
        while self.status is None and not self.stopped and not self.timed_out and not self.meter.over:
            self._wait(self.meter.next if deadline is None else min(deadline, self.meter.next))
            if time.monotonic() >= self.meter.next:
                self.meter.look()
            if self.status is None and deadline is not None and time.monotonic() >= deadline:
                self.timed_out = True
        self.ending = True
        if not self.empty and not self.meter.over:
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + self.grace
            while not self.empty and time.monotonic() < deadline:
                self._wait(deadline)
        while not self.empty:
            self._signal(signal.SIGKILL)
            self._wait(time.monotonic() + KILL_AGAIN_S)

    def result(self) -> dict[str, Any]:
        """How it ended, and what all of it used: exit code or signal, bytes, processor time in seconds."""
        status = 0 if self.status is None else self.status
        cpu_time = self.used.cpu_time
        oom, over_by = self._oom()
        with contextlib.suppress(OSError, KeyError):
            cpu_time = max(cpu_time, (self.group and self.group.cpu_time()) or 0.0)
        return {
            "exit_code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": signal_name(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else None,
            "stopped": self.stopped,
            "timed_out": self.timed_out,
            "peak_memory": self.meter.peak(self.used.largest),
            "cpu_time": cpu_time,
            "bytes_read": self.used.bytes_read,
            "bytes_written": self.used.bytes_written,
            "oom": oom,
            "over_by": over_by,
        }

    def _oom(self) -> tuple[bool, str | None]:
        """Whether it was killed for want of memory; and by whom, where that was for taking more than it may."""
        if self.group is None:
            by_kernel = self.killed and processes.oom_kills() > self.oom_kills
            return self.meter.over or by_kernel, "labsched" if self.meter.over else None
        with contextlib.suppress(OSError):
            if self.group.oom_kills():
                return True, "the kernel" if self.group.reached_limit() else None
        return False, None

    def _wait(self, deadline: float | None) -> None:
        if deadline is None:
            came: int | None = signal.sigwait(WATCHED)
        else:
            info = signal.sigtimedwait(WATCHED, max(deadline - time.monotonic(), 0))
            came = info and info.si_signo
        if came in TERMINATE and self.status is None:
            self.stopped = True
        elif came == RECALL:
            self.recall()
        try:
            while True:
                pid, status, used = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                self.used.add(used)
                if pid == self.pid:
                    self.status = status
                # What a shell, or klusta's stage, says of a child of its own that was killed.
                by_kill = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status) - 128
                self.killed = self.killed or (by_kill == signal.SIGKILL and not self.ending)
        except ChildProcessError:
            self.empty = True

    def _signal(self, number: signal.Signals) -> None:
        if number == signal.SIGKILL and self.group is not None:
            self.group.kill()  # all at once, also what starts just now
        processes.signal_below(os.getpid(), number)


def signal_name(number: int) -> str:
    """``SIGKILL`` and its like."""
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"
