"""Old jobs go, and nothing that anybody still needs goes with them."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labsched.core.states import Outcome
from labsched.errors import Refused
from labsched.store import prune
from labsched.store.health import broken, damage
from labsched.store.tables import attempts, dependencies, environments, events, jobs, stages
from tests.store import worlds
from tests.store.worlds import FAILED, Queue, job


def old(queue: Queue, before: float = float("inf"), count: int = 3) -> dict[int, bool]:
    """The jobs that have ended, in their order, and whether each may go."""
    found: dict[int, bool] = {}
    place: prune.Place | None = prune.START
    while place is not None:
        some, place = queue.do(prune.page, place, before, count, prune.Gone())
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


def unused(queue: Queue) -> int:
    """Pages of the file."""
    return int(queue.do(lambda c: c.exec_driver_sql("PRAGMA freelist_count").scalar()))


def test_the_file_becomes_smaller(queue: Queue, path: Path) -> None:
    queue.submit(*(job(name=f"{n:0500}") for n in range(500)))
    for number in range(1, 501):
        queue.cancel(number)
    queue.connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.stat().st_size
    remove(queue, *range(1, 501))
    left = unused(queue)
    assert left > 100
    for _ in range(3):
        left -= 20
        assert queue.do(prune.shrink, 20) == unused(queue) == left
    assert queue.do(prune.shrink, left + 5) == unused(queue) == 0
    queue.connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < before / 3
    assert damage(path, full=True) == broken(path) == []


def test_those_that_hold_each_other_go_together(queue: Queue) -> None:
    queue.submit(job(name="a"), job(name="b", after=("a",)), job(name="c", after=("b",)))
    queue.cancel(2)
    run(queue, "1.run", outcome=FAILED)
    assert queue.states(3) == [Outcome.SKIPPED]
    assert remove(queue, 1, 2) == []
    assert remove(queue, 1, 2, 3) == [1, 2, 3]


def would_go(queue: Queue, before: float = float("inf")) -> set[int]:
    """What a dry run says: jobs are looked at again and again, until no more of them may go."""
    gone = prune.Gone()
    found: set[int] = set()
    while more := {one.job for one in walk(queue, before, gone) if one.may_go}:
        assert not more & found
        found |= more
    return found


def walk(queue: Queue, before: float, gone: prune.Gone, count: int = 3) -> Iterator[prune.Old]:
    place: prune.Place | None = prune.START
    while place is not None:
        some, place = queue.do(prune.page, place, before, count, gone)
        yield from some


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_a_dry_run_says_is_what_then_goes_whoever_comes_after_whom(
    blank: Path, tmp_path: Path, data: st.DataObject
) -> None:
    path = Path(shutil.copy(blank, tmp_path / "queue.db"))
    with worlds.queue(path) as queue:
        there: list[int] = []
        for _ in range(data.draw(st.integers(1, 3))):
            for _ in range(data.draw(st.integers(1, 4))):
                after = data.draw(st.lists(st.sampled_from(there), unique=True, max_size=2)) if there else []
                key = data.draw(st.sampled_from([None, None, "k"]))
                with suppress(Refused):  # it is queued already; or after what did not succeed
                    there += queue.submit(job(key=key, after=tuple(after), again=True))
            for how in data.draw(st.lists(st.sampled_from(["succeeds", "fails", "is cancelled"]), max_size=4)):
                ends(queue, how, data.draw(st.sampled_from(there)))
        before = data.draw(st.sampled_from([float("inf"), queue.now - 6.0]))
        said = would_go(queue, before)
        went: set[int] = set()
        gone = prune.Gone()
        while some := [one.job for one in walk(queue, before, gone) if one.may_go]:
            size = data.draw(st.integers(1, 4))
            for first in range(0, len(some), size):
                went |= set(remove(queue, *some[first : first + size]))
        assert went == said
        assert broken(path) == []


def ends(queue: Queue, how: str, number: int) -> None:
    """This job is cancelled, or what may run by now has run."""
    if how == "is cancelled":
        with suppress(Refused):  # it has ended
            queue.cancel(number)
    else:
        queue.step()
        for name in list(queue.running()):
            queue.finish(name, Outcome.SUCCEEDED if how == "succeeds" else FAILED)


def test_numbers_are_remembered_a_bit_each() -> None:
    gone = prune.Gone()
    for number in (1, 7, 8, 1_000_000):
        assert number not in gone
        gone.add(number)
        assert number in gone
    assert 9 not in gone
    gone.remove([8, 9, 2_000_000])
    assert 8 not in gone
    assert 7 in gone
    assert len(gone._bits) == 125_001
