"""What a lab does all day, much faster: threads that do one thing each, again and again, until the end."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.scheduler.ours import ENV, Queue, Stages, job
from labsched.core.model import JobSpec
from labsched.errors import BadRequest, LabschedError, NotFound, Refused, TryLater
from labsched.wire.client import Client
from labsched.wire.messages import History, Jobs, Reloaded, Status, Submitted
from labsched.wire.requests import Reload, Submit, Verb

DEEP = 300  # jobs that wait: more are not queued meanwhile
PRUNE_S = 20.0  # between two changes of the settings, each of which prunes
KEEP = 400  # ended jobs


class Lab:
    """People at work. `errors` are what no person should see; `done` counts what was done."""

    def __init__(self, it: Queue) -> None:
        self.it = it
        self.done: Counter[str] = Counter()
        self.errors: list[str] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Lab":
        doings: Sequence[tuple[Callable[[Client, random.Random], object], float, int]] = (
            (self.submit, 0.15, 3),  # how often (s), and how many people
            (self.cancel, 1.0, 1),
            (self.retry, 1.5, 1),
            (self.hold, 3.0, 1),
            (self.log, 0.5, 2),
            (self.status, 0.5, 3),
            (self.history, 2.0, 1),
            (self.events, 0.0, 2),
            (self.prune, PRUNE_S, 1),
        )
        seeds = iter(range(100))
        for doing, pause, people in doings:
            for _ in range(people):
                self._threads.append(
                    threading.Thread(target=self._again, args=(doing, pause, random.Random(next(seeds))))
                )
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def _again(self, doing: Callable[[Client, random.Random], object], pause: float, chance: random.Random) -> None:
        client = Client(self.it.client.path, timeout=60)
        while not self._stop.wait(chance.uniform(0, 2 * pause)):
            try:
                doing(client, chance)
                self.done[doing.__name__] += 1
            except (NotFound, Refused, BadRequest):
                self.done["refused"] += 1  # somebody else was faster: it has ended, or is gone
            except LabschedError as error:
                if not self._stop.is_set():
                    self.errors.append(f"{doing.__name__}: {error}")

    def submit(self, client: Client, chance: random.Random) -> None:
        """One to ten jobs: mostly good and short, some fail, some try again, some talk a lot, few take long."""
        if client.get("status", Status, limit=1).counts.waiting < DEEP:
            jobs = tuple(_job(chance) for _ in range(chance.choice((1, 1, 1, 2, 10))))
            self.done["jobs"] += len(client.post("jobs", Submit(jobs, ENV), Submitted).jobs)

    def cancel(self, client: Client, chance: random.Random) -> None:
        """Something that waits or runs."""
        self._verb(client, "cancel", chance, client.get("status", Status, limit=200))

    def hold(self, client: Client, chance: random.Random) -> None:
        """A waiting job; and go on with it."""
        held = self._verb(client, "hold", chance, client.get("status", Status, limit=200))
        self._stop.wait(0.5)
        for number in held:
            client.post("jobs/release", Verb(jobs=(str(number),)), Jobs)

    def retry(self, client: Client, chance: random.Random) -> None:
        """Something that failed."""
        found = client.get("history", History, outcome="failed", limit=20).jobs
        if found:
            client.post("jobs/retry", Verb(jobs=(str(chance.choice(found).id),)), Jobs)

    def log(self, client: Client, chance: random.Random) -> None:
        """A log, sometimes as it is written."""
        rows = [row for row in client.get("status", Status, limit=50).jobs if row.state != "waiting"]
        if rows:
            follow = chance.random() < 0.3
            with suppress(TryLater):  # nothing was written for so long
                for _ in client.stream("log", ref=chance.choice(rows).id, follow=follow, timeout=5):
                    if self._stop.is_set():
                        break

    def status(self, client: Client, chance: random.Random) -> None:
        """As `status`, or as `status -w`."""
        seen = client.get("status", Status)
        if chance.random() < 0.5:
            client.get("status", Status, revision=seen.revision, within=1)

    def history(self, client: Client, _chance: random.Random) -> None:
        """The last page."""
        client.get("history", History)

    def events(self, client: Client, chance: random.Random) -> None:
        """Followed for a while."""
        end = time.monotonic() + chance.uniform(1, 20)
        with suppress(TryLater):  # nothing happened for so long
            for _ in client.stream("events", last=10, follow=True, timeout=5):
                if self._stop.is_set() or time.monotonic() > end:
                    break

    def prune(self, client: Client, chance: random.Random) -> None:
        """Change what is kept, and have the settings read again: the daemon prunes by them."""
        file = self.it.folder / "config.toml"
        file.write_text(_kept(file.read_text(), KEEP + chance.randrange(1, 20)))
        with suppress(Refused):
            client.post("config/reload", Reload(), Reloaded)

    def _verb(self, client: Client, verb: str, chance: random.Random, status: Status) -> list[int]:
        rows = [row for row in status.jobs if row.state != "ended" and (verb == "cancel" or row.state == "waiting")]
        if not rows:
            return []
        number = chance.choice(rows).id
        client.post(f"jobs/{verb}", Verb(jobs=(str(number),)), Jobs)
        return [number]


def settings(keep: int = KEEP) -> str:
    """The configuration: jobs go soon after they have ended, but for so many."""
    return f"[prune]\nafter_days = 0.00005\nkeep = {keep}\n"


def _kept(config: str, keep: int) -> str:
    return "".join(
        f"keep = {keep}\n" if line.startswith("keep = ") else line for line in config.splitlines(keepends=True)
    )


def _job(chance: random.Random) -> JobSpec:
    shell = str(Path("/bin/sh"))
    kind = chance.random()
    stages: Stages
    if kind < 0.5:
        stages = [(("/bin/true",), {"CPU": 1})]
    elif kind < 0.75:
        stages = [(("sleep", "0.05"), {"RAM": 1}), (("sleep", f"{chance.uniform(0, 0.3):.2f}"), {"CPU": 1})]
    elif kind < 0.85:
        stages = [((shell, "-c", "echo it failed; exit 3"), {"CPU": 1})]
    elif kind < 0.95:
        stages = [((shell, "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done"), {"CPU": 1})]
    else:
        stages = [(("sleep", "3"), {"CPU": 2})]
    return job(stages, name=f"job {chance.randrange(10_000)}")
