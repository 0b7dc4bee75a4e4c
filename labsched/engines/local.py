"""The engine of this machine: shims, forked by a warm parent, watched through pidfds and found again by their locks."""

import asyncio
import contextlib
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from labsched import wall
from labsched.core.model import Began, Ended
from labsched.core.states import Outcome
from labsched.engines import ends, left, parent, processes, rundir
from labsched.engines.base import Look, Order, Tell
from labsched.engines.cgroups import Group
from labsched.engines.fences import Fences
from labsched.faults import point

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_LAUNCHES = 3
SWEEP_S = 0.02  # between looks whether what was killed is gone
DEATH_S = 0.2  # for the shims' parent to tell how a shim ended
UMASK = "LABSCHED_UMASK"  # the submitter's, octal, in the environment that a job takes along
AGAIN_S = 1.0  # until the next try of what failed for want of room, memory or descriptors


class Local:
    """See `base.Engine`. `grace` is the time in seconds between TERM and KILL, `nice` the stages' niceness.

    With `as_submitter`, each stage runs as the user of its `Order`. `umask`: that of all stages, None for each
    submitter's own. `limits`: resource limits of the stages, as `resource.setrlimit` takes them; with `as_submitter`
    those of the `Order` go before them. `log_size`: bytes of a
    log, None for any number. `name`: of the attempts' cgroups; no other daemon on this machine has the same.
    """

    def __init__(
        self,
        tell: Tell,
        *,
        boot_id: str,
        grace: float = 10.0,
        nice: int = 0,
        as_submitter: bool = False,
        umask: int | None = None,
        limits: Mapping[int, tuple[int, int]] | None = None,
        log_size: int | None = None,
        name: str | None = None,
    ) -> None:
        self.trouble: str | None = None
        self._fences = Fences(why="the shims' parent has not started yet")
        self._name = name or f"labsched-{os.urandom(4).hex()}"
        self._tell = tell
        self._boot_id = boot_id
        self._grace = grace
        self._nice = nice
        self._as_submitter = as_submitter
        self._umask = umask
        self._limits = [[number, list(pair)] for number, pair in (limits or {}).items()]
        self._log_size = log_size
        self._memory = processes.Memory()
        self._orders: dict[int, Order] = {}  # attempts that have not ended, as far as we know
        self._shims: dict[int, int] = {}  # their shims' pidfds
        self._stopping: set[int] = set()
        self._launches: dict[int, int] = {}  # how many shims each had
        self._deaths: dict[int, str] = {}  # how the last shim ended of those that have not begun; "": nobody knows
        self._waiting: dict[int, asyncio.TimerHandle] = {}  # attempts that are tried again soon
        self._stuck: dict[str, str] = {}  # why, by folder
        self._sweeps: dict[int, asyncio.Task[None]] = {}  # attempts whose shim was killed, while its stage is ended
        self._looking = asyncio.Lock()  # at all of the machine's processes: one at a time
        self._link: socket.socket | None = None
        self._parent: asyncio.subprocess.Process | None = None
        self._respawn: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Start the shims' parent."""
        self._parent, self._link, self._fences = await parent.start(self._name)
        asyncio.get_running_loop().add_reader(self._link, self._hear)
        self._respawn = asyncio.create_task(self._again(self._parent))

    @property
    def unfenced(self) -> str | None:
        """See `base.Engine`."""
        return self._fences.why

    async def close(self) -> None:
        """Let the parent of the shims go; the shims stay."""
        self._closed = True
        for sweep in self._sweeps.values():
            sweep.cancel()
        await asyncio.gather(*self._sweeps.values(), return_exceptions=True)
        for attempt in {*self._shims, *self._waiting}:
            self._forget(attempt)
        while self._respawn is not None:  # one that is just being replaced leaves another
            respawn, self._respawn = self._respawn, None
            self._unlink()
            await respawn

    def launch(self, order: Order) -> None:
        """See `base.Engine`."""
        self._orders[order.attempt] = order
        if self._as_submitter and order.uid is None:
            return self._end(order, "nobody knows who submitted it, so it cannot run as them")
        try:
            rundir.make(order.folder, open_to_all=self._as_submitter)
            point("attempt.made", order.folder)
            rundir.write(order.folder, rundir.SPEC, self._spec(order))
        except OSError as error:
            # Not the job's fault: to fail it would empty the whole queue into a full disk.
            return self._later(order, f"{order.folder} cannot be written: {error.strerror}")
        point("attempt.specified", order.folder)
        return self._ask(order)

    def adopt(self, order: Order) -> None:
        """See `base.Engine`."""
        self._orders[order.attempt] = order
        self._find(order)

    def stop(self, attempt: int) -> None:
        """See `base.Engine`."""
        self._stopping.add(attempt)
        if attempt in self._waiting:
            return self._find(self._orders[attempt])
        shim = self._shims.get(attempt)
        if shim is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(shim, signal.SIGTERM)
        return None

    def configure(self, grace: float, nice: int, log_size: int | None) -> None:
        """See `base.Engine`."""
        self._grace, self._nice, self._log_size = grace, nice, log_size

    def look(self, folder: str, *, memory: bool = True) -> Look:
        """See `base.Engine`."""
        fraction, note = rundir.progress(folder)
        started = rundir.read(folder, rundir.STARTED)
        if started is None:
            return Look(fraction, note, stuck=self._stuck.get(folder))
        held = self._held(folder, started) if memory else None
        return Look(fraction, note, held, started["pid"], started.get("unfenced"))

    def _held(self, folder: str, started: dict[str, Any]) -> int | None:
        if group := started.get("group"):
            with contextlib.suppress(OSError, KeyError):
                return Group(*group).taken().held
        shim = rundir.holder(folder)
        return self._memory.below(shim) if shim else None

    def _ask(self, order: Order) -> None:
        if order.attempt not in self._orders:
            return  # it was cancelled meanwhile
        message = os.fsencode(f"{order.attempt} {order.folder}")
        if len(message) > parent.MAX_MESSAGE:
            self._end(order, "the path of the state folder is too long")
            return
        if self._link is None:  # the shims' parent died: the next one is asked
            return
        try:
            self._link.send(message)
            point("attempt.asked", order.folder)
        except BlockingIOError:  # hundreds are on their way: after them
            asyncio.get_running_loop().call_later(0.01, self._ask, order)
        except OSError:
            log.warning("the shims' parent is gone; attempt %s waits for the next one", order.attempt)

    def _hear(self) -> None:
        while self._link is not None and self._hear_one(self._link):
            pass

    def _hear_one(self, link: socket.socket) -> bool:
        """Hear one message; False where there is none."""
        try:
            data, ancillary, _, _ = link.recvmsg(parent.MAX_MESSAGE, socket.CMSG_SPACE(4))
        except BlockingIOError:
            return False
        except OSError:
            data, ancillary = b"", []
        if not data:
            self._unlink()
            return False
        pidfds = [int.from_bytes(rights, sys.byteorder) for _, _, rights in ancillary]
        word, number, *rest = data.decode().split(" ", 3)
        order = self._orders.get(int(number))
        if order is None:
            for pidfd in pidfds:
                os.close(pidfd)
        elif word == "forked" and pidfds:
            self._launches[order.attempt] = self._launches.get(order.attempt, 0) + 1
            self._watch(order, pidfds[0])
        elif word == "forked":
            self._later(order, "no process can be watched: too many open files")
        elif word == "began":
            self._began(order, float(rest[0]))
        elif word == "died":
            self._deaths[order.attempt] = " ".join(rest)
        elif word == "stuck":  # not the shim's fault, so this one does not count
            self._launches.pop(order.attempt, None)
            self._later(order, f"{order.folder} cannot be written: {' '.join(rest)}")
        elif word == "failed":
            self._later(order, f"no process can be started: {' '.join(rest)}")
        return True

    def _watch(self, order: Order, pidfd: int) -> None:
        os.set_blocking(pidfd, False)
        self._drop_shim(order.attempt)
        self._shims[order.attempt] = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._gone, order)
        if order.attempt in self._stopping:
            self.stop(order.attempt)

    def _began(self, order: Order, at: float) -> None:
        self._stuck.pop(order.folder, None)
        if not self._waiting:
            self.trouble = None
        self._tell(Began(order.attempt, at))

    def _gone(self, order: Order) -> None:
        self._drop_shim(order.attempt)
        point("shim.gone", order.folder)
        self._hear()  # what it said last
        if order.attempt not in self._waiting:
            self._find(order)

    def _later(self, order: Order, trouble: str) -> None:
        if self.trouble is None:
            log.error("%s; it is tried again every %g s", trouble, AGAIN_S)
        self.trouble = self._stuck[order.folder] = trouble
        if order.attempt not in self._waiting:
            self._waiting[order.attempt] = asyncio.get_running_loop().call_later(AGAIN_S, self._find, order)

    def _find(self, order: Order) -> None:
        if (timer := self._waiting.pop(order.attempt, None)) is not None:
            timer.cancel()
        try:
            self._find_now(order)
        except OSError as error:
            self._later(order, f"{order.folder} cannot be read: {error.strerror}")

    def _find_now(self, order: Order) -> None:
        """Look at an attempt's folder and do what it asks for: watch, tell the end, or start what never began."""
        # Looked at before the lock: whoever has begun held it by then, so one that is free is so for good.
        begun = rundir.has_begun(order.folder)
        pid = rundir.holder(order.folder)
        if pid:
            try:
                pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                return self._find_now(order)  # it ended just now
            if rundir.holder(order.folder) != pid:  # so the pidfd may be a stranger's
                os.close(pidfd)
                return self._find_now(order)
            started = rundir.read(order.folder, rundir.STARTED)
            if started is not None:
                self._began(order, started["started"])
            return self._watch(order, pidfd)
        ended = rundir.read(order.folder, rundir.EXIT)
        if ended is not None:
            self._forget(order.attempt)
            return self._tell(ends.fact(order, ended))
        if order.boot_id != self._boot_id:
            return self._end(order, "the machine was rebooted while it ran", Outcome.LOST)
        if begun:
            if order.attempt not in self._sweeps:
                self._sweeps[order.attempt] = asyncio.create_task(self._sweep(order))
            return None
        stopping = order.attempt in self._stopping
        if not stopping and self._launches.get(order.attempt, 0) < MAX_LAUNCHES:
            return self.launch(order)
        if not stopping and order.attempt not in self._deaths:
            self._deaths[order.attempt] = ""
            self._waiting[order.attempt] = asyncio.get_running_loop().call_later(DEATH_S, self._find, order)
            return None
        # A shim that an earlier parent forked may still be on its way to the lock.
        if not rundir.bar(order.folder):
            return self._find_now(order)
        if stopping:
            return self._end(order, None, Outcome.CANCELLED)
        return self._end(order, ends.never_began(MAX_LAUNCHES, self._deaths[order.attempt]))

    async def _sweep(self, order: Order) -> None:
        """End what a killed shim has left, for as long as it lives the slot is not free; then tell that it is lost."""
        try:
            spec = rundir.read(order.folder, rundir.SPEC) or self._spec(order)
            tree = left.of(spec, rundir.read(order.folder, rundir.STARTED))
            while await self._aside(tree.end):
                await asyncio.sleep(SWEEP_S)
            point("lost.swept", order.folder)
            known = await self._aside(tree.reckon)
            self._end(order, "its shim was killed, so nobody knows how it ended", Outcome.LOST, **known)
        except OSError as error:
            self._later(order, f"what is left of {order.folder} cannot be ended: {error.strerror}")
        finally:
            self._sweeps.pop(order.attempt, None)

    async def _aside(self, look: Callable[[], T]) -> T:
        async with self._looking:
            return await asyncio.to_thread(look)

    def _end(self, order: Order, reason: str | None, outcome: Outcome = Outcome.FAILED, **known: Any) -> None:
        started = rundir.read(order.folder, rundir.STARTED)
        self._forget(order.attempt)
        began = started["started"] if started else None
        self._tell(Ended(order.attempt, wall.now(), outcome, reason, began=began, **known))

    def _forget(self, attempt: int) -> None:
        if (order := self._orders.pop(attempt, None)) is not None:
            self._stuck.pop(order.folder, None)
        self._launches.pop(attempt, None)
        self._deaths.pop(attempt, None)
        self._stopping.discard(attempt)
        if (timer := self._waiting.pop(attempt, None)) is not None:
            timer.cancel()
        if not self._waiting:
            self.trouble = None
        self._drop_shim(attempt)

    def _drop_shim(self, attempt: int) -> None:
        pidfd = self._shims.pop(attempt, None)
        if pidfd is not None:
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)

    def _unlink(self) -> None:
        if self._link is not None:
            asyncio.get_running_loop().remove_reader(self._link)
            self._link.close()
            self._link = None

    async def _again(self, process: asyncio.subprocess.Process) -> None:
        """Replace the shims' parent should it die, and ask the new one for what the old one did not do."""
        code = await process.wait()
        if self._closed:
            return
        log.error("the shims' parent ended with %s: starting another", code)
        self._unlink()
        while not self._closed:
            try:
                await self.open()
                break
            except OSError as error:
                log.error("the shims' parent cannot be started: %s", error.strerror)
                await asyncio.sleep(AGAIN_S)
        for attempt, order in list(self._orders.items()):
            if attempt not in self._shims and not self._closed:
                self._find(order)

    def _limits_of(self, order: Order) -> list[list[Any]]:
        if self._as_submitter and order.limits is not None:
            return [[number, list(pair)] for number, pair in enumerate(order.limits)]
        return self._limits

    def _spec(self, order: Order) -> dict[str, Any]:
        env = dict(order.env)
        umask = env.pop(UMASK, "")
        env[left.MARK] = rundir.progress_path(order.folder, own=self._as_submitter)
        group = self._fences.group(order.attempt)
        # On version 1 it may take many milliseconds to enter one: only for what needs it.
        if group is not None and not group.v2 and order.memory is None:
            group = None
        return {
            "argv": list(order.argv),
            "cwd": order.cwd,
            "env": env,
            "said": list(order.said),
            "outputs": list(order.outputs),
            "time_limit": order.time_limit,
            "stop_grace": self._grace,
            "umask": self._umask if self._umask is not None else _mask(umask),
            "nice": self._nice,
            "uid": order.uid if self._as_submitter else None,
            "user": order.user,
            "limits": self._limits_of(order),
            "log_size": self._log_size,
            "memory": order.memory,
            "group": [group.path, group.v2] if group is not None else None,
            "unfenced": self.unfenced if order.memory is not None else None,
        }


def _mask(said: str) -> int:
    """A umask as a submitter's environment has it; 022 where it has none that makes sense."""
    return int(said, 8) if re.fullmatch("[0-7]{1,4}", said) and int(said, 8) <= 0o777 else 0o022
