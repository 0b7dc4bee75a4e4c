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
import json
import os
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from labsched import wall
from labsched.engines import account as accounts
from labsched.engines import fences, meter, processes, rundir, start
from labsched.engines.cgroups import Group
from labsched.engines.cut import Copier
from labsched.faults import point

PR_SET_CHILD_SUBREAPER = 36
WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
TERMINATE = WATCHED - {signal.SIGCHLD}
KILL_AGAIN_S = 0.1
ROOM_AGAIN_S = 1.0


def serve(control: int, name: str) -> None:
    """Fork a shim for every message ``ATTEMPT FOLDER`` on the socket `control`, until its other end is closed.

    Says first where attempts can have groups, whose names begin with `name`: ``ready`` and `fences.Fences` as JSON.
    Answers ``forked ATTEMPT PID`` with a pidfd of the shim, and ``died ATTEMPT SIGNAL`` where it is killed; the shim
    itself sends ``began ATTEMPT TIME PID``, or ``stuck ATTEMPT WHY`` where its folder has no room for it to begin.
    """
    link = socket.socket(fileno=control)
    link.set_inheritable(False)
    libc = ctypes.CDLL(None, use_errno=True)
    accounts.warm()
    with contextlib.suppress(OSError):
        link.send(f"ready {json.dumps(fences.find(name))}".encode())
    shims: dict[int, str] = {}  # attempts by pid
    signal.signal(signal.SIGCHLD, lambda *_: _reap(link, shims))
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
            shims[pid] = attempt
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


def _reap(link: socket.socket, shims: dict[int, str]) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            attempt = shims.pop(pid, None)
            if attempt is not None and os.WIFSIGNALED(status):
                with contextlib.suppress(OSError):  # rather unsaid than waited for: nobody else can reap
                    link.send(f"died {attempt} {_name(os.WTERMSIG(status))}".encode(), socket.MSG_DONTWAIT)


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
    error: OSError | LookupError | start.CannotStart | None = None
    spec: dict[str, Any] | None = None
    try:
        lock = os.open(os.path.join(folder, rundir.LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return  # another shim has this attempt
        point("shim.locked", folder)
        spec = rundir.read(folder, rundir.SPEC)
        account = None
        # All that needs room is done before `begun`: who has no room has not begun, and is tried again.
        if spec is not None:
            try:
                account = accounts.find(spec["uid"], spec["user"]) if spec.get("uid") is not None else None
                copier, output = _output(folder, spec, account)
            except (LookupError, OSError) as said:
                if isinstance(said, OSError) and said.errno in start.PASSES:
                    raise
                error = said
        if not rundir.begin(folder):
            return  # another shim had this attempt, or it is not to run any more
    except OSError as said:
        with contextlib.suppress(OSError):
            link.send(f"stuck {attempt} {said.strerror}".encode())
        return
    point("shim.begun", folder)
    started = wall.now()
    if spec is None:
        _record(folder, {"error": "its folder was damaged", "started": started, "ended": started})
        return
    try:
        if error is not None:
            raise error
        group, pid = _start(libc, spec, account, output)
    except (LookupError, start.CannotStart) as said:
        _record(folder, {"error": str(said), "started": started, "ended": wall.now()})
        return
    except OSError as said:
        why = "its log could not be made" if said is error else "no process could be started for it"
        _record(folder, {"error": f"{why}: {said.strerror}", "started": started, "ended": wall.now()})
        return
    os.close(output)
    point("shim.started", folder)
    if copier is not None:
        copier.start()
    with contextlib.suppress(OSError):  # a full disk is no reason to leave the command alone
        where = [group.path, group.v2] if group is not None else None
        known = {"pid": pid, "started": started, "group": where, "unfenced": spec.get("unfenced")}
        rundir.write(folder, rundir.STARTED, known)
    point("shim.noted", folder)
    with contextlib.suppress(OSError):
        link.send(f"began {attempt} {started!r} {pid}".encode())
    link.close()
    tree = Tree(pid, spec["stop_grace"], group, spec.get("memory"))
    tree.watch(spec["time_limit"])
    ended: dict[str, Any] = {"started": started, "ended": wall.now(), **tree.result()}
    if group is not None:
        group.remove()
    point("shim.reaped", folder)
    if copier is not None:
        copier.finish()
    if ended["exit_code"] == 0 and spec["outputs"]:
        ended["missing"] = start.missing(libc, spec, account)
    _record(folder, ended)
    point("shim.recorded", folder)


def _start(
    libc: ctypes.CDLL, spec: dict[str, Any], account: accounts.Account | None, output: int
) -> tuple[Group | None, int]:
    """Start the command, in its group where it gets one; without a group, `spec` says why it has none."""
    if said := spec.get("group"):
        group = Group(*said)
        try:
            group.make(spec.get("memory"))
            return group, start.start(libc, spec, account, output, group)
        except OSError as error:
            spec["unfenced"] = f"its cgroup could not be made: {error.strerror}"
        except start.NoGroup as error:
            spec["unfenced"] = str(error)
            group.remove()
        except start.CannotStart:
            group.remove()
            raise
    return None, start.start(libc, spec, account, output)


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

    def __init__(self, pid: int, grace: float, group: Group | None, memory: int | None) -> None:
        self.pid = pid
        self.grace = grace
        self.group = group
        self.meter = meter.Meter(os.getpid(), group, memory)
        self.status: int | None = None
        self.killed = False  # a process of it, and not by us
        self.oom_kills = processes.oom_kills()
        self.ending = False  # we have begun to end it
        self.stopped = False
        self.timed_out = False
        self.empty = False

    def watch(self, limit: float | None) -> None:
        """Return when nothing of the tree is left; end it where it is told to, takes longer than `limit` seconds, or
        more memory than it may.

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
        cpu_time, bytes_read, bytes_written = meter.usage()
        oom, over_by = self._oom()
        with contextlib.suppress(OSError, KeyError):
            cpu_time = max(cpu_time, (self.group and self.group.cpu_time()) or 0.0)
        return {
            "exit_code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": _name(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else None,
            "stopped": self.stopped,
            "timed_out": self.timed_out,
            "peak_memory": self.meter.peak(),
            "cpu_time": cpu_time,
            "bytes_read": bytes_read,
            "bytes_written": bytes_written,
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
        if number == signal.SIGKILL and self.group is not None:
            self.group.kill()  # all at once, also what starts just now
        processes.signal_below(os.getpid(), number)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"
