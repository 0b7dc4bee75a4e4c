"""Daemons that start at once: forked from a process that has loaded all that a daemon loads.

An interpreter and its modules take a second to start, and a story has hundreds of starts; a few are cold all the same.
"""

import contextlib
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from labsched.faults import ENVIRONMENT


class Warm:
    """A daemon that was forked; as much of `subprocess.Popen` as the suite needs."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self.pid = pid
        self._nursery = nursery

    def poll(self) -> int | None:
        """Its exit status as Popen has it; None while it lives."""
        return self._nursery.ended.get(self.pid)

    def wait(self, seconds: float = 20.0) -> int:
        deadline = time.monotonic() + seconds
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} does not end")
            time.sleep(0.005)
        return status

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            if self.poll() is None:
                os.kill(self.pid, signal.SIGTERM)


class Nursery:
    """The process that daemons are forked from. `words` are a daemon's command line behind `labsched`."""

    def __init__(self, folder: Path, mark: str, words: list[str]) -> None:
        self.ended: dict[int, int] = {}
        self._started: list[int] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.warm", str(folder), *words],
            env={**os.environ, ENVIRONMENT: mark},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.pid = self._process.pid
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def start(self) -> Warm:
        """Another daemon."""
        assert self._process.stdin is not None
        known = len(self._started)
        self._process.stdin.write("start\n")
        deadline = time.monotonic() + 20
        while len(self._started) == known:
            if time.monotonic() > deadline:
                raise TimeoutError("no daemon was forked")
            time.sleep(0.002)
        return Warm(self, self._started[-1])

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._reading.join()
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            what, pid, *status = line.split()
            if what == "started":
                self._started.append(int(pid))
            else:
                self.ended[int(pid)] = os.waitstatus_to_exitcode(int(status[0]))


def serve(folder: str, words: list[str]) -> None:
    """Fork a daemon for each line of stdin; tell on stdout of each that starts and each that ends."""
    import labsched.daemon.main  # noqa: F401  what takes long
    from labsched.cli import daemon, main  # noqa: F401

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer)
    forks = 0
    while True:
        ready, _, _ = select.select([0, reader], [], [])
        if reader in ready:
            os.read(reader, 4096)
        if 0 in ready:
            asked = os.read(0, 4096)
            if not asked:
                return
            forks += 1
            pid = os.fork()
            if pid == 0:
                if forks % 2:  # stages of root's have other limits then: their shims fork them, and do not spawn
                    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1), hard - 1))
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(reader)
                os.close(writer)
                os.chdir(folder)
                log = os.open("daemon.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                null = os.open(os.devnull, os.O_RDONLY)
                for theirs, ours in ((null, 0), (log, 1), (log, 2)):
                    os.dup2(theirs, ours)
                sys.argv = ["labsched", *words]
                main.script()
            os.write(1, f"started {pid}\n".encode())
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            os.write(1, f"ended {pid} {status}\n".encode())


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
