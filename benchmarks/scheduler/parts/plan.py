"""What a decision costs, by the length of the queue."""

import random
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from benchmarks.filled import fill
from benchmarks.scheduler.figures import Found, Table, percentile
from benchmarks.scheduler.parts.base import Part
from benchmarks.scheduler.sides.base import CPU, RAM, Bench
from labsched.core.model import Began, Ended
from labsched.core.plan import plan
from labsched.core.simulate import Job, Work, report, simulate
from labsched.core.states import Outcome
from labsched.store import attempts
from labsched.store.engine import open_engine
from labsched.store.lines import snapshot

LENGTHS = (100, 1_000, 10_000, 100_000, 1_000_000)
RUNNING, PEOPLE = 1_000, 200
TIMES = 200
SIMULATED, LENGTH_S, MEAN_S = 1_000_000, 60.0, 20.0  # jobs; of a stage, and between two submits, on average
BOOT = "benchmark"
ABOUT = f"""
{RUNNING:,} stages run and hold all {RUNNING:,} slots of a pool, {PEOPLE} people have jobs that wait for them, and one
stage ends. "Plan" is `labsched.core.plan` alone, "read" is what the store reads for it, and "turn" is the whole turn of
the scheduler (`labsched.store.attempts.step`): the end is written down, what starts is decided and written down, with
the commit (`synchronous=FULL`). The queues are databases on disk.

The simulator (`labsched.core.simulate`) drives the very same plan in virtual time: jobs of {PEOPLE} people, half of
them of two stages, that come as fast as RAM={RAM} and CPU={CPU} can just take them.
"""
# The first stages run; every other one stays in its line.
RUN = (
    "UPDATE pools SET slots = CASE name WHEN 'CPU' THEN :running ELSE slots END, paused_by = NULL, paused_at = NULL",
    f"""INSERT INTO attempts (stage_id, number, folder, boot_id, created_at, started_at)
    SELECT id, 1, job_id || '/run.1', '{BOOT}', 0.0, 0.0 FROM stages WHERE id <= :running""",
    "UPDATE stages SET state = 'running', line = NULL WHERE id <= :running",
)


def measure(bench: Bench) -> Found:
    """Each length of the queue."""
    lengths = LENGTHS[:3] if bench.quick else LENGTHS
    rows = [_row(bench, waiting, TIMES // 10 if bench.quick else TIMES) for waiting in lengths]
    head = ("jobs that wait", "plan: median, ms", "99 %, ms", "read: median, ms", "turn: median, ms", "99 %, ms")
    return Found([("", Table(head, rows)), ("The simulator:", _simulated(10_000 if bench.quick else SIMULATED))])


def _simulated(count: int) -> Table:
    pools = {"RAM": RAM, "CPU": CPU}
    began = time.perf_counter()
    found = report(pools, simulate(pools, _traffic(count)))
    took = time.perf_counter() - began
    use = ", ".join(f"{pool} {share:.0%}" for pool, share in found.use.items())
    head = ("jobs", "stages", "seconds", "makespan, days", "waited: median, min", "99 %, min", "pools in use")
    waited = (f"{seconds / 60:.1f}" for seconds in (found.waited_median, found.waited_99))
    return Table(
        head, [(f"{count:,}", f"{found.stages:,}", f"{took:.0f}", f"{found.makespan / 86400:.1f}", *waited, use)]
    )


def _traffic(count: int) -> Iterator[Job]:
    chance, at = random.Random(1), 0.0
    for _ in range(count):
        at += chance.expovariate(1 / MEAN_S)
        second = Work({"CPU": chance.choice((1, 1, 1, 2))}, chance.expovariate(1 / LENGTH_S))
        first = (Work({"RAM": 1}, chance.expovariate(1 / LENGTH_S)),) if chance.random() < 0.5 else ()
        yield Job(at, f"user{chance.randrange(PEOPLE)}", (*first, second), chance.choice((0, 0, 0, 1)))


def _row(bench: Bench, waiting: int, times: int) -> tuple[str, ...]:
    with bench.scratch() as folder:
        _queue(folder / "queue.db", waiting)
        planned, read, turned = [], [], []
        with _open(folder / "queue.db") as connection:
            ends = list(attempts.open_attempts(connection))
            facts: list[Began | Ended] = []
            for i in range(times):
                began = time.perf_counter()
                seen = snapshot(connection)
                read.append(time.perf_counter() - began)
                began = time.perf_counter()
                plan(seen, 0.0)
                planned.append(time.perf_counter() - began)
                began = time.perf_counter()
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                facts.append(Ended(ends[i % len(ends)].id, float(i), Outcome.SUCCEEDED, exit_code=0))
                opened = attempts.step(connection, facts, float(i), BOOT, drain=False).opened
                connection.exec_driver_sql("COMMIT")
                turned.append(time.perf_counter() - began)
                if len(opened) != 1:
                    raise RuntimeError(f"{len(opened)} stages started, not one")
                facts = [Began(opened[0].id, float(i))]
    p99 = percentile(planned, 99), percentile(turned, 99)
    cells = (statistics.median(planned), p99[0], statistics.median(read), statistics.median(turned), p99[1])
    return (f"{waiting:,}", *(f"{1000 * seconds:.2f}" for seconds in cells))


def _queue(path: Path, waiting: int) -> None:
    # One that waits takes the place of each that ends: there must be enough of them.
    fill(path, RUNNING + waiting + TIMES, 0, PEOPLE)
    with closing(sqlite3.connect(path)) as database:
        for statement in RUN:
            database.execute(statement, {"running": RUNNING} if ":running" in statement else {})
        database.commit()


@contextmanager
def _open(path: Path) -> Iterator[sa.Connection]:
    engine = open_engine(path)
    with closing(engine.connect()) as connection:
        yield connection
    engine.dispose()


PART = Part("plan", "What a decision costs", ABOUT, measure, limit=3600.0)
