"""Queueing: all of a request or none, nothing twice at a time, and after whom."""

import sqlite3

import pytest
import sqlalchemy as sa

from labsched.core.states import Outcome, State
from labsched.errors import BadRequest, LabschedError, NotFound, Refused
from labsched.store import read
from labsched.store.tables import dependencies, environments, events, jobs, stages
from tests.store.worlds import FAILED, Queue, job, names

WAITING, SKIPPED = State.WAITING, Outcome.SKIPPED


def test_a_job_is_stored_as_it_was_asked_for(queue: Queue) -> None:
    env = {"PATH": "/bin", "WORD": "größer 日本"}
    spec = job("one", "two", needs={"CPU": 2, "RAM": 1}, name="a block", recipe="sort", key="k", env=env, priority=3)
    (number,) = queue.submit(spec, user="bob")
    (row,) = queue.rows(jobs)
    assert (row.id, row.name, row.recipe, row.key, row.user, row.uid) == (number, "a block", "sort", "k", "bob", 1000)
    assert (row.priority, row.held_by) == (3, None)
    assert queue.do(read.environment, number) == env
    (attempt,) = queue.step()
    stage = spec.stages[0]
    assert (attempt.stage_name, attempt.argv, attempt.cwd, attempt.slots) == ("one", stage.argv, "/", stage.needs)
    assert (attempt.env, attempt.user, attempt.number, attempt.folder) == (env, "bob", 1, f"{number}/one.1")


def test_only_the_first_stage_stands_in_line(queue: Queue) -> None:
    (number,) = queue.submit(job("one", "two", "three"))
    assert queue.in_line() == [f"{number}.one"]


def test_one_environment_is_kept_once_however_many_jobs_have_it(queue: Queue) -> None:
    queue.submit(*(job(env={"A": "1", "B": "2"}) for _ in range(3)))
    queue.submit(job(env={"B": "2", "A": "1"}), job(env={"A": "2"}))
    assert len(queue.rows(environments)) == 2


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"key": "k"}, BadRequest),
        ({"key": "live"}, Refused),
        ({"after": ("nobody",)}, NotFound),
        ({"after": (99,)}, NotFound),
        ({"after": ("bad",)}, Refused),
    ],
)
def test_one_job_that_cannot_be_queued_takes_the_whole_request_with_it(
    queue: Queue, bad: dict[str, object], error: type[LabschedError]
) -> None:
    queue.submit(job(key="live"))
    (failing,) = queue.submit(job(name="bad", priority=9))
    queue.step()
    queue.finish(f"{failing}.run", FAILED)
    tables = (jobs, stages, dependencies, environments, events)
    before = [queue.rows(table) for table in tables]
    with pytest.raises(error):
        queue.submit(job(key="k", name="first", env={"new": "1"}), job(after=("first",)), job(**bad), job())
    assert [queue.rows(table) for table in tables] == before


def test_what_is_queued_already_is_refused_with_its_number(queue: Queue) -> None:
    (number,) = queue.submit(job(key="block"))
    for _ in range(2):  # waiting, then running
        with pytest.raises(Refused, match=f"block is queued already, as job {number}"):
            queue.submit(job(key="block", again=True))
        queue.step()


def test_what_is_done_is_only_done_again_on_demand(queue: Queue) -> None:
    (number,) = queue.submit(job(key="block"))
    queue.step()
    queue.finish(f"{number}.run")
    with pytest.raises(Refused, match=rf"done, by job {number}: give --again"):
        queue.submit(job(key="block"))
    assert queue.submit(job(key="block", again=True)) == [number + 1]


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_what_did_not_succeed_may_be_queued_again_without_asking(queue: Queue, how: str) -> None:
    (number,) = queue.submit(job("one", "two", key="block"))
    if how == "failed":
        queue.step()
        queue.finish(f"{number}.one", FAILED)
    else:
        queue.cancel(number)
    assert queue.submit(job(key="block")) == [number + 1]


def test_jobs_follow_each_other_by_number_and_by_name(queue: Queue) -> None:
    (old,) = queue.submit(job("one", "two", name="old"))
    a, b, c = queue.submit(
        job(name="a", after=(old,)), job("one", "two", name="b", after=("a", "old")), job(name="c", after=("b", "a"))
    )
    started = queue.step()
    assert [x.stage_name for x in started] == ["one"]
    assert queue.finish(f"{old}.one") == [f"{old}.two"]
    assert queue.finish(f"{old}.two") == [f"{a}.run"]
    assert queue.finish(f"{a}.run") == [f"{b}.one"]
    assert queue.finish(f"{b}.one") == [f"{b}.two"]
    assert queue.finish(f"{b}.two") == [f"{c}.run"]


def test_a_name_means_the_nearest_job_before_it_in_the_request(queue: Queue) -> None:
    queue.submit(job(name="x"))
    one, two, three = queue.submit(job(name="x"), job(name="x", after=("x",)), job(name="y", after=("x",)))
    after = {row.stage_id: row.on_stage_id for row in queue.rows(dependencies)}
    stage_of = {row.job_id: row.id for row in queue.rows(stages)}
    assert after == {stage_of[two]: stage_of[one], stage_of[three]: stage_of[two]}


def test_what_already_succeeded_holds_nobody_up(queue: Queue) -> None:
    (first,) = queue.submit(job())
    queue.step()
    queue.finish(f"{first}.run")
    (second,) = queue.submit(job(after=(first,)))
    assert queue.in_line() == [f"{second}.run"]


def test_a_job_may_follow_the_last_one_or_the_last_of_its_own_name(queue: Queue) -> None:
    (first,) = queue.submit(job(name="nightly"))
    (second,) = queue.submit(job(name="nightly", after=("last",)))
    (third,) = queue.submit(job(name="nightly", after=("nightly",)))
    queue.step()
    assert queue.finish(f"{first}.run") == [f"{second}.run"]
    assert queue.finish(f"{second}.run") == [f"{third}.run"]


def test_a_job_cannot_follow_the_last_one_where_there_is_none(queue: Queue) -> None:
    with pytest.raises(NotFound, match="no job yet"):
        queue.submit(job(after=("last",)))
    with pytest.raises(NotFound, match="no job 1:"):
        queue.submit(job(after=(1,)))


def test_a_job_cannot_follow_one_that_comes_later_in_the_request(queue: Queue) -> None:
    queue.submit(job(name="late"))  # an old job of that name is not what is meant
    with pytest.raises(BadRequest, match="late comes later"):
        queue.submit(job(name="early", after=("late",)), job(name="late"))


def test_a_held_job_stands_in_no_line(queue: Queue) -> None:
    queue.submit(job(hold=True))
    assert queue.in_line() == []
    assert queue.step() == []


def test_a_number_is_never_given_twice(queue: Queue) -> None:
    (number,) = queue.submit(job())
    for table in (events, stages, jobs):
        queue.do(lambda c, t=table: c.execute(sa.delete(t)))
    assert queue.submit(job()) == [number + 1]


def test_a_request_may_have_more_jobs_than_a_statement_has_variables(queue: Queue) -> None:
    raw = queue.connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 110)
    numbers = queue.submit(*(job() for _ in range(120)))
    assert len(queue.in_line()) == len(numbers)


def test_a_job_waits_for_its_time_and_a_release_ends_that(queue: Queue) -> None:
    later = queue.now + 1000
    first, second, over = queue.submit(
        job("one", "two", not_before=later), job(not_before=later, hold=True), job(not_before=1.0)
    )
    assert names(queue.step()) == [f"{over}.run"]
    assert queue.next_at == later
    queue.release(first)
    assert names(queue.step()) == [f"{first}.one"]
    queue.release(second)  # which was held, too
    assert names(queue.step()) == []
    queue.release(second)
    assert names(queue.step()) == [f"{second}.run"]
    with pytest.raises(Refused, match="is not held, nor does it wait for a time"):
        queue.release(second)


def test_a_job_starts_when_its_time_has_come_and_those_before_it_have_succeeded(queue: Queue) -> None:
    soon = queue.now + 8
    first, after = queue.submit(job(name="a", not_before=soon), job(name="b", not_before=soon + 1, after=("a",)))
    assert queue.step() == []
    started = next(filter(None, (names(queue.step()) for _ in range(20))))
    assert started == [f"{first}.run"]
    assert queue.now >= soon
    assert queue.finish(f"{first}.run") == [f"{after}.run"]
