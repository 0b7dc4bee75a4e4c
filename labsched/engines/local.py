"""The engine of this machine: attempts, each with a shim that stands by it, and is found again by its lock."""

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from labsched import wall
from labsched.core.model import Began, Ended, Returned
from labsched.core.states import Outcome
from labsched.engines import ends, left, processes, rundir
from labsched.engines.base import Look, Order, Tell
from labsched.engines.cgroups import Group
from labsched.engines.shims import AGAIN_S, Shim, Shims
from labsched.engines.spec import Settings, encoded, spec
from labsched.engines.tree import RECALL
from labsched.faults import point

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_LAUNCHES = 3
FEW = 2  # attempts ahead of a shim: it is time for more
MANY = 4096  # attempts: far more than end while a turn is written down
SWEEP_S = 0.02  # between looks whether what was killed is gone
DEATH_S = 0.2  # for the shims' parent to tell how a shim ended


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
        self._tell = tell
        self._boot_id = boot_id
        self._settings = Settings(grace, nice, as_submitter, umask, limits or {}, log_size)
        self._memory = processes.Memory()
        self._orders: dict[int, Order] = {}  # attempts that have not ended, as far as we know
        self._queue: deque[Order] = deque()  # those that wait for a shim
        self._running: dict[int, Shim] = {}  # those that have one
        self._ahead: dict[int, Shim] = {}  # those that a shim has got too, to follow another one
        self._over: deque[int] = deque(maxlen=MANY)  # those that have ended: their followers have their slots
        self._stopping: set[int] = set()
        self._launches: dict[int, int] = {}  # how many shims each had
        self._deaths: dict[int, str] = {}  # how the last shim ended of those that have not begun; "": nobody knows
        self._waiting: dict[int, asyncio.TimerHandle] = {}  # attempts that are tried again soon
        self._stuck: dict[str, str] = {}  # why, by folder
        self._sweeps: dict[int, asyncio.Task[None]] = {}  # attempts whose shim was killed, while its stage is ended
        self._looking = asyncio.Lock()  # at all of the machine's processes: one at a time
        self._shims = Shims(self, name or f"labsched-{os.urandom(4).hex()}")

    async def open(self) -> None:
        """Start the shims' parent."""
        await self._shims.open()

    @property
    def unfenced(self) -> str | None:
        """See `base.Engine`."""
        return self._shims.fences.why

    async def close(self) -> None:
        """Let the shims go; those that have an attempt stay until its end."""
        running = bool(self._running)
        for sweep in self._sweeps.values():
            sweep.cancel()
        await asyncio.gather(*self._sweeps.values(), return_exceptions=True)
        for shim in self._running.values():
            if shim.ahead:
                shim.recall()  # the next daemon starts them
            shim.close()
        for attempt in {*self._running, *self._ahead, *self._waiting}:
            self._forget(attempt)
        self._queue.clear()
        await self._shims.close(wait=not running)

    def launch(self, order: Order) -> None:
        """See `base.Engine`."""
        if order.attempt in self._orders:
            return None
        self._orders[order.attempt] = order
        if self._settings.as_submitter and order.uid is None:
            return self._end(order, "nobody knows who submitted it, so it cannot run as them")
        if self._must_follow(order):
            return self._follow(order)
        return self._line_up(order)

    def _must_follow(self, order: Order) -> bool:
        return order.behind is not None and order.behind not in self._over

    def _follow(self, order: Order) -> None:
        """Hand it to the shim of the one that it is behind; where that may take long, it is given back."""
        shim = self._running.get(order.behind or 0) or self._ahead.get(order.behind or 0)
        if shim is None or shim.link is None or shim.closed or shim.dead or shim.last:
            return self._return(order)
        if order.behind != (shim.ahead[-1] if shim.ahead else shim.attempt):
            return self._return(order)
        try:
            self._send(order, shim, order.behind)
        except OSError:
            return self._return(order)
        shim.ahead.append(order.attempt)
        self._ahead[order.attempt] = shim
        return None

    def _send(self, order: Order, shim: Shim, behind: int | None = None) -> None:
        shim.send(encoded(spec(order, self._settings, self._shims.fences, behind)))
        self._launches[order.attempt] = self._launches.get(order.attempt, 0) + 1
        point("attempt.asked", order.folder)

    def _return(self, order: Order, *, barred: bool = False) -> None:
        self._forget(order.attempt)
        self._tell(Returned(order.attempt, wall.now(), barred))

    def _line_up(self, order: Order) -> None:
        self._queue.append(order)
        self.free()

    def adopt(self, order: Order) -> None:
        """See `base.Engine`."""
        self._orders[order.attempt] = order
        self._find(order)

    def stop(self, attempt: int) -> None:
        """See `base.Engine`."""
        self._stopping.add(attempt)
        if (shim := self._running.get(attempt) or self._ahead.get(attempt)) is not None:
            self._stop(shim)
        elif (order := self._orders.get(attempt)) is not None:
            self._queue = deque(one for one in self._queue if one.attempt != attempt)
            self._find(order)

    def _stop(self, shim: Shim) -> None:
        """Stop what a shim does now, where that is to be; not before it is certain that this is what it does."""
        if shim.ahead:
            shim.recall()
        elif shim.attempt in self._stopping:
            shim.stop()

    def configure(self, grace: float, nice: int, log_size: int | None) -> None:
        """See `base.Engine`."""
        if nice != self._settings.nice:
            self._shims.renew()
        self._settings = replace(self._settings, grace=grace, nice=nice, log_size=log_size)

    def look(self, folder: str, *, memory: bool = True) -> Look:
        """See `base.Engine`."""
        fraction, note = rundir.progress(folder)
        started = rundir.record(folder).started
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

    def free(self) -> None:
        """See `shims.Master`."""
        while self._queue and (shim := self._shims.take()) is not None:
            self._hand(self._queue.popleft(), shim)
        self._shims.want(len(self._queue))

    def heard(self, shim: Shim, words: str) -> None:
        """See `shims.Master`."""
        word, number, *rest = words.split(" ", 2)
        order = self._orders.get(int(number))
        if word == "aside":
            log.warning("%s was there before its attempt: it is %s now", order and order.folder, " ".join(rest))
            return
        if word == "began":
            if shim.ahead:
                shim.recall()
            shim.closed = True
            if order is not None:
                self._began(order, float(rest[0].partition(" ")[0]))
            return
        self._done_with(int(number), shim)
        if order is None:
            pass
        elif word == "back":
            self._return(order)
        elif word == "stuck":
            self._launches.pop(order.attempt, None)  # not the shim's fault, so this one does not count
            self._later(order, *rest)
        elif word == "ended" and rest:
            self._settle(order, rest[0].encode(), followed=len(shim.ahead) >= FEW)
        else:
            self._find(order)
        self.free()

    def _done_with(self, attempt: int, shim: Shim) -> None:
        """A shim has this attempt no more."""
        self._running.pop(attempt, None)
        if self._ahead.pop(attempt, None) is not None:
            shim.ahead.remove(attempt)
        elif (following := shim.go_on()) is not None:
            shim.closed = False
            self._running[following] = self._ahead.pop(following)
        else:
            self._shims.give_back(shim)
        if self._stopping and shim.attempt is not None:
            self._stop(shim)

    def gone(self, shim: Shim) -> None:
        """See `shims.Master`."""
        assert shim.attempt is not None
        if self._running.get(shim.attempt) is not shim:
            return
        order = self._orders[shim.attempt]
        del self._running[order.attempt]
        for attempt in shim.ahead:
            del self._ahead[attempt]
            self._return(self._orders[attempt])
        point("shim.gone", order.folder)
        self._find(order)

    def ended(self, attempt: int, death: str) -> None:
        """See `shims.Master`."""
        if attempt in self._orders:
            self._deaths[attempt] = death

    def cannot(self, why: str) -> None:
        """See `shims.Master`."""
        self._have_trouble(why)

    def _hand(self, order: Order, shim: Shim) -> None:
        try:
            self._send(order, shim)
        except ConnectionError:  # it has just ended
            self._queue.appendleft(order)
            return
        except OSError as error:
            self._shims.give_back(shim)
            self._later(order, f"no attempt can be handed to its shim: {error.strerror}")
            return
        self._run(order, shim)
        if not self._waiting:
            self.trouble = None

    def _began(self, order: Order, at: float) -> None:
        self._stuck.pop(order.folder, None)
        if not self._waiting:
            self.trouble = None
        self._tell(Began(order.attempt, at))

    def _run(self, order: Order, shim: Shim) -> None:
        shim.attempt = order.attempt
        self._running[order.attempt] = shim

    def _later(self, order: Order, trouble: str) -> None:
        self._have_trouble(trouble)
        self._stuck[order.folder] = trouble
        if order.attempt not in self._waiting:
            self._waiting[order.attempt] = asyncio.get_running_loop().call_later(AGAIN_S, self._find, order)

    def _have_trouble(self, trouble: str) -> None:
        if self.trouble is None:
            log.error("%s; it is tried again every %g s", trouble, AGAIN_S)
        self.trouble = trouble

    def _find(self, order: Order) -> None:
        if (timer := self._waiting.pop(order.attempt, None)) is not None:
            timer.cancel()
        try:
            self._find_now(order)
        except OSError as error:
            self._later(order, f"{order.folder} cannot be read: {error.strerror}")

    def _find_now(self, order: Order) -> None:
        """Look at an attempt's folder and do what it asks for: watch, tell the end, or start what never began."""
        begun = rundir.record(order.folder).begun
        pid = rundir.holder(order.folder)
        if pid:
            try:
                pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                return self._find_now(order)  # it ended just now
            if begun and "opened" in begun:  # else it is of a time when nothing followed
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, RECALL)
            if rundir.holder(order.folder) != pid:  # so the pidfd may be a stranger's, or it does what followed
                os.close(pidfd)
                return self._find_now(order)
            self._run(order, self._shims.adopt(pid, pidfd))
            if order.attempt in self._stopping:
                self._running[order.attempt].stop()
            return self._see_begin(order)
        said = rundir.record(order.folder)
        if said.ended is not None:
            return self._settle(order, said.ended)
        if said.begun is None and (said.barred is not None or self._must_follow(order)):
            # A shim of an earlier daemon may come to it; or one barred it, and could not write down that it did.
            if not rundir.bar(order.folder, self._settings.as_submitter, order.opened):
                return self._find_now(order)
            return self._return(order, barred=True)
        if order.boot_id != self._boot_id:
            return self._end(order, "the machine was rebooted while it ran", Outcome.LOST)
        if said.begun is not None:
            if begun is None:  # it may have begun, and hold the lock, since we looked at that
                return self._find_now(order)
            if order.attempt not in self._sweeps:
                self._sweeps[order.attempt] = asyncio.create_task(self._sweep(order))
            return None
        stopping = order.attempt in self._stopping
        if not stopping and self._launches.get(order.attempt, 0) < MAX_LAUNCHES:
            return self._line_up(order)
        if not stopping and order.attempt not in self._deaths:
            self._deaths[order.attempt] = ""
            self._waiting[order.attempt] = asyncio.get_running_loop().call_later(DEATH_S, self._find, order)
            return None
        # A shim that an earlier parent forked may still be on its way to the lock.
        if not rundir.bar(order.folder, self._settings.as_submitter, order.opened):
            return self._find_now(order)
        if stopping:
            return self._end(order, None, Outcome.CANCELLED)
        return self._end(order, ends.never_began(MAX_LAUNCHES, self._deaths[order.attempt]))

    def _see_begin(self, order: Order, pause: float = 0.05) -> None:
        """Tell when an attempt began whose shim tells nobody; it writes that down a moment after the command began."""
        if order.attempt not in self._running:
            return
        started = rundir.record(order.folder).started
        if started is not None:
            self._began(order, started["started"])
        else:
            asyncio.get_running_loop().call_later(pause, self._see_begin, order, 2 * pause)

    def _settle(self, order: Order, ended: bytes | dict[str, Any], *, followed: bool = False) -> None:
        self._forget(order.attempt)
        self._over.append(order.attempt)
        self._tell(ends.fact(order, ended, followed=followed))

    async def _sweep(self, order: Order) -> None:
        """End what a killed shim has left, for as long as it lives the slot is not free; then tell that it is lost."""
        try:
            told = spec(order, self._settings, self._shims.fences)
            tree = left.of(rundir.record(order.folder).begun or {**told, "group": None})
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
        started = rundir.record(order.folder).started
        self._forget(order.attempt)
        self._over.append(order.attempt)
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
        self._running.pop(attempt, None)
        self._ahead.pop(attempt, None)
