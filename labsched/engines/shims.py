"""The daemon's side of the shims: those that are free, those that are to come, and their parent, kept alive."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections import deque
from typing import Protocol

from labsched.engines import parent
from labsched.engines.fences import Fences
from labsched.engines.shim import MAX_SPEC
from labsched.engines.tree import RECALL

log = logging.getLogger(__name__)
SPARE = 1  # shims that wait for the next attempt when there is none
IDLE_S = 5.0  # after which more than these go
AGAIN_S = 1.0  # until the next try of what failed for want of room, memory or descriptors
PAUSE_S = 0.1  # until one that ended with nothing to do is replaced
LEAVE_S = 5.0  # for the parent to end when nothing runs any more


class Shim:
    """A process that stands by an attempt: a pidfd of it, and the socket to it, where it is of our own parent."""

    def __init__(self, pid: int, pidfd: int, link: socket.socket | None) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.link = link
        self.attempt: int | None = None
        self.ahead: deque[int] = deque()  # attempts that it has got too, each to follow the one before
        self.closed = False  # to more of these
        self.dead = False
        self.last = False  # it gets no more attempts

    def stop(self) -> None:
        """Have it end its attempt; an idle one ends itself."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)

    def recall(self) -> None:
        """Have it give back what it has got and not begun; until it has, it gets no more."""
        self.closed = True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, RECALL)

    def go_on(self) -> int | None:
        """Its attempt has ended: the one that it has now, if any."""
        self.attempt = self.ahead.popleft() if self.ahead else None
        return self.attempt

    def send(self, spec: bytes) -> None:
        """Hand it an attempt. Raises OSError where it is gone, or nothing can be handed to anybody."""
        assert self.link is not None
        if len(spec) <= MAX_SPEC:
            self.link.send(spec)
            return
        fd = os.memfd_create("attempt", os.MFD_CLOEXEC)  # a message could not hold a long environment
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(spec)
            self.link.sendmsg([b"file"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))])
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let it go: it ends with its attempt."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.pidfd)
        os.close(self.pidfd)
        if self.link is not None:
            loop.remove_reader(self.link)
            self.link.close()
            self.link = None


class Master(Protocol):
    """Who has the shims work."""

    def free(self) -> None:
        """There is a shim to `take`."""

    def heard(self, shim: Shim, words: str) -> None:
        """What a shim says of its attempt."""

    def gone(self, shim: Shim) -> None:
        """A shim with an attempt has ended."""

    def ended(self, attempt: int, death: str) -> None:
        """How the last shim of an attempt has ended: the signal that killed it, or nothing."""

    def cannot(self, why: str) -> None:
        """No shim can be made at the moment; it is tried again."""


class Shims:
    """See above. The names of the attempts' groups begin with `name`."""

    def __init__(self, master: Master, name: str) -> None:
        self.parent: parent.Parent | None = None
        self.fences = Fences(why="the shims' parent has not started yet")
        self._master = master
        self._name = name
        self._idle: list[Shim] = []
        self._ours: dict[int, Shim] = {}  # by pid, until our parent tells how they ended
        self._wanted = 0
        self._asked = 0  # and not there yet
        self._later: asyncio.TimerHandle | None = None
        self._trimming: asyncio.TimerHandle | None = None
        self._respawn: asyncio.Task[None] | None = None
        self._left = asyncio.Event()
        self._closed = False

    async def open(self) -> None:
        """Start the parent. Raises OSError."""
        self.parent = await parent.start(self._name)
        self.fences = self.parent.fences
        self._left.clear()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.parent.pidfd, self._parent_gone, self.parent)
        loop.add_reader(self.parent.link, self._hear, self.parent.link)
        self._ask()

    async def close(self, wait: bool) -> None:
        """Let them all go; with `wait`, none of them works, and it does not take long."""
        self._closed = True
        for timer in (self._later, self._trimming):
            if timer is not None:
                timer.cancel()
        for shim in self._idle:
            shim.close()
        self._idle.clear()
        if self._respawn is not None:
            await self._respawn
        if self.parent is None:
            return
        leaving, pidfd = self.parent, self.parent.pidfd
        self._unlink()
        if wait:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), LEAVE_S)
        if not self._left.is_set():
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(leaving.pidfd)

    def take(self) -> Shim | None:
        """A shim for an attempt, if there is one."""
        return self._idle.pop() if self._idle else None

    def want(self, count: int) -> None:
        """There are so many attempts without a shim."""
        self._wanted = count
        self._ask()

    def renew(self) -> None:
        """Let those go that there are, once their attempts have ended: others are to take the next ones."""
        for shim in self._ours.values():
            shim.last = True
        for shim in self._idle:
            shim.close()
        self._idle.clear()
        self._ask()

    def adopt(self, pid: int, pidfd: int) -> Shim:
        """One of an earlier daemon's."""
        return self._watch(Shim(pid, pidfd, None))

    def give_back(self, shim: Shim) -> None:
        """Its attempt has ended: it may have another one."""
        shim.attempt, shim.closed = None, False
        if shim.dead:
            return
        if shim.link is None or shim.last or self._closed:
            shim.close()
        else:
            self._add(shim)

    def _add(self, shim: Shim) -> None:
        self._idle.append(shim)
        if len(self._idle) > SPARE and self._trimming is None:
            self._trimming = asyncio.get_running_loop().call_later(IDLE_S, self._trim)

    def _trim(self) -> None:
        self._trimming = None
        while len(self._idle) > SPARE:
            self._idle.pop(0).close()

    def _ask(self) -> None:
        if self.parent is None or self._later is not None or self._closed:
            return  # whoever comes next asks
        while self._asked < self._wanted + SPARE - len(self._idle):
            try:
                self.parent.link.send(b"shim")
            except BlockingIOError:  # hundreds are on their way: each that comes asks for the rest
                return
            except OSError:
                log.warning("the shims' parent is gone; what is to start waits for the next one")
                return
            self._asked += 1

    def _hear(self, link: socket.socket) -> None:
        while self.parent is not None and link is self.parent.link and self._hear_one(link):
            pass

    def _hear_one(self, link: socket.socket) -> bool:
        """Hear one message; False where there is none."""
        try:
            data, ancillary, _, _ = link.recvmsg(parent.MAX_MESSAGE, socket.CMSG_SPACE(8))
        except BlockingIOError:
            return False
        except OSError:
            data, ancillary = b"", []
        if not data:
            self._unlink()
            return False
        word, _, rest = data.decode().partition(" ")
        if word == "ended":
            pid, _, death = rest.partition(" ")
            shim = self._ours.pop(int(pid), None)
            if shim is not None and shim.attempt is not None:
                self._master.ended(shim.attempt, death)
            return True
        self._asked -= 1
        fds = [int.from_bytes(r[i : i + 4], sys.byteorder) for _, _, r in ancillary for i in range(0, len(r), 4)]
        if word == "forked" and len(fds) == 2:
            ours = socket.socket(fileno=fds[1])
            ours.setblocking(False)
            self._ours[int(rest)] = shim = self._watch(Shim(int(rest), fds[0], ours))
            self._add(shim)
            self._master.free()
            return True
        for fd in fds:
            os.close(fd)
        self._pause(AGAIN_S)
        if self._wanted:
            late = word == "forked"
            self._master.cannot(f"no process can be {'watched: too many open files' if late else f'started: {rest}'}")
        return True

    def _pause(self, seconds: float) -> None:
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._later = None
        self._ask()

    def _watch(self, shim: Shim) -> Shim:
        loop = asyncio.get_running_loop()
        os.set_blocking(shim.pidfd, False)
        loop.add_reader(shim.pidfd, self._gone, shim)
        if shim.link is not None:
            loop.add_reader(shim.link, self._said, shim)
        return shim

    def _said(self, shim: Shim) -> None:
        if shim.link is None:
            return
        try:
            data = shim.link.recv(parent.MAX_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._master.heard(shim, data.decode())
        else:  # its end is told by its pidfd
            asyncio.get_running_loop().remove_reader(shim.link)

    def _gone(self, shim: Shim) -> None:
        shim.dead = True
        while shim.link is not None:  # what it said last
            try:
                data = shim.link.recv(parent.MAX_MESSAGE)
            except OSError:
                break
            if not data:
                break
            self._master.heard(shim, data.decode())
        if shim in self._idle:
            self._idle.remove(shim)
            self._pause(PAUSE_S)  # if the next ones end as this one did, it is not to be all that we do
        shim.close()
        if self.parent is not None:
            self._hear(self.parent.link)
        if shim.attempt is not None:
            self._master.gone(shim)
        self._ask()

    def _unlink(self) -> None:
        if self.parent is not None:
            asyncio.get_running_loop().remove_reader(self.parent.link)
            self.parent.link.close()
            self.parent = None
            self._asked = 0
            self.renew()  # nobody would end what they leave behind
            self._ours.clear()

    def _parent_gone(self, ended: parent.Parent) -> None:
        asyncio.get_running_loop().remove_reader(ended.pidfd)
        os.close(ended.pidfd)
        _, status = os.waitpid(ended.pid, 0)
        self._left.set()
        if self._closed:
            return
        log.error("the shims' parent ended with %s: starting another", os.waitstatus_to_exitcode(status))
        if self.parent is ended:
            self._unlink()
        self._respawn = asyncio.create_task(self._start_again())

    async def _start_again(self) -> None:
        while not self._closed:
            try:
                await self.open()
                return
            except OSError as error:
                log.error("the shims' parent cannot be started: %s", error.strerror)
                await asyncio.sleep(AGAIN_S)
