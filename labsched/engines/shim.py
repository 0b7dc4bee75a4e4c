"""What stands by a running stage: one small process that outlives the daemon.

It is forked by the shims' parent (`serve`) and does one attempt after another, as the daemon hands them to it through
its own socket. For each it makes the attempt's folder, holds the lock of its record until the end is known, starts the
command in a session of its own with its output in the log, enforces the time limit, ends the whole process tree when it
is told to (SIGTERM), and writes down how it ended. What it tells the daemon is only faster than what the folder says:
where the daemon is gone, it ends with its attempt, and the next daemon finds it by its lock.

Standard library only, and little of it: each shim carries what is imported here.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from labsched import wall
from labsched.engines import account as accounts
from labsched.engines import rundir, start
from labsched.engines.cgroups import Group
from labsched.engines.cut import Copier
from labsched.engines.tree import RECALL, TERMINATE, WATCHED, Tree
from labsched.faults import point

PR_SET_CHILD_SUBREAPER = 36
ROOM_AGAIN_S = 1.0
BEGAN_S = 0.02  # what is over by then spares itself, and the daemon, the news that it runs
MAX_SPEC = 65_536  # bytes of what to run, to be a message
MAX_WORDS = 8_192  # bytes of a message to the daemon


def live(link: socket.socket, libc: ctypes.CDLL) -> NoReturn:
    """Do what comes through `link`, until its other end is closed; what `tree.WATCHED` has is blocked before.

    Each message is what to run, as JSON (`local.Local`); or it brings an open file that has it. Answers are ``aside
    ATTEMPT PATH`` (where its folder was in use), ``began ATTEMPT TIME PID`` (unless it is short), and one of
    ``ended ATTEMPT EXIT`` (or without EXIT: see the folder), ``stuck ATTEMPT WHY`` (it can be tried again),
    ``taken ATTEMPT`` (by another shim, or it is not to run any more) and ``back ATTEMPT`` (it has not begun).

    Messages may come ahead of their time: what is to follow another attempt (``behind``) begins right after that one
    has ended here, or not at all. `RECALL` has us give back, at once, what has come and not begun.
    """
    try:
        for number in WATCHED:
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.umask(0o022)  # what we make has its mode at once; that of the commands is theirs
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        point("shim.forked")
        last: int | None = None
        while _is_alone() and (spec := _next(link, last)) is not None:
            point("shim.asked", spec["folder"])
            answer = _run(link, libc, spec)
            last = spec["attempt"] if answer[0] == "ended" else None
            _tell(link, *answer)
            point("shim.told", spec["folder"])
    finally:
        os._exit(0)


def _is_alone() -> bool:
    """Whether no thread still copies the log of the last attempt: none may run beside a fork."""
    threading = sys.modules.get("threading")
    return threading is None or threading.active_count() == 1


def _next(link: socket.socket, last: int | None) -> dict[str, Any] | None:
    """What to run, where `last` is what has just ended; None where nobody will ask any more.

    Until then a signal ends us as it does any process. One that was sent to end the last attempt, and came too late,
    does so too: whatever was asked for meanwhile has not begun, and another shim gets it.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINATE)
    try:
        while True:
            if RECALL in signal.sigpending():
                signal.sigwait({RECALL})
                _give_back(link)
            spec = _read(link)
            if spec is None or spec["behind"] in (None, last):
                return spec
            _tell(link, "back", spec["attempt"])
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, TERMINATE)


def _give_back(link: socket.socket) -> None:
    """Give back all that has come and not begun."""
    with contextlib.suppress(BlockingIOError):
        while (spec := _read(link, socket.MSG_DONTWAIT)) is not None:
            _tell(link, "back", spec["attempt"])


def _read(link: socket.socket, flags: int = 0) -> dict[str, Any] | None:
    try:
        data, ancillary, _, _ = link.recvmsg(MAX_SPEC, socket.CMSG_SPACE(4), flags)
    except ConnectionResetError:
        return None
    if not data:
        return None
    for _, _, right in ancillary:
        fd = int.from_bytes(right, sys.byteorder)
        try:
            data = os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)
    return json.loads(data)  # type: ignore[no-any-return]


def _tell(link: socket.socket, *words: object) -> None:
    message = " ".join(map(str, words)).encode()
    with contextlib.suppress(OSError):  # a daemon that died finds it all in the folder
        link.send(message if len(message) <= MAX_WORDS else " ".join(map(str, words[:2])).encode())


def _run(link: socket.socket, libc: ctypes.CDLL, spec: dict[str, Any]) -> tuple[object, ...]:
    """Run an attempt, to its end; returns what to tell of it."""
    folder, attempt = spec["folder"], spec["attempt"]
    with contextlib.ExitStack() as stack:
        try:
            others = spec["uid"] is not None
            if not rundir.make(folder, others) and (moved := rundir.clear(folder, spec["opened"])):
                _tell(link, "aside", attempt, moved)
                rundir.make(folder, others)
            point("shim.made", folder)
            record = rundir.lock(folder)
            if record is None:
                return "taken", attempt
            stack.callback(os.close, record)
            point("shim.locked", folder)
            account, log, failure = _prepare(folder, spec)
            if log is not None:
                stack.callback(os.close, log)
            if signal.sigpending() & TERMINATE:
                os._exit(0)  # told to end before there is anything to end
            if not rundir.begin(record, {name: spec[name] for name in ("opened", "mark", "uid", "group")}):
                return "taken", attempt
        except OSError as error:
            return "stuck", attempt, f"{folder} cannot be written: {error.strerror}"
        # From here on an error of ours ends us, and with us the command: never goes one on without a shim.
        point("shim.begun", folder)
        start.become_nice(spec["nice"])
        started = wall.now()
        if log is None:
            ended: dict[str, Any] = {"error": failure, "ended": started}
        else:
            ended = _command(link, libc, spec, account, log, record)
        ended.setdefault("started", started)
        ended["note"] = rundir.progress(folder)[1]
        _record(record, ended)
        point("shim.recorded", folder)
    return "ended", attempt, json.dumps(ended)


def _prepare(folder: str, spec: dict[str, Any]) -> tuple[accounts.Account | None, int | None, str | None]:
    """Whom the command runs as, and its open log; or why it cannot be run. Raises OSError where that will pass.

    All that needs room is done here: who has none has not begun, and is tried again. Makes the submitter's own folder,
    too. The attempt's is the daemon's, so nothing in it can be replaced or be made a link by the submitter.
    """
    log = -1
    try:
        account = accounts.find(spec["uid"], spec["user"]) if spec["uid"] is not None else None
        folder_fd = os.open(folder, os.O_DIRECTORY | os.O_RDONLY)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            log = os.open(rundir.LOG, flags, 0o640 if account is None else 0o600, dir_fd=folder_fd)
            if account is not None:
                os.fchown(log, account.uid, account.gid)
                if account.uid != os.geteuid():
                    rundir.give(folder_fd, account.uid, account.gid)
        finally:
            os.close(folder_fd)
        return account, log, None
    except LookupError as error:
        return None, None, str(error)
    except OSError as error:
        if log >= 0:
            os.close(log)
        if error.errno in start.PASSES:
            raise
        return None, None, f"its log could not be made: {error.strerror}"


def _command(
    link: socket.socket,
    libc: ctypes.CDLL,
    spec: dict[str, Any],
    account: accounts.Account | None,
    log: int,
    record: int,
) -> dict[str, Any]:
    """Run the command; returns how it ended, or why it could not be started."""
    folder, started = spec["folder"], wall.now()
    copier: Copier | None = None
    try:
        if spec["log_size"] is not None:
            copier = Copier(log, spec["log_size"])
        group, pid = _start(libc, spec, account, log if copier is None else copier.input)
    except (OSError, start.CannotStart) as error:
        if copier is not None:
            os.close(copier.input)
            copier.close()
        words = str(error)
        if isinstance(error, OSError):
            words = f"no process could be started for it: {error.strerror}"
        return {"error": words, "ended": wall.now()}
    point("shim.started", folder)
    if copier is not None:
        os.close(copier.input)
        copier.start()
    tree = Tree(pid, spec["stop_grace"], group, spec["memory"], lambda: _give_back(link))
    if not tree.ends_within(BEGAN_S):
        with contextlib.suppress(OSError):  # a full disk is no reason to leave the command alone
            known = {"pid": pid, "started": started, "group": spec["group"], "unfenced": spec["unfenced"]}
            rundir.note(record, "started", known)
        point("shim.noted", folder)
        _tell(link, "began", spec["attempt"], repr(started), pid)
    tree.watch(spec["time_limit"])
    ended: dict[str, Any] = {"started": started, "ended": wall.now(), **tree.result()}
    if group is not None:
        group.remove()
    point("shim.reaped", folder)
    if copier is not None:
        copier.finish()
    if ended["exit_code"] == 0 and spec["outputs"]:
        ended["missing"] = start.missing(libc, spec, account)
    return ended


def _start(
    libc: ctypes.CDLL, spec: dict[str, Any], account: accounts.Account | None, output: int
) -> tuple[Group | None, int]:
    """Start the command, in its group where it gets one; without a group, `spec` says why it has none."""
    if said := spec["group"]:
        group = Group(*said)
        try:
            group.make(spec["memory"])
            return group, start.start(libc, spec, account, output, group)
        except OSError as error:
            spec["unfenced"] = f"its cgroup could not be made: {error.strerror}"
        except start.NoGroup as error:
            spec["unfenced"] = str(error)
            group.remove()
        except start.CannotStart:
            group.remove()
            raise
        spec["group"] = None
    return None, start.start(libc, spec, account, output)


def _record(record: int, ended: dict[str, Any]) -> None:
    """Write how it ended; where the disk is full, as soon as there is room: until then nobody takes it for lost."""
    while True:
        try:
            return rundir.note(record, "ended", ended)
        except OSError as error:
            if error.errno not in start.FULL:
                raise
            time.sleep(ROOM_AGAIN_S)
