"""The people of a story: threads that queue jobs, change their minds, and write down what they were told."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from labsched.core.model import JobSpec
from labsched.core.states import Outcome, State
from labsched.errors import BadRequest, LabschedError, NoDaemon, TryLater
from labsched.wire.client import Client
from labsched.wire.events import Events
from labsched.wire.messages import Event, Job, JobRow, Jobs, Pools, Status, Submitted
from labsched.wire.requests import PoolSet, Submit, Verb
from tests.chaos.jobs import LARGEST, POOLS, batch
from tests.chaos.place import Place

T = TypeVar("T")
YES, NO, NOBODY = "yes", "no", "no answer"
VERBS = ("cancel", "hold", "release", "release", "retry", "retry")
AGAIN_S = 0.05
LIVE = 14  # jobs of one person that have not ended; then they wait
TOLD = 60.0  # seconds that one may be without any answer


@dataclass(slots=True)
class Said:
    """What somebody asked for and was told: `answer` is YES, NO (refused) or NOBODY; times are monotonic."""

    who: str
    what: str  # submit, cancel, hold, release, retry, pool
    asked: float
    answered: float
    answer: str
    jobs: tuple[JobSpec, ...] = ()  # of a submit
    numbers: tuple[int, ...] = ()
    pool: tuple[str, int | None, bool | None] | None = None  # name, slots, paused
    sentence: str = ""


@dataclass
class Person:
    """Somebody with jobs of their own. `admin` changes the pools, too."""

    name: str
    place: Place
    random: Random
    admin: bool = False
    said: list[Said] = field(default_factory=list)
    trouble: BaseException | None = None
    mine: list[int] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)
    batches: int = 0

    def live(self, stop: threading.Event) -> None:
        """Go on until it is time to stop."""
        try:
            while not stop.is_set():
                self._act()
                stop.wait(self.random.uniform(0.0, 0.25))
        except BaseException as error:
            self.trouble = error

    def _act(self) -> None:
        rows = self._rows()
        if rows is None:
            time.sleep(AGAIN_S)
            return
        live = sum(row.state != State.ENDED for row in rows)
        good = {row.id for row in rows if row.outcome in (None, Outcome.SUCCEEDED)}
        verbs = [
            verb for verb in ("cancel", "hold", "release", "release", "retry", "retry") if self._wanted(verb, rows)
        ]
        what = self.random.choice(["submit"] * 4 * (live < LIVE) + verbs + ["look"] + ["pool"] * 2 * self.admin)
        if what == "submit":
            self._submit([number for number in self.mine if number in good])
        elif what == "pool":
            self._pool()
        elif what == "look":
            self._look()
        else:
            self._verb(what, self.random.choice(self._wanted(what, rows)))

    def _wanted(self, verb: str, rows: list[JobRow]) -> list[int]:
        """The jobs that one may have a reason to do this to."""
        later = [row.id for row in rows if row.state == State.WAITING and "labsched retry" in row.why]
        ended = [row for row in rows if row.state == State.ENDED]
        running = [row.id for row in rows if row.state == State.RUNNING]
        again = {Outcome.FAILED, Outcome.LOST, Outcome.TIMED_OUT}
        return {
            "cancel": running or [row.id for row in rows if row.state != State.ENDED],
            "hold": [row.id for row in rows if row.state != State.ENDED and not row.held],
            "release": [row.id for row in rows if row.held],
            "retry": later + [row.id for row in ended if row.outcome in again and row.id not in self.cancelled],
        }[verb]

    # -- asking ------------------------------------------------------------------------------------------------------

    def _submit(self, before: list[int]) -> None:
        self.batches += 1
        place = self.place
        jobs = batch(self.random, self.name, self.batches, place.journal, place.mark, before[-10:])
        said, answer = self._ask("submit", lambda c: c.post("jobs", Submit(jobs), Submitted), jobs=jobs)
        if answer is not None:
            said.numbers = tuple(ref.id for ref in answer.jobs)
            self.mine += said.numbers

    def _verb(self, what: str, number: int) -> None:
        """Ask until there is an answer; who cancels may leave it at that, for it may be in the queue already."""
        if what == "cancel":
            self.cancelled.add(number)
        end = time.monotonic() + TOLD
        while time.monotonic() < end:
            body = Verb(jobs=(str(number),), reason="chaos" if what == "cancel" else None)
            said, _ = self._ask(what, lambda c, body=body: c.post(f"jobs/{what}", body, Jobs), numbers=(number,))
            if said.answer != NOBODY or (what == "cancel" and self.random.random() < 0.5):
                return
            time.sleep(AGAIN_S)

    def _pool(self) -> None:
        name = self.random.choice(list(POOLS))
        slots = self.random.choice((LARGEST[name], POOLS[name], POOLS[name], 1))
        paused = self.random.choice((None, None, None, True, False, False))
        body = PoolSet(slots=slots, paused=paused)
        self._ask("pool", lambda c: c.post(f"pools/{name}", body, Pools), pool=(name, slots, paused))

    def _look(self) -> None:
        if self.mine:
            number = self.random.choice(self.mine)
            self._ask("look", lambda c: c.get("job", Job, ref=number))

    def _rows(self) -> list[JobRow] | None:
        """This person's jobs: those that have not ended, and those that ended lately."""
        try:
            rows = self.place.client.get("status", Status, limit=1000).jobs
        except LabschedError:
            return None
        mine = set(self.mine)
        return [row for row in rows if row.id in mine]

    def _ask(self, what: str, ask: Callable[[Client], T], **more: Any) -> tuple[Said, T | None]:
        said = Said(self.name, what, time.monotonic(), 0.0, YES, **more)
        answer: T | None = None
        try:
            answer = ask(self.place.client)
        except NoDaemon as error:
            said.answer, said.sentence = NOBODY, str(error)
        except TryLater as error:
            # Nothing was queued, unless nobody said so; another verb may have been begun.
            silent = "does not answer" in str(error) or what != "submit"
            said.answer, said.sentence = NOBODY if silent else NO, str(error)
        except BadRequest as error:
            allowed = what == "submit" and "slot" in str(error)
            if not allowed:
                raise
            said.answer, said.sentence = NO, str(error)
        except LabschedError as error:
            said.answer, said.sentence = NO, str(error)
            if "defect" in str(error) or "went wrong" in str(error):
                raise
        said.answered = time.monotonic()
        self.said.append(said)
        return said, answer


@dataclass
class Watcher:
    """Somebody who follows all events, through whatever happens to the daemon."""

    place: Place
    heard: list[Event] = field(default_factory=list)
    trouble: BaseException | None = None

    def live(self, stop: threading.Event) -> None:
        events = Events(self.place.client, follow=True, after=0)
        try:
            while not stop.is_set():
                try:
                    for event in events:
                        self.heard.append(event)
                except (NoDaemon, TryLater):
                    time.sleep(AGAIN_S)
        except BaseException as error:
            self.trouble = error
