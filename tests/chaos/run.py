"""A story from its beginning to its end, and the proof of it."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from labsched.core.states import State
from labsched.errors import LabschedError, Refused
from labsched.faults import POINTS
from labsched.wire.messages import Doctor, Job, Jobs, Pools, Status
from labsched.wire.requests import PoolSet, Verb
from tests.chaos.evidence import Evidence, Key, Violation, read_exits, read_journal, read_tables
from tests.chaos.havoc import Havoc
from tests.chaos.jobs import LARGEST
from tests.chaos.machine import Processes
from tests.chaos.people import Person, Watcher
from tests.chaos.place import Place, Trouble
from tests.chaos.proofs import violations

PEOPLE = 4
SETTLE_S = 120.0
STEP_S = 7200.0
PAUSE_S = 0.3
ENDLESS_S = 3.0  # after which what still runs in peace is taken for a stage that never ends by itself


@dataclass
class Story:
    """What was done, and what came of it. `folder` is kept where something was violated."""

    seed: int
    seconds: float
    folder: Path
    havoc: Havoc
    people: list[Person]
    watcher: Watcher
    violated: list[Violation] = field(default_factory=list)
    evidence: Evidence | None = None
    settled: float = 0.0

    @property
    def missed(self) -> set[str]:
        """The points that nobody came to, and somebody could."""
        return POINTS.keys() - self.havoc.seen - (set() if os.getuid() == 0 else {"stage.forked"})


def tell(seed: int, seconds: float, keep: bool = False, points: bool = False, quiet: bool = False) -> Story:
    """Live through a story of so many seconds, and prove what must be true after it.

    With `points` it is one of points above all, and ends before its time once somebody was killed at each of them. A
    `quiet` one has nothing but people and their jobs.
    """
    folder = Path(mkdtemp(prefix="chaos-"))
    place = Place(folder, disk_mib=int(32 + seconds / 3))
    havoc = Havoc(place, Random(f"{seed} havoc"))
    if points:
        havoc.weights = {"kill": 1, "point": 20, "step": 1, "fill": 0.5, "late": 0.5, "reboot": 0.3}
    if quiet:
        havoc.weights = {"rest": 1}
    people = [Person(f"p{n}", place, Random(f"{seed} person {n}"), admin=n == 0) for n in range(PEOPLE)]
    story = Story(seed, seconds, folder, havoc, people, Watcher(place))
    try:
        place.up()
        _live(story, seconds, points)
        story.evidence = _gather(story)
        story.violated += violations(story.evidence)
    except Trouble as error:
        story.violated.append(Violation(str(error)))
    finally:
        _remove(place, keep or bool(story.violated))
    return story


def _live(story: Story, seconds: float, points: bool) -> None:
    """People and havoc, at the same time; then peace, until everything has ended."""
    silence, peace = threading.Event(), threading.Event()
    troubles: list[BaseException] = []

    def storm() -> None:
        try:
            story.havoc.storm(silence)
            while not peace.is_set():
                story.havoc.breathe(0.05)
        except BaseException as error:
            troubles.append(error)

    crowd = [threading.Thread(target=one.live, args=[silence]) for one in story.people]
    watching = threading.Thread(target=story.watcher.live, args=[peace], daemon=True)
    storming = threading.Thread(target=storm)
    for thread in (*crowd, watching, storming):
        thread.start()
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not (points and not story.missed) and storming.is_alive():
        silence.wait(min(left, PAUSE_S))
    silence.set()
    for thread in crowd:
        thread.join()
    peace.set()
    storming.join()
    story.havoc.calm()
    for trouble in (*troubles, *(one.trouble for one in (*story.people, story.watcher))):
        if trouble is not None:
            story.violated.append(Violation(f"somebody met with {type(trouble).__name__}: {trouble}"))
    began = time.monotonic()
    _settle(story)
    story.settled = time.monotonic() - began
    story.havoc.gather()


def _settle(story: Story) -> None:
    """All pools open, nobody held, and time goes on in great steps."""
    place = story.havoc.place
    place.up()
    client = place.client
    began = time.monotonic()
    end = began + SETTLE_S
    while time.monotonic() < end:
        try:
            for name, slots in LARGEST.items():
                client.post(f"pools/{name}", PoolSet(slots=slots, paused=False), Pools)
            rows = [row for row in client.get("status", Status, limit=5000).jobs if row.state != State.ENDED]
            if not rows:
                return
            for number in [row.id for row in rows if row.held]:
                client.post("jobs/release", Verb(jobs=(str(number),)), Jobs)
            if time.monotonic() > began + ENDLESS_S:
                running = {row.id for row in rows if row.state == State.RUNNING}
                for number in sorted(running - _cancelled(place)):
                    with suppress(Refused):  # it has just ended
                        client.post("jobs/cancel", Verb(jobs=(str(number),)), Jobs)
        except LabschedError as error:
            story.violated.append(Violation(f"in peace, the daemon says: {error}"))
            place.up()
        place.step_to(place.offset + STEP_S)
        time.sleep(PAUSE_S)
    live = ", ".join(f"{row.id} ({row.state}: {row.why})" for row in rows)
    story.violated.append(Violation(f"after {SETTLE_S:.0f} s of peace these have not ended: {live}"))


def _cancelled(place: Place) -> set[int]:
    """The jobs whose cancel is in the queue: they have to end without another word."""
    with closing(sqlite3.connect(place.folder / "state" / "queue.db")) as connection:
        found = connection.execute("SELECT job_id FROM events WHERE kind = 'job.cancelled'").fetchall()
    return {number for (number,) in found}


def _gather(story: Story) -> Evidence:
    """Ask the daemon for all that it knows, stop it, and read what is left."""
    place, client = story.havoc.place, story.havoc.place.client
    state = place.folder / "state"
    with closing(sqlite3.connect(state / "queue.db")) as connection:
        numbers = [number for (number,) in connection.execute("SELECT id FROM jobs ORDER BY id")]
    jobs = {number: client.get("job", Job, ref=number, env=True) for number in numbers}
    logs: dict[Key, bytes] = {}
    for number, job in jobs.items():
        for stage in job.stages:
            for attempt in stage.attempts:
                query = {"ref": number, "stage": stage.name, "attempt": attempt.number}
                try:
                    logs[number, stage.name, attempt.number] = b"".join(client.stream("log", timeout=30, **query))
                except LabschedError:
                    continue
    story.violated += _at_rest(story)
    story.violated += _after_all(story)
    return Evidence(
        journal=read_journal(place.journal),
        said=sorted((said for one in story.people for said in one.said), key=lambda said: said.asked),
        done=sorted(story.havoc.done, key=lambda one: one.t),
        clock=place.clock,
        jobs=jobs,
        logs=logs,
        heard=story.watcher.heard,
        rows=read_tables(state / "queue.db"),
        exits=read_exits(state / "attempts"),
    )


def _at_rest(story: Story) -> Iterator[Violation]:
    """The daemon's own word, while it still runs: no slot is held, and it finds no problem."""
    client = story.havoc.place.client
    for pool in client.get("pools", Pools).pools:
        if pool.used or pool.waiting:
            yield Violation(f"pool {pool.name} has {pool.used} slots in use and {pool.waiting} waiting at the end")
    for finding in client.get("doctor", Doctor, timeout=60).findings:
        # The disk is small on purpose.
        if finding.level == "problem" and " left for " not in finding.what:
            yield Violation(f"labsched doctor: {finding.what}")


def _after_all(story: Story) -> Iterator[Violation]:
    """The daemon stops; nobody is left, and the database is whole."""
    place = story.havoc.place
    story.havoc.term()
    if place.process is None or place.process.poll() != 0:
        yield Violation(f"the daemon did not stop with 0: {place.process and place.process.poll()}")
    deadline = time.monotonic() + 5
    while True:
        with Processes(place) as left:
            names = [f"{one.what} {one.pid} {one.attempt}" for one in left.found]
        if not names or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    if names:
        yield Violation(f"processes are left: {', '.join(names)}")
    with closing(sqlite3.connect(place.folder / "state" / "queue.db")) as connection:
        for check in ("integrity_check", "foreign_key_check"):
            found = connection.execute(f"PRAGMA {check}").fetchall()
            if found not in ([("ok",)], []):
                yield Violation(f"PRAGMA {check}: {found[:3]}")
    for word in ("Traceback", "Task exception", "never awaited", "ERROR asyncio"):
        if word in place.log:
            at = place.log.index(word)
            yield Violation(f"the daemon's log has a {word}: {place.log[max(at - 300, 0) : at + 1500]}")
            break


def _remove(place: Place, keep: bool) -> None:
    """Nothing of it stays running; with `keep` its folder is left to be looked at."""
    while True:
        with Processes(place) as left:
            for one in left.found:
                one.signal(9)
            if place.process is not None:
                place.process.wait()
            if not left.found:
                break
        time.sleep(0.05)
    place.free()
    if keep and place.disk_mib is not None:
        shutil.copytree(place.folder / "state", place.folder / "state.kept", symlinks=True)
    place.close()
    if not keep:
        shutil.rmtree(place.folder)
