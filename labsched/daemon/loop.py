"""The loop: wake, read, plan, act.

Whatever happens (a stage ended, a job was queued, a pool grew) ends in `wake`. One turn records all that was heard in
the meantime, decides, and writes down what is to start, in one transaction; only then it is started. A daemon that
dies in between finds the intent in the database, and the truth in the attempts' folders.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from labsched.core.model import Began, Ended, Fact
from labsched.core.spare import variables
from labsched.daemon.bus import Bus
from labsched.daemon.clock import Clock
from labsched.engines.base import Engine, Order
from labsched.errors import TryLater
from labsched.faults import point
from labsched.store import attempts
from labsched.store.engine import Store
from labsched.store.lines import HEADS

log = logging.getLogger(__name__)
LONGEST_SLEEP_S = 60.0  # until somebody looks whether wall time was stepped past the time that a stage waits for
NEWS_S = 0.02  # after which it is written down at the latest what lets nothing start
AGAIN_S = 1.0  # until the next try when the database cannot be written


class Loop:
    """Starts what may start, until it is told to drain."""

    def __init__(self, store: Store, bus: Bus, clock: Clock, folder: Path) -> None:
        self.store = store
        self.bus = bus
        self.clock = clock
        self.folder = folder  # of the attempts
        self._attempts = str(folder)
        self.draining = False
        self.shares: Callable[[], Mapping[str, int]] = dict  # slots by pool that one person may hold at a time
        self.engine: Engine | None = None  # it needs our `tell`, and we need it
        self.trouble: str | None = None  # why nothing starts, where that is our own fault
        self._heard: list[Fact] = []
        self._news: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._awake = asyncio.Event()
        self._asked: tuple[list[Fact], asyncio.Future[attempts.Turn]] | None = None  # the turn that is under way
        self._running = False

    def tell(self, fact: Fact) -> None:
        """Hear of something that happened to an attempt."""
        self._heard.append(fact)
        if not isinstance(fact, Began) and not (isinstance(fact, Ended) and fact.followed):
            self.wake()
        elif self._news is None:  # it can be written down along with what comes next
            self._news = asyncio.get_running_loop().call_later(NEWS_S, self.wake)

    def wake(self) -> None:
        """Have a turn soon."""
        self._awake.set()

    def follow(self) -> None:
        """Have a turn right after what was given to the store just now."""
        if self._running and self._asked is None:
            self._asked = self._ask()
        self.wake()

    async def adopt(self) -> None:
        """Find the attempts of an earlier daemon again."""
        assert self.engine is not None
        for attempt in await self.store.read(attempts.open_attempts):
            if attempt.stopping:
                self.engine.stop(attempt.id)
            self.engine.adopt(self._order(attempt))
            point("adopt.next", attempt.folder)

    async def run(self) -> None:
        """Turn after turn, for ever; ends by being cancelled."""
        self.wake()
        self._running = True
        try:
            while True:
                await self._awake.wait()
                self._awake.clear()
                await self.turn()
        finally:
            self._running = False

    async def last(self) -> None:
        """Record what was heard last."""
        if self._asked is not None:
            await self.turn()
        await self.turn()

    def _ask(self) -> "tuple[list[Fact], asyncio.Future[attempts.Turn]]":
        facts, self._heard = self._heard, []
        if facts:
            point("fact.heard", facts)
        if self._news is not None:
            self._news.cancel()
            self._news = None
        now, boot_id = self.clock.now(), self.clock.boot_id()
        try:
            answer = self.store.write.put(attempts.step, facts, now, boot_id, drain=self.draining, shares=self.shares())
        except TryLater as error:
            answer = asyncio.get_running_loop().create_future()
            answer.set_exception(error)
        return facts, answer

    async def turn(self) -> None:
        """One turn."""
        assert self.engine is not None
        self._asked = self._asked or self._ask()
        facts, answer = self._asked
        try:
            turn = await answer
        except TryLater as error:
            self._heard = facts + self._heard
            if self.trouble is None:
                log.error("nothing starts for now: %s", error)
            self.trouble = str(error)
            asyncio.get_running_loop().call_later(AGAIN_S, self.wake)
            return
        finally:
            self._asked = None
        self.trouble = None
        if facts:
            point("fact.committed", facts)
        for attempt in turn.opened:
            point("attempt.opened", attempt.folder)
            self.engine.launch(self._order(attempt))
        if len(turn.opened) >= HEADS:
            self.wake()  # a line of stages that need nothing may have more than one snapshot shows
        if turn.opened or facts:
            self.bus.changed()
        self._set_alarm(turn.next_at)

    def _set_alarm(self, at: float | None) -> None:
        """Have a turn when the next stage's time has come; wall time may have been stepped by then, so look again."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if at is not None:
            left = min(max(at - self.clock.now(), 0.0), LONGEST_SLEEP_S)
            self._alarm = asyncio.get_running_loop().call_later(left, self.wake)

    def _order(self, attempt: attempts.Open) -> Order:
        env = attempt.env | {
            "LABSCHED_JOB": str(attempt.job),
            "LABSCHED_STAGE": attempt.stage_name,
            "LABSCHED_ATTEMPT": str(attempt.number),
            **variables(attempt.slots),
        }
        return Order(
            attempt=attempt.id,
            folder=f"{self._attempts}/{attempt.folder}",
            argv=attempt.argv,
            cwd=attempt.cwd,
            env=env,
            outputs=attempt.outputs,
            time_limit=attempt.time_limit,
            memory=attempt.memory,
            boot_id=attempt.boot_id,
            opened=attempt.opened,
            behind=attempt.behind,
            uid=attempt.uid,
            user=attempt.user,
            said=attempt.said,
            limits=attempt.limits,
        )
