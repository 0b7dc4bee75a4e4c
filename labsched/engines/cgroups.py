"""An attempt's control group (cgroup, version 2 or 1): what its processes may take of memory, and what they took.

Whatever is started in a group stays in it, with all that it starts; so a group also knows all processes of an attempt,
and ends them. Standard library only, and little of it: the shim imports this.
"""

import contextlib
import ctypes
import os
import signal
import time
from typing import NamedTuple

SYS_CLONE3, CLONE_INTO_CGROUP = 435, 0x2_0000_0000
HUGE = 4 * 1024**2  # bytes: a page, at the most, and a bit
REMOVALS, REMOVE_AGAIN_S = 50, 0.002  # the kernel may take a moment to forget what was in it


class Taken(NamedTuple):
    """What a group has and had, in bytes: `held` now, file cache not counted; `cache`; `peak`, file cache counted."""

    held: int
    cache: int
    peak: int


class Group:
    """The group at `path`, in a hierarchy of version 2 or 1. What it is asked raises OSError where it is not there."""

    def __init__(self, path: str, v2: bool) -> None:
        self.path = path
        self.v2 = v2

    def make(self, limit: int | None) -> None:
        """Make it, empty; with a limit in bytes its processes get no more than that, and nothing of the swap."""
        os.mkdir(self.path, 0o755)
        if limit is None:
            return
        try:
            if self.v2:
                self._write("memory.max", limit)
                self._write("memory.oom.group", 1)
            else:
                self._write("memory.limit_in_bytes", limit)
            with contextlib.suppress(FileNotFoundError):  # a kernel that does not count the swap
                self._write(*(("memory.swap.max", 0) if self.v2 else ("memory.memsw.limit_in_bytes", limit)))
        except OSError:
            self.remove()
            raise

    def fork(self) -> int:
        """Fork, the child in this group from its first moment on; returns as os.fork does. Raises OSError.

        It takes a millisecond, where a process that is moved into a group may wait for many. No thread may run beside.
        """
        if self.v2:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                words = (ctypes.c_uint64 * 11)(CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, fd)
                # PyDLL: the child must come back to an interpreter that is its own.
                pid = ctypes.PyDLL(None, use_errno=True).syscall(SYS_CLONE3, words, ctypes.sizeof(words))
            finally:
                os.close(fd)
            if pid < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            return int(pid)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            try:
                self._write("cgroup.procs", 0)
            except OSError as error:
                os.write(writer, (error.errno or 0).to_bytes(2, "big"))
                os._exit(127)
            os.close(writer)
            return 0
        os.close(writer)
        with open(reader, "rb") as pipe:
            said = pipe.read()
        if said:
            os.waitpid(pid, 0)
            number = int.from_bytes(said, "big")
            raise OSError(number, os.strerror(number))
        return pid

    def taken(self) -> Taken:
        """What it has, and had at most."""
        stat = self._table("memory.stat")
        if self.v2:
            now, peak = self._number("memory.current") or 0, self._number("memory.peak")
            cache = stat["file"] - stat["shmem"] + stat.get("slab_reclaimable", 0)
        else:
            now, peak = self._number("memory.usage_in_bytes") or 0, self._number("memory.max_usage_in_bytes")
            cache = stat["total_cache"] - stat.get("total_shmem", 0)
        cache = max(cache, 0)
        return Taken(max(now - cache, 0), cache, max(now, peak or 0))

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed for want of memory."""
        return self._table("memory.events" if self.v2 else "memory.oom_control").get("oom_kill", 0)

    def reached_limit(self) -> bool:
        """Whether its processes have asked for more than its limit, and there was nothing left to give up for it."""
        if self.v2:
            return self._table("memory.events").get("oom", 0) > 0
        # Its failcnt does not count in newer kernels. What was denied may have been a huge page.
        limit, peak = (self._number(f"memory.{name}_in_bytes") or 0 for name in ("limit", "max_usage"))
        return limit - peak < HUGE

    def cpu_time(self) -> float | None:
        """Processor time (seconds) of all that has run in it; None where the hierarchy does not count it."""
        return self._table("cpu.stat")["usage_usec"] / 1e6 if self.v2 else None

    def pids(self) -> list[int]:
        """The processes that are in it now, those in groups below it too."""
        found: list[int] = []
        for folder in self._folders():
            with contextlib.suppress(FileNotFoundError), open(f"{folder}/cgroup.procs", "rb") as file:
                found += map(int, file.read().split())
        return found

    def kill(self) -> bool:
        """Kill all that is in it; whether there was anything, that may not be gone yet."""
        try:
            if not self.pids():
                return False
            with contextlib.suppress(FileNotFoundError):  # before Linux 5.14
                self._write("cgroup.kill", 1)
                return True
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    self._kill_one(pid)
        except FileNotFoundError:  # the group is gone
            return False
        return True

    def remove(self, tries: int = REMOVALS) -> bool:
        """Remove it, and what a command has made below it; whether it is gone. Kills what is still in it."""
        for _ in range(tries):
            try:
                for folder in reversed(self._folders()):
                    os.rmdir(folder)
                return True
            except FileNotFoundError:
                return True
            except OSError:
                with contextlib.suppress(OSError):
                    self.kill()
                time.sleep(REMOVE_AGAIN_S)
        return False

    def _kill_one(self, pid: int) -> None:
        pidfd = os.pidfd_open(pid)
        try:
            if pid in self.pids():  # else its number may be a stranger's by now
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)

    def _folders(self) -> list[str]:
        """It, and all groups below it, parents first."""
        return [folder for folder, _, _ in os.walk(self.path)] or [self.path]

    def _write(self, name: str, value: int) -> None:
        fd = os.open(f"{self.path}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(value).encode())
        finally:
            os.close(fd)

    def _number(self, name: str) -> int | None:
        """What a file says; None where there is none, or it is no number (``max``)."""
        try:
            with open(f"{self.path}/{name}", "rb") as file:
                return int(file.read())
        except (FileNotFoundError, ValueError):
            return None

    def _table(self, name: str) -> dict[str, int]:
        with open(f"{self.path}/{name}", "rb") as file:
            return {key.decode(): int(value) for key, value in (line.split() for line in file)}
