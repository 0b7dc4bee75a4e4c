"""Old jobs go, and nothing that anybody still needs goes with them."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from labsched.core.states import Outcome
from labsched.errors import Refused
from labsched.store import prune
from labsched.store.health import broken, damage
from labsched.store.tables import attempts, dependencies, environments, events, jobs, stages
from tests.store.worlds import FAILED, Queue, job


def old(queue: Queue, before: float = float("inf"), count: int = 3) -> dict[int, bool]:
    """The jobs that have ended, in their order, and whether each may go."""
    found: dict[int, bool] = {}
    place: prune.Place | None = prune.START
    while place is not None:
        some, place = queue.do(prune.page, place, before, count)
        assert not {one.job for one in some} & set(found)
        found |= {one.job: one.may_go for one in some}
    return found


def run(queue: Queue, *names: str, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    for name in names:
        queue.step()
        queue.finish(name, outcome)


def remove(queue: Queue, *numbers: int) -> list[int]:
    return queue.do(prune.remove, numbers)


def test_jobs_come_in_the_order_in_which_they_ended(queue: Queue) -> None:
    queue.submit(job(), job("one", "two"), job(), job())
    queue.step()
    run(queue, "3.run", "2.one", "1.run", "2.two")
    assert list(old(queue)) == [3, 1, 2]
    (ended,) = queue.rows(sa.select(stages.c.ended_at).where(stages.c.job_id == 1))
    assert list(old(queue, before=ended[0])) == [3]


def test_of_a_job_that_is_removed_nothing_is_left(queue: Queue) -> None:
    queue.submit(job(env={"A": "1"}), job(env={"A": "1"}), job(env={"A": "2"}))
    queue.submit(job("one", "two", after=(3,), env={"A": "3"}))
    run(queue, "1.run", "2.run", "3.run", "4.one", "4.two")
    assert remove(queue, 4) == [4]
    assert remove(queue, 1, 3) == [1, 3]
    assert [row.id for row in queue.rows(jobs)] == [2]
    assert {row.job_id for row in queue.rows(stages)} == {2}
    assert len(queue.rows(attempts)) == 1
    assert queue.rows(dependencies) == []
    assert {row.job_id for row in queue.rows(events)} == {None, 2}
    assert [row.variables for row in queue.rows(environments)] == [{"A": "1"}]
    assert queue.submit(job()) == [5]


def test_a_live_job_stays_and_what_it_comes_after(queue: Queue) -> None:
    queue.submit(job(name="a"), job("one", "two"))
    run(queue, "1.run", "2.one")
    queue.submit(job(after=("a",), hold=True))
    assert old(queue) == {1: False}
    assert remove(queue, 1, 2, 3) == []
    assert len(queue.rows(jobs)) == 3
    queue.cancel(3)
    assert old(queue) == {1: True, 3: True}


def test_a_job_that_could_run_though_it_should_not_keeps_what_it_came_after(queue: Queue) -> None:
    queue.submit(job(name="a"))
    queue.submit(job(name="b", after=("a",)))
    run(queue, "1.run", outcome=FAILED)
    assert queue.states(2) == [Outcome.SKIPPED]
    assert old(queue) == {1: False, 2: True}
    with pytest.raises(Refused, match="before it did not succeed"):
        queue.retry(2)
    assert remove(queue, 1) == []
    assert remove(queue, 2) == [2]
    assert remove(queue, 1) == [1]


def test_of_a_block_the_newest_success_stays(queue: Queue) -> None:
    queue.submit(job(key="k"))
    run(queue, "1.run")
    queue.submit(job(key="k", again=True), job(key="other"))
    run(queue, "2.run", "3.run")
    queue.submit(job(key="k", again=True))
    run(queue, "4.run", outcome=FAILED)
    assert old(queue) == {1: True, 2: False, 3: False, 4: True}
    assert remove(queue, 1, 2, 3, 4) == [1, 4]
    with pytest.raises(Refused, match="is done, by job 2: give --again"):
        queue.submit(job(key="k"))


def test_what_was_sent_back_in_between_stays(queue: Queue) -> None:
    queue.submit(job())
    run(queue, "1.run", outcome=FAILED)
    assert old(queue) == {1: True}
    queue.retry(1)
    assert remove(queue, 1) == []


def test_the_latest_are_counted_by_person(queue: Queue) -> None:
    queue.submit(job(), job("one", "two"), job())
    run(queue, "1.run", "2.one", "3.run", "2.two")
    latest, place = queue.do(prune.latest, prune.END, 100, None)
    assert place is None
    assert latest == sorted(latest, reverse=True)
    assert len(latest) == 3
    assert queue.do(prune.latest, prune.END, 100, 77) == ([], None)


def test_numbers_come_in_ranges(queue: Queue) -> None:
    queue.submit(*(job() for _ in range(5)))
    assert queue.do(prune.numbers, 0, 2, None) == ([1, 2], 2)
    assert queue.do(prune.numbers, 4, 2, None) == ([5], None)
    assert queue.do(prune.numbers, 0, 10, 77) == ([], None)


def test_the_file_becomes_smaller(queue: Queue, path: Path) -> None:
    queue.submit(*(job(name=f"{n:0500}") for n in range(500)))
    for number in range(1, 501):
        queue.cancel(number)
    queue.connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.stat().st_size
    remove(queue, *range(1, 501))
    left = queue.do(prune.shrink, 20)
    assert left > 0
    while now := queue.do(prune.shrink, 20):
        assert now < left
        left = now
    queue.connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < before / 3
    assert damage(path, full=True) == broken(path) == []
