"""What stands by a running stage: one small process that outlives the daemon, and its warm parent that forks it.

`serve` is the parent: it is asked to launch an attempt's folder and forks a shim, which costs a millisecond where an
interpreter's start costs twenty. The shim holds the folder's lock for life, starts the command in a session of its
own, writes its output to the log, enforces the time limit, ends the whole process tree when it is told to (SIGTERM),
and writes `exit.json`. As a "child subreaper" (prctl) it inherits every process of the tree whose parent died, also
those that left the session, so none can get away.

Standard library only, and little of it: each shim carries what is imported here.
"""

import contextlib
import ctypes
import fcntl
import gc
import os
import resource
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from labsched import wall
from labsched.engines import account as accounts
from labsched.engines import processes, rundir, start
from labsched.engines.cut import Copier
from labsched.faults import point

PR_SET_CHILD_SUBREAPER = 36
WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
TERMINATE = WATCHED - {signal.SIGCHLD}
KILL_AGAIN_S = 0.1
ROOM_AGAIN_S = 1.0


def serve(control: int) -> None:
    """Fork a shim for every message ``ATTEMPT FOLDER`` on the socket `control`, until its other end is closed.

    Answers ``forked ATTEMPT PID`` with a pidfd of the shim; the shim itself sends ``began ATTEMPT TIME PID``.
    """
    link = socket.socket(fileno=control)
    link.set_inheritable(False)
    libc = ctypes.CDLL(None, use_errno=True)
    signal.signal(signal.SIGCHLD, _reap)
    accounts.warm()
    gc.collect()
    gc.freeze()  # what is here now stays shared with the shims
    while message := _next(link):
        attempt, _, folder = os.fsdecode(message).partition(" ")
        point("parent.asked", folder)
        # Neither reaped before its pidfd is open, nor ended by a signal that it does not handle yet.
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        try:
            pid = os.fork()
        except OSError as error:
            with contextlib.suppress(OSError):
                link.send(f"failed {attempt} {error.strerror}".encode())
        else:
            if pid == 0:
                _shim(link, libc, attempt, folder)
            point("parent.forked", folder)
            pidfd = os.pidfd_open(pid)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, pidfd.to_bytes(4, sys.byteorder))]
            with contextlib.suppress(OSError):  # a daemon that died finds the shim by its lock
                link.sendmsg([f"forked {attempt} {pid}".encode()], rights)
            os.close(pidfd)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)


def _next(link: socket.socket) -> bytes:
    try:
        return link.recv(8_192)
    except ConnectionResetError:  # the daemon was killed before it read what we had sent it
        return b""


def _reap(_signal: int, _frame: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _shim(link: socket.socket, libc: ctypes.CDLL, attempt: str, folder: str) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _run(link, libc, attempt, folder)
    finally:
        os._exit(0)


def _run(link: socket.socket, libc: ctypes.CDLL, attempt: str, folder: str) -> None:
    point("shim.forked", folder)
    lock = os.open(os.path.join(folder, rundir.LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        point("shim.locked", folder)
        if not rundir.begin(folder):
            return  # another shim had this attempt, or it is not to run any more
    except OSError:
        return  # another shim has this attempt
    point("shim.begun", folder)
    spec = rundir.read(folder, rundir.SPEC)
    started = wall.now()
    if spec is None:
        _record(folder, {"error": "its folder was damaged", "started": started, "ended": started})
        return
    try:
        account = accounts.find(spec["uid"], spec["user"]) if spec.get("uid") is not None else None
        copier, output = _output(folder, spec, account)
        pid = start.start(libc, spec, account, output)
    except (LookupError, start.CannotStart) as error:
        _record(folder, {"error": str(error), "started": started, "ended": wall.now()})
        return
    except OSError as error:
        _record(folder, {"error": _why(error), "started": started, "ended": wall.now()})
        return
    os.close(output)
    point("shim.started", folder)
    if copier is not None:
        copier.start()
    with contextlib.suppress(OSError):  # a full disk is no reason to leave the command alone
        rundir.write(folder, rundir.STARTED, {"pid": pid, "started": started})
    point("shim.noted", folder)
    with contextlib.suppress(OSError):
        link.send(f"began {attempt} {started!r} {pid}".encode())
    link.close()
    tree = Tree(pid, spec["stop_grace"])
    tree.watch(spec["time_limit"])
    ended: dict[str, Any] = {"started": started, "ended": wall.now(), **tree.result()}
    point("shim.reaped", folder)
    if copier is not None:
        copier.finish()
    if ended["exit_code"] == 0 and spec["outputs"]:
        ended["missing"] = start.missing(libc, spec, account)
    _record(folder, ended)
    point("shim.recorded", folder)


def _output(folder: str, spec: dict[str, Any], account: accounts.Account | None) -> tuple[Copier | None, int]:
    """Where the command writes to: its log, or a pipe to one that is cut at a size. Makes the submitter's own folder.

    The attempt's folder is the daemon's, so nothing in it can be replaced or be made a link by the submitter.
    """
    folder_fd = os.open(folder, os.O_DIRECTORY | os.O_RDONLY)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        log = os.open(rundir.LOG, flags, 0o640 if account is None else 0o600, dir_fd=folder_fd)
        if account is not None:
            os.fchown(log, account.uid, account.gid)
            rundir.give(folder_fd, account.uid, account.gid)
    finally:
        os.close(folder_fd)
    if spec.get("log_size") is None:
        return None, log
    copier = Copier(log, spec["log_size"])
    return copier, copier.input


def _why(error: OSError) -> str:
    if error.errno in start.FULL:
        return "the disk of the state folder is full: make room, then retry"
    return f"its log could not be made: {os.strerror(error.errno or 0)}"


def _record(folder: str, ended: dict[str, Any]) -> None:
    """Write how it ended; where the disk is full, as soon as there is room: until then nobody takes it for lost."""
    while True:
        try:
            return rundir.write(folder, rundir.EXIT, ended)
        except OSError as error:
            if error.errno not in start.FULL:
                raise
            time.sleep(ROOM_AGAIN_S)


class Tree:
    """A command and all its descendants, watched by the process that starts them."""

    def __init__(self, pid: int, grace: float) -> None:
        self.pid = pid
        self.grace = grace
        self.status: int | None = None
        self.killed = False  # a process of it, and not by us
        self.oom_kills = processes.oom_kills()
        self.ending = False  # we have begun to end it
        self.stopped = False
        self.timed_out = False
        self.empty = False

    def watch(self, limit: float | None) -> None:
        """Return when nothing of the tree is left; end it where it is told to, or takes longer than `limit` seconds.

        What a command leaves behind when it ends is ended too: its slots are about to be given to somebody else.
        """
        deadline = None if limit is None else time.monotonic() + limit
        while self.status is None and not self.stopped and not self.timed_out:
            self._wait(deadline)
            if self.status is None and deadline is not None and time.monotonic() >= deadline:
                self.timed_out = True
        self.ending = True
        if not self.empty:
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + self.grace
            while not self.empty and time.monotonic() < deadline:
                self._wait(deadline)
        while not self.empty:
            self._signal(signal.SIGKILL)
            self._wait(time.monotonic() + KILL_AGAIN_S)

    def result(self) -> dict[str, Any]:
        """How it ended, and what all of it used: exit code or signal, memory in bytes, processor time in seconds."""
        status = 0 if self.status is None else self.status
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "exit_code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": _name(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else None,
            "stopped": self.stopped,
            "timed_out": self.timed_out,
            "peak_memory": used.ru_maxrss * 1024,
            "cpu_time": used.ru_utime + used.ru_stime,
            "oom": self.killed and processes.oom_kills() > self.oom_kills,
        }

    def _wait(self, deadline: float | None) -> None:
        if deadline is None:
            came: int | None = signal.sigwait(WATCHED)
        else:
            info = signal.sigtimedwait(WATCHED, max(deadline - time.monotonic(), 0))
            came = info and info.si_signo
        if came in TERMINATE and self.status is None:
            self.stopped = True
        try:
            while True:
                pid, status, _ = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.pid:
                    self.status = status
                # What a shell, or klusta's stage, says of a child of its own that was killed.
                by_kill = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status) - 128
                self.killed = self.killed or (by_kill == signal.SIGKILL and not self.ending)
        except ChildProcessError:
            self.empty = True

    def _signal(self, number: signal.Signals) -> None:
        processes.signal_below(os.getpid(), number)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"
