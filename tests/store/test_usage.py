"""Who used what: nothing is counted twice, nothing is lost, whatever is pruned and wherever a month ends."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labsched.core.model import Began, Ended, StageSpec
from labsched.core.states import Outcome
from labsched.store import prune, usage
from labsched.store.prepared import driver
from tests.store import worlds
from tests.store.worlds import Queue, job
from tests.worlds import empty_queue

HOUR = 3600.0


@pytest.fixture(params=["UTC", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


def run(queue: Queue, number: int, began: datetime, ended: datetime, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    """The attempt of this job's stage that is open ran so long, and took half of that of a processor."""
    attempt = queue.running()[f"{number}.run"].id
    start, end = began.timestamp(), ended.timestamp()
    queue.step(Began(attempt, start), Ended(attempt, end, outcome, began=start, cpu_time=(end - start) / 2))


def look(
    queue: Queue, first: str = "2020-01", last: str = "2030-12", now: float = 0.0, uid: int | None = None
) -> dict[str, usage.Sum]:
    """By month and recipe."""
    found: dict[str, usage.Sum] = defaultdict(usage.Sum)
    for whose, total in usage.look(driver(queue.connection), now, first, last, uid).items():
        found[f"{whose.month} {whose.user} {whose.recipe}"].add(total)
    return dict(found)


def test_an_attempt_over_the_end_of_a_month_counts_in_both(queue: Queue, zone: str) -> None:
    queue.submit(job(needs={"CPU": 2, "RAM": 1}))
    queue.step()
    run(queue, 1, datetime(2026, 1, 31, 22), datetime(2026, 2, 1, 4))
    january, february = look(queue)["2026-01 ann command"], look(queue)["2026-02 ann command"]
    assert january.slots == {"CPU": 2 * 2 * HOUR, "RAM": 2 * HOUR}
    assert february.slots == {"CPU": 2 * 4 * HOUR, "RAM": 4 * HOUR}
    assert (january.cpu, february.cpu) == (1 * HOUR, 2 * HOUR)
    assert (january.jobs, february.jobs) == (0, 1)


def test_one_over_a_whole_year_counts_in_each_month(queue: Queue, zone: str) -> None:
    queue.submit(job())
    queue.step()
    run(queue, 1, datetime(2025, 12, 31, 12), datetime(2027, 1, 1, 12), Outcome.FAILED)
    found = look(queue)
    assert len(found) == 14
    assert found["2026-02 ann command"].slots == {"CPU": 28 * 24 * HOUR}
    assert found["2027-01 ann command"].failed == 1
    assert list(look(queue, "2026-03", "2026-03")) == ["2026-03 ann command"]


def test_what_runs_counts_up_to_now(queue: Queue) -> None:
    queue.submit(job())
    (attempt,) = queue.step()
    began = datetime(2026, 5, 1, 0).timestamp()
    queue.step(Began(attempt.id, began))
    assert look(queue, now=began + 60)["2026-05 ann command"] == usage.Sum({"CPU": 60.0})


def test_only_ones_own(queue: Queue) -> None:
    queue.submit(job())
    queue.step()
    run(queue, 1, datetime(2026, 1, 2), datetime(2026, 1, 3))
    assert look(queue, uid=1000) == look(queue) != {}
    assert look(queue, uid=1001) == {}
    queue.do(prune.remove, [1])
    assert look(queue, uid=1000) == look(queue) != {}
    assert look(queue, uid=1001) == {}


def test_slots_are_those_that_it_held(queue: Queue) -> None:
    wanted = StageSpec("run", ("true",), {"CPU": 1}, "/", up_to={"CPU": 3})
    queue.submit(worlds.JobSpec(name="x", stages=(wanted,)))
    (attempt,) = queue.step()
    assert attempt.slots == {"CPU": 3}
    run(queue, 1, datetime(2026, 1, 2, 0), datetime(2026, 1, 2, 1))
    assert look(queue)["2026-01 ann command"].slots == {"CPU": 3 * HOUR}


def test_one_that_has_its_pools_for_itself_holds_all_of_them(queue: Queue) -> None:
    from labsched.core.model import Retry

    wanted = StageSpec("run", ("true",), {"CPU": 1}, "/", retry=Retry(3, wait=0.0))
    queue.submit(worlds.JobSpec(name="x", stages=(wanted,)))
    (attempt,) = queue.step()
    start, end = datetime(2026, 1, 2, 0).timestamp(), datetime(2026, 1, 2, 1).timestamp()
    queue.step(Began(attempt.id, start), Ended(attempt.id, end, Outcome.FAILED, oom=True))
    queue.clock = iter(range(2_000_000_000, 3_000_000_000))  # type: ignore[assignment]
    (attempt,) = queue.step()
    assert attempt.slots == {"CPU": 4}
    queue.step(Began(attempt.id, end), Ended(attempt.id, end + HOUR, Outcome.SUCCEEDED))
    assert look(queue)["2026-01 ann command"].slots == {"CPU": HOUR + 4 * HOUR}


@settings(max_examples=12)
@given(st.randoms(use_true_random=False))
def test_pruning_changes_no_sum(random: random.Random) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "queue.db"
        path.write_bytes(empty_queue())
        with worlds.queue(path, {"CPU": 100}) as queue:
            count = random.randint(1, 8)
            for number in range(count):
                recipe = random.choice(["sort", "command"])
                queue.submit(
                    job(recipe=recipe, needs={"CPU": random.randint(1, 3)}), user=random.choice(["ann", "bob"])
                )
                queue.step()
                began = datetime(2026, random.randint(1, 12), random.randint(1, 28), random.randint(0, 23)).timestamp()
                ended = began + random.choice([0.0, 60.0, 1e5, 4e6])
                outcome = random.choice([Outcome.SUCCEEDED, Outcome.FAILED, Outcome.LOST])
                run(queue, number + 1, datetime.fromtimestamp(began), datetime.fromtimestamp(ended), outcome)
            before = look(queue)
            assert sum(total.jobs for total in before.values()) == count
            numbers = list(range(1, count + 1))
            random.shuffle(numbers)
            while numbers:
                some, numbers = numbers[:2], numbers[2:]
                assert queue.do(prune.remove, some) == sorted(some)
                assert about(look(queue)) == about(before)


def about(found: dict[str, usage.Sum]) -> dict[str, object]:
    return {
        whose: (
            total.jobs,
            total.failed,
            round(total.cpu, 3),
            {pool: round(n, 3) for pool, n in total.slots.items() if n},
        )
        for whose, total in found.items()
        if total != usage.Sum()
    }


def test_a_prune_that_is_undone_leaves_no_sum(queue: Queue) -> None:
    queue.submit(job())
    queue.step()
    run(queue, 1, datetime(2026, 1, 2), datetime(2026, 1, 3))
    before = look(queue)

    def die(connection: object) -> None:
        prune.remove(connection, [1])  # type: ignore[arg-type]
        raise ArithmeticError("a defect")

    with pytest.raises(ArithmeticError):
        queue.do(die)
    assert look(queue) == before
