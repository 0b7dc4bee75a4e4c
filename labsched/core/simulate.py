"""simulate(pools, jobs) -> when each stage would run, decided by the very same plan, in virtual time.

Nothing is started and no clock is looked at: a million jobs take minutes. Each job says what its stages need and how
long they take; time goes from one submit or end to the next.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

from labsched.core.check import never_fits
from labsched.core.model import Holding, Needs, Pool, Snapshot, Waiting
from labsched.core.plan import LineKey, line_of, plan


@dataclass(frozen=True, slots=True)
class Work:
    """A stage: its slots, and how long it runs (seconds)."""

    needs: Needs
    seconds: float


@dataclass(frozen=True, slots=True)
class Job:
    """A job that is submitted at `at` (seconds); its stages run one after the other."""

    at: float
    user: str
    stages: tuple[Work, ...]
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Ran:
    """A stage that ran: of which job (0 is the first), the how manieth, and when (seconds).

    `ready` is when it could have started if there had been room.
    """

    job: int
    position: int
    needs: Needs
    ready: float
    started: float
    ended: float


@dataclass(slots=True)
class _Lab:
    """What the plan looks at, kept from one moment to the next."""

    pools: dict[str, Pool]
    shares: Mapping[str, int]
    free: dict[str, int]
    holdings: dict[int, Holding] = field(default_factory=dict)  # by stage
    lines: dict[LineKey, list[tuple[int, Waiting]]] = field(default_factory=dict)  # heaps, the oldest first
    changed: bool = False  # since the last decision, in a way that could change it

    def wait(self, stage: Waiting) -> None:
        key = line_of(stage)
        self.changed |= key not in self.lines  # else it stands behind one that something else keeps from starting
        heappush(self.lines.setdefault(key, []), (stage.stage, stage))

    def end(self, stage: int) -> None:
        self.changed = True
        self._take(self.holdings.pop(stage).needs, -1)

    def starts(self, now: float) -> tuple[Waiting, ...]:
        """What starts now; it holds its slots from here on."""
        if not self.changed:
            return ()
        self.changed = False
        shown = tuple(stage for key, line in self.lines.items() for stage in self._heads(key, line))
        found = plan(Snapshot(self.pools, tuple(self.holdings.values()), shown, self.shares), now).starts
        for stage in found:
            line = self.lines[key := line_of(stage)]
            first = heappop(line)  # what starts of a line are its oldest
            assert first[1] is stage
            if not line:
                del self.lines[key]
            self.holdings[stage.stage] = Holding(stage.stage, stage.job, stage.user, stage.needs)
            self._take(stage.needs, 1)
        return found

    def _heads(self, key: LineKey, line: list[tuple[int, Waiting]]) -> list[Waiting]:
        """As many of a line as could start, and the one that comes next."""
        fitting = [self.free[pool] // n for pool, n in key[2] if n]
        count = max(0, min(fitting)) + 1 if fitting else len(line)
        if count == 1:
            return [line[0][1]]
        found = [heappop(line) for _ in range(min(count, len(line)))]
        for one in found:
            heappush(line, one)
        return [one[1] for one in found]

    def _take(self, needs: Needs, sign: int) -> None:
        for pool, n in needs.items():
            self.free[pool] -= sign * n


def simulate(pools: Mapping[str, int], jobs: Iterable[Job], shares: Mapping[str, int] | None = None) -> Iterator[Ran]:
    """Run `jobs`, given in the order in which they are submitted, through `pools`; each stage as it ends.

    `shares`: the slots of a pool that one person may hold at a time. Raises ValueError where a stage could never fit,
    or a job comes before the one that was given before it, or has no stage, or one of less than no time.
    """
    lab = _Lab({name: Pool(name, slots) for name, slots in pools.items()}, shares or {}, dict(pools))
    comes = _checked(pools, jobs)
    coming = next(comes, None)
    ends: list[tuple[float, int]] = []  # when, and which stage
    live: dict[int, tuple[int, int, Job, float, float]] = {}  # by stage: job, position, its Job, ready, started
    last = 0

    def wait(stage: int, number: int, position: int, job: Job, now: float) -> None:
        live[stage] = (number, position, job, now, now)
        lab.wait(Waiting(stage, number, job.user, job.stages[position].needs, job.priority))

    number = 0
    while ends or coming is not None:
        now = min(ends[0][0] if ends else float("inf"), coming.at if coming is not None else float("inf"))
        while ends and ends[0][0] <= now:
            stage = heappop(ends)[1]
            lab.end(stage)
            of, position, job, ready, started = live.pop(stage)
            yield Ran(of, position, job.stages[position].needs, ready, started, now)
            if position + 1 < len(job.stages):
                wait(stage + 1, of, position + 1, job, now)
        while coming is not None and coming.at <= now:
            wait(last, number, 0, coming, now)
            last, number = last + len(coming.stages), number + 1  # the stages of a job are numbered in a row
            coming = next(comes, None)
        for one in lab.starts(now):
            of, position, job, ready, _ = live[one.stage]
            live[one.stage] = (of, position, job, ready, now)
            heappush(ends, (now + job.stages[position].seconds, one.stage))
    assert not live, "a stage never started"


def _checked(pools: Mapping[str, int], jobs: Iterable[Job]) -> Iterator[Job]:
    before = float("-inf")
    for number, job in enumerate(jobs):
        if not job.at >= before:
            raise ValueError(f"job {number} is submitted before the one before it")
        if not job.stages:
            raise ValueError(f"job {number} has no stage")
        for work in job.stages:
            if trouble := never_fits(pools, work.needs):
                raise ValueError(f"job {number} could never start: {trouble}")
            if not 0 <= work.seconds < float("inf"):
                raise ValueError(f"job {number} has a stage of {work.seconds} seconds")
        before = job.at
        yield job


@dataclass(frozen=True, slots=True)
class Report:
    """How it went: seconds; `use` is the share of each pool's slots that was held, from the first submit to the end."""

    stages: int
    makespan: float
    waited_median: float
    waited_99: float
    waited_most: float
    use: dict[str, float]


def report(pools: Mapping[str, int], ran: Iterable[Ran]) -> Report:
    """Sum up a simulation. A stage waits from when it could have started."""
    waits: list[float] = []
    busy = dict.fromkeys(pools, 0.0)
    first, last = float("inf"), float("-inf")
    for one in ran:
        waits.append(one.started - one.ready)
        first, last = min(first, one.ready), max(last, one.ended)
        for pool, n in one.needs.items():
            busy[pool] += n * (one.ended - one.started)
    if not waits:
        return Report(0, 0.0, 0.0, 0.0, 0.0, dict.fromkeys(pools, 0.0))
    waits.sort()
    span = last - first
    use = {pool: busy[pool] / (slots * span) if slots and span else 0.0 for pool, slots in pools.items()}
    return Report(len(waits), span, waits[len(waits) // 2], waits[(len(waits) - 1) * 99 // 100], waits[-1], use)
