"""Looking: every job is on one page, and each is found by what people call it."""

import pytest

from labsched.core.states import Outcome
from labsched.errors import NotFound
from labsched.store import read
from labsched.store.find import find_job
from tests.store.worlds import FAILED, OK, Queue, job


@pytest.fixture
def busy(queue: Queue) -> Queue:
    """Jobs that ended (1 succeeded, 2 and 3 failed, 4 was cancelled), one that runs (5), and three that wait."""
    queue.pool("CPU", slots=1)
    queue.submit(job(name="a"), job("one", "two", name="b"), job(name="c"), job(name="d"), user="bob")
    queue.step()
    queue.finish("1.run", OK)
    queue.finish("2.one", FAILED)
    queue.cancel(4)
    queue.finish("3.run", FAILED)
    queue.submit(job(name="e"), job(name="a"), job(name="f_1"), job(name="f%1", priority=5))
    queue.hold(8)
    queue.step()
    queue.release(8)
    return queue


def test_the_pages_together_show_every_job_once_in_one_order(busy: Queue) -> None:
    everything, more = busy.do(read.page, 0.0, 100, 0)
    assert (everything, more) == ([5, 8, 6, 7, 3, 4, 2, 1], 0)
    for size in (1, 2, 3, 5, 7):
        pages = [busy.do(read.page, 0.0, size, offset) for offset in range(0, len(everything), size)]
        assert [number for page, _ in pages for number in page] == everything
        assert [more for _, more in pages] == [max(8 - at - size, 0) for at in range(0, 8, size)]


def test_what_ended_long_ago_is_on_no_page(busy: Queue) -> None:
    assert busy.do(read.page, busy.now, 100, 0) == ([5, 8, 6, 7], 0)


def test_the_counts_are_of_jobs(busy: Queue) -> None:
    assert busy.do(read.counts, 0.0) == (1, 3, 2)
    busy.retry(2)
    assert busy.do(read.counts, 0.0) == (1, 4, 1)
    assert busy.do(read.counts, busy.now) == (1, 4, 0)


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({}, [4, 3, 2, 1]),
        ({"limit": 2}, [4, 3]),
        ({"before": 3}, [2, 1]),
        ({"user": "bob"}, [4, 3, 2, 1]),
        ({"user": "ann"}, []),
        ({"outcome": "succeeded"}, [1]),
        ({"outcome": "failed"}, [3, 2]),
        ({"outcome": "cancelled"}, [4]),
        ({"outcome": "skipped"}, []),  # its own outcome, not that of one of its stages
        ({"name": "b"}, [2]),
        ({"name": "_"}, []),  # a part of a name, not a pattern
    ],
)
def test_history_finds_what_ended(busy: Queue, filters: dict[str, object], numbers: list[int]) -> None:
    assert [row.id for row in busy.do(read.history, **{"limit": 100, **filters})] == numbers


@pytest.mark.parametrize(
    ("ref", "number"), [("3", 3), ("last", 8), ("b", 2), ("a", 6), ("f_1", 7), ("f%1", 8)]
)  # of the two that are called `a`, the live one
def test_a_job_is_found_by_what_people_call_it(busy: Queue, ref: str, number: int) -> None:
    assert busy.do(find_job, ref).id == number


def test_of_ended_jobs_of_one_name_the_newest_is_meant(busy: Queue) -> None:
    busy.cancel(6)
    assert busy.do(find_job, "a").id == 6


@pytest.mark.parametrize("ref", ["9", "0", "-1", "f", "", "9" * 40, "１２３４"])
def test_a_job_that_is_not_there_is_a_sentence(busy: Queue, ref: str) -> None:
    with pytest.raises(NotFound, match="there is no job"):
        busy.do(find_job, ref)


def test_all_that_is_known_of_jobs_comes_in_the_order_asked_for(busy: Queue) -> None:
    (after,) = busy.submit(job("one", "two", after=(5, 6)))
    found = busy.do(read.load, [after, 2, 99])
    assert [row.id for row in found.jobs] == [after, 2]
    assert [row.name for row in found.stages[2]] == ["one", "two"]
    first = found.stages[after][0]
    assert sorted(row.job_id for row in found.after[first.id]) == [5, 6]
    assert [a.outcome for a in found.attempts[found.stages[2][0].id]] == [Outcome.FAILED]
