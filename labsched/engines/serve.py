"""The shims' parent: a warm process that forks them, which costs a millisecond where an interpreter's start costs
twenty, and that ends what a shim leaves behind which was killed.

As a "child subreaper" (prctl) it inherits what a dead shim stood by, also what has left its session and emptied its
environment: whatever is its child and no shim is to go. So it stays for as long as one of its shims lives, whether or
not the daemon does. Standard library only, and little of it: each shim carries what is imported here.
"""

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys

from labsched.engines import account, fences, processes, shim, tree
from labsched.faults import point

MAX_MESSAGE = 8_192


def serve(control: int, name: str) -> None:
    """Fork a shim for every message on the socket `control`, until its other end is closed and all shims have ended.

    Says first where attempts can have groups, whose names begin with `name`: ``ready`` and `fences.Fences` as JSON.
    Answers each message with ``forked PID``, a pidfd of the shim and the other end of its socket; or ``failed WHY``.
    Says ``ended PID SIGNAL`` of each, once it has; without a signal, unless it was killed by one.
    """
    os.closerange(3, control)  # what the daemon was started with is not for stages
    os.closerange(control + 1, os.sysconf("SC_OPEN_MAX"))
    link = socket.socket(fileno=control)
    link.set_inheritable(False)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(shim.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    account.warm()
    with contextlib.suppress(OSError):
        link.send(f"ready {json.dumps(fences.find(name))}".encode())
    shims: set[int] = set()
    signal.signal(signal.SIGCHLD, lambda _signal, _frame: _reap(link, shims))
    gc.collect()
    gc.freeze()  # what is here now stays shared with the shims
    while _next(link):
        point("parent.asked")
        # Neither reaped before its pidfd is open, nor ended by a signal that it does not handle yet.
        signal.pthread_sigmask(signal.SIG_BLOCK, tree.WATCHED)
        try:
            _fork(link, libc, shims)
        except OSError as error:
            with contextlib.suppress(OSError):
                link.send(f"failed {error.strerror}".encode())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, tree.WATCHED)
    link.close()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    _reap(link, shims)
    while shims:
        signal.sigwait({signal.SIGCHLD})
        _reap(link, shims)


def _next(link: socket.socket) -> bytes:
    try:
        return link.recv(MAX_MESSAGE)
    except ConnectionResetError:  # the daemon was killed before it read what we had sent it
        return b""


def _fork(link: socket.socket, libc: ctypes.CDLL, shims: set[int]) -> None:
    """Fork a shim, and hand it over. Raises OSError where there is none then."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            ours.close()
            link.close()
            shim.live(theirs, libc)
        shims.add(pid)
        point("parent.forked")
        pidfd = os.pidfd_open(pid)
        try:
            rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (pidfd, ours.fileno()))
            with contextlib.suppress(OSError):  # nobody there any more: the shim hears so from its own socket
                link.sendmsg([f"forked {pid}".encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        finally:
            os.close(pidfd)


def _reap(link: socket.socket, shims: set[int]) -> None:
    """Wait for those that have ended, and kill what they have left to us. Their ends call us again."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid in shims:
                shims.discard(pid)
                name = tree.signal_name(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else ""
                with contextlib.suppress(OSError):  # rather unsaid than waited for: nobody else can reap
                    link.send(f"ended {pid} {name}".encode(), socket.MSG_DONTWAIT)
    for pid in processes.children(os.getpid()):
        if pid not in shims:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)  # nobody else can have its number: we have not waited for it
