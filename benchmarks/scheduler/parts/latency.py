"""From a submit to the stage's first instruction, and from one stage's end to the next one's first instruction."""

import random
import shutil
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.filled import POOLS, fill
from benchmarks.scheduler.figures import Found, Table, percentile
from benchmarks.scheduler.ours import Queue, job, queue
from benchmarks.scheduler.parts.base import Part, installed
from benchmarks.scheduler.sides import labsched, spooler
from benchmarks.scheduler.sides.base import Bench
from benchmarks.scheduler.stamps import Stamp, Stamps, gaps, stamping

WAITING = 100_000
LINES = 20
SLOTS = 2
LENGTH_S = 0.03  # of a job where slots are refilled
SLEEP = shutil.which("sleep") or "/bin/sleep"  # those jobs have no PATH
PAUSE_S = 0.02  # between two submits at most, so that they keep no step with anything
ABOUT = f"""
**Submit to first instruction**: one job at a time is queued while a slot is free; it is a small C program that notes
the time as the first thing in `main`. "From the client": the clock is read before the client connects to the socket
(for task-spooler: before `tsp` is started), so this has the request, its commit, the decision, the launch and the exec
in it. "From the record": from the time of the submit that the daemon itself writes down. With {WAITING:,} waiting:
jobs of {LINES} priorities that wait for a full pool, and the job that is measured takes another one.

**Freed slot to next first instruction**: {SLOTS} slots, jobs of {1000 * LENGTH_S:g} ms that note when they are about to
end; so it has the end of the process in it, the record of how it ended, the decision, the launch and the exec. With
{WAITING:,} waiting, it is these that run.
"""


def measure(bench: Bench) -> Found:
    """Both, of labsched and task-spooler."""
    versions, missing, sides = installed(bench, (labsched.SIDE, spooler.SIDE))
    count, waiting = (30, 1000) if bench.quick else (500, WAITING)
    with bench.scratch() as folder, stamping(folder) as stamps:
        submits = [_row("labsched, nothing waits", *_ours(bench, stamps, count, 0))]
        submits.append(_row(f"labsched, {waiting:,} wait", *_ours(bench, stamps, count, waiting)))
        refills = [_row("labsched, as many as run", _refill(bench, stamps, count))]
        refills.append(_row(f"labsched, {waiting:,} wait", _refill_filled(bench, stamps, count, waiting)))
        if spooler.SIDE in sides:
            submits.append(_row("task-spooler, nothing waits", _theirs(bench, stamps, count), []))
            refills.append(_row("task-spooler, as many as run", _refill_theirs(bench, stamps, count)))
    ms = ("median, ms", "99 %, ms", "most, ms")
    record = ("from the record: median, ms", "99 %, ms", "most, ms")
    return Found(
        [
            ("Submit to first instruction, from the client:", Table(("", "jobs", *ms, *record), submits)),
            ("Freed slot to next first instruction:", Table(("", "jobs", *ms), refills)),
        ],
        versions,
        missing,
    )


def _row(label: str, *columns: Sequence[float]) -> tuple[str, ...]:
    cells = [label, str(len(columns[0]))]
    for seconds in columns:
        if seconds:
            values = (statistics.median(seconds), percentile(seconds, 99), max(seconds))
            cells += (f"{1000 * value:.1f}" for value in values)
        else:
            cells += ("", "", "")
    return tuple(cells)


def _ours(bench: Bench, stamps: Stamps, count: int, waiting: int) -> tuple[list[float], list[float]]:
    """Seconds from the client's submit, and from the daemon's record of it."""
    with bench.scratch() as folder:
        if waiting:  # they keep the pool full that they wait for, and never end
            _filled(folder, waiting, (SLEEP, "100000"))
        with queue(folder, POOLS) as it:
            if waiting:
                for pool in POOLS:
                    it.pool(pool, paused=False)
            sent: list[int] = []
            heard: list[Stamp] = []
            numbers: list[int] = []
            one = [job([(stamps.command(), {"RAM": 1})])]
            for _ in range(count + 5):
                time.sleep(random.uniform(0, PAUSE_S))
                sent.append(time.monotonic_ns())
                numbers += it.submit(one)
                heard += stamps.read(1)
                it.wait(numbers[-1:])
            known = _submitted(it, numbers)
            still = it.status().counts
            if still.waiting + still.running < waiting:
                raise RuntimeError(f"only {still.waiting} of {waiting} jobs wait: they have run")
            it.pool("CPU", paused=True)
            if waiting:
                it.cancel(_running(it))
    client = [(stamp.began - at) / 1e9 for stamp, at in zip(heard, sent, strict=True)]
    record = [stamp.wall / 1e9 - at for stamp, at in zip(heard, known, strict=True)]
    return client[5:], record[5:]


def _theirs(bench: Bench, stamps: Stamps, count: int) -> list[float]:
    found = []
    with spooler.servers(bench, s=SLOTS) as (it,):
        for _ in range(count + 5):
            time.sleep(random.uniform(0, PAUSE_S))
            at = time.monotonic_ns()
            # it goes on in the background: the process that we wait for ends once the job is queued
            with subprocess.Popen([it.tsp, "-n", *stamps.command()], env=it.env, stdout=subprocess.DEVNULL):
                found.append((stamps.read(1)[0].began - at) / 1e9)
            it.drained()
    return found[5:]


def _refill(bench: Bench, stamps: Stamps, count: int) -> list[float]:
    with bench.scratch() as folder, queue(folder, {"CPU": SLOTS}) as it:
        it.submit([job([(stamps.command(LENGTH_S), {"CPU": 1})])] * count)
        return gaps(stamps.read(count), SLOTS)


def _refill_filled(bench: Bench, stamps: Stamps, count: int, waiting: int) -> list[float]:
    with bench.scratch() as folder:
        _filled(folder, waiting, stamps.command(LENGTH_S))
        with queue(folder, POOLS) as it:
            it.pool("CPU", slots=SLOTS, paused=False)
            found = stamps.read(count)
            it.pool("CPU", paused=True)
            _settled(it, stamps)
        return gaps(found, SLOTS)


def _refill_theirs(bench: Bench, stamps: Stamps, count: int) -> list[float]:
    with spooler.servers(bench, s=SLOTS) as (it,):
        for _ in range(count):
            it.queue(*stamps.command(LENGTH_S))
        found = stamps.read(count)
        it.drained()
        return gaps(found, SLOTS)


def _filled(folder: Path, waiting: int, command: Sequence[str]) -> None:
    (folder / "state").mkdir(mode=0o750)
    fill(folder / "state" / "queue.db", waiting, 0, LINES, command, own=True)


def _submitted(it: Queue, numbers: Sequence[int]) -> list[float]:
    """When the daemon wrote down that it had each job (seconds since the epoch)."""
    with closing(sqlite3.connect(f"file:{it.database}?mode=ro", uri=True)) as database:
        known = dict(database.execute("SELECT id, submitted_at FROM jobs WHERE id >= ?", (min(numbers),)))
    return [known[number] for number in numbers]


def _running(it: Queue) -> list[int]:
    with closing(sqlite3.connect(f"file:{it.database}?mode=ro", uri=True)) as database:
        return [row[0] for row in database.execute("SELECT job_id FROM stages WHERE state IN ('starting', 'running')")]


def _settled(it: Queue, stamps: Stamps) -> None:
    """Wait until nothing runs, and forget what has been noted since."""
    deadline = time.monotonic() + 60
    while _running(it):
        if time.monotonic() > deadline:
            raise TimeoutError("jobs go on running in a paused pool")
        time.sleep(0.05)
    stamps.forget()


PART = Part("latency", "How soon a stage starts", ABOUT, measure)
