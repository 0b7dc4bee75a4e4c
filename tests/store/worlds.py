"""A queue in a file, without a daemon: what the store is tried on."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from labsched.core.model import Began, Ended, Fact, JobSpec, StageSpec
from labsched.core.states import Outcome, State
from labsched.store import attempts, verbs
from labsched.store.edit import Edit, edit
from labsched.store.engine import open_engine
from labsched.store.find import stages_of
from labsched.store.submit import submit
from labsched.store.tables import stages

T = TypeVar("T")
POOLS = {"RAM": 2, "CPU": 4, "GPU": 1}
OK = Outcome.SUCCEEDED
FAILED = Outcome.FAILED


@functools.cache
def _engine(path: Path) -> sa.Engine:
    return open_engine(path, synchronous="OFF")  # it holds no connections, but every statement that it ever compiled


class Queue:
    """A database with pools, and the store's functions on it. Every call is a transaction and a second of its own."""

    def __init__(self, path: Path, pools: dict[str, int] | None = None) -> None:
        self.connection = _engine(path).connect()
        self.clock = itertools.count(1_000_000)
        self.shares: dict[str, int] = {}  # slots by pool that one person may hold
        self.next_at: float | None = None  # when the next stage may start again
        self.do(verbs.declare_pools, pools or POOLS, self.now)

    def close(self) -> None:
        self.connection.close()

    def do(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """All of the work, or nothing where it raises."""
        self.connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            result = work(self.connection, *args, **kwargs)
            self.connection.exec_driver_sql("COMMIT")
        finally:
            self.connection.rollback()
        return result

    @property
    def now(self) -> float:
        return float(next(self.clock))

    # -- what people do

    def submit(self, *specs: JobSpec, user: str = "ann") -> list[int]:
        return self.do(submit, specs, user, 1000, self.now)

    def cancel(self, job: int, reason: str | None = None) -> list[int]:
        return self.do(verbs.cancel, [job], self.now, "ann", reason)

    def retry(self, job: int, from_stage: str | None = None) -> None:
        self.do(verbs.retry, job, self.now, "ann", from_stage)

    def hold(self, job: int) -> None:
        self.do(verbs.hold, [job], self.now, "ann")

    def release(self, job: int) -> None:
        self.do(verbs.release, [job], self.now, "ann")

    def edit(self, job: int, **what: Any) -> None:
        self.do(edit, job, Edit(**what), self.now, "ann", self.shares)

    def pool(self, name: str, slots: int | None = None, paused: bool | None = None) -> None:
        self.do(verbs.set_pool, name, self.now, "ann", slots, paused)

    # -- what the daemon does

    def step(self, *facts: Fact, drain: bool = False) -> list[attempts.Open]:
        turn = self.do(attempts.step, facts, self.now, "boot", drain, self.shares)
        self.next_at = turn.next_at
        return turn.opened

    def running(self) -> dict[str, attempts.Open]:
        """The open attempts, by ``job.stage``."""
        return {f"{a.job}.{a.stage_name}": a for a in self.do(attempts.open_attempts)}

    def finish(self, what: str, outcome: Outcome = OK) -> list[str]:
        """End the attempt that runs as ``job.stage``; returns what starts because of that."""
        attempt = self.running()[what].id
        return names(self.step(Began(attempt, self.now), Ended(attempt, self.now, outcome)))

    # -- what is seen

    def rows(self, query: sa.Select[Any] | sa.Table) -> list[sa.Row[Any]]:
        return self.do(lambda c: list(c.execute(sa.select(query) if isinstance(query, sa.Table) else query)))

    def states(self, job: int) -> list[State | Outcome]:
        """Of each stage in order: how it ended, or where it is."""
        found = self.do(stages_of, job)
        return [Outcome(row.outcome) if row.outcome else State(row.state) for row in found]

    def in_line(self) -> list[str]:
        """The stages that may start, as ``job.stage``, the oldest first."""
        found = self.rows(sa.select(stages).where(stages.c.line.is_not(None)).order_by(stages.c.id))
        return [f"{row.job_id}.{row.name}" for row in found]


@contextmanager
def queue(path: Path, pools: dict[str, int] | None = None) -> Iterator[Queue]:
    it = Queue(path, pools)
    try:
        yield it
    finally:
        it.close()


def names(opened: Sequence[attempts.Open]) -> list[str]:
    """Attempts as ``job.stage``."""
    return [f"{attempt.job}.{attempt.stage_name}" for attempt in opened]


def job(*stage_names: str, needs: dict[str, int] | None = None, name: str = "job", **more: Any) -> JobSpec:
    """A job of these stages, or of one stage `run`; each needs one CPU."""
    wanted = {"CPU": 1} if needs is None else needs
    parts = tuple(StageSpec(stage, ("true",), wanted, "/") for stage in stage_names or ("run",))
    return JobSpec(name=name, stages=parts, **more)
