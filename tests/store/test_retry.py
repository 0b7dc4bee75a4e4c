"""A stage that is tried again by its policy: when, how often, and with what room."""

from pathlib import Path

import pytest

from labsched.core.model import Began, Ended, JobSpec, Retry, StageSpec
from labsched.core.states import Outcome, State
from tests.store import worlds
from tests.store.worlds import FAILED, OK

POLICY = Retry(2, wait=10.0)


@pytest.fixture
def queue(tmp_path: Path, blank: Path):  # type: ignore[no-untyped-def]
    path = tmp_path / "queue.db"
    path.write_bytes(blank.read_bytes())
    with worlds.queue(path) as it:
        yield it


def spec(retry: Retry | None = POLICY, ram: int = 1) -> JobSpec:
    stages = (StageSpec("one", ("true",), {"RAM": ram}, "/", retry=retry), StageSpec("two", ("true",), {"CPU": 1}, "/"))
    return JobSpec(name="j", stages=stages)


def end(queue: worlds.Queue, outcome: Outcome = FAILED, code: int | None = 1, oom: bool = False) -> list[str]:
    """End the one attempt that runs; returns what starts because of that."""
    [attempt] = queue.running().values()
    now = queue.now
    return worlds.names(queue.step(Began(attempt.id, now), Ended(attempt.id, now, outcome, exit_code=code, oom=oom)))


def test_it_comes_again_at_its_time_as_often_as_it_may_and_then_has_failed(queue: worlds.Queue) -> None:
    [job] = queue.submit(spec())
    assert worlds.names(queue.step()) == [f"{job}.one"]
    for wait in (10.0, 20.0):
        assert end(queue) == []
        assert queue.states(job) == [State.WAITING, State.WAITING]
        assert queue.next_at is not None
        ended = queue.next_at - wait
        while queue.now < ended + wait - 2:
            assert queue.step() == []
        assert worlds.names(queue.step()) + worlds.names(queue.step()) == [f"{job}.one"]
        assert queue.next_at is None
    end(queue)
    assert queue.states(job) == [FAILED, Outcome.SKIPPED]


def test_not_now_is_not_counted_and_a_success_goes_on(queue: worlds.Queue) -> None:
    [job] = queue.submit(spec(retry=None))
    queue.step()
    for _ in range(3):
        end(queue, code=75)
        assert queue.states(job) == [State.WAITING, State.WAITING]
        queue.retry(job)  # at once
        queue.step()
    assert end(queue, OK, 0) == [f"{job}.two"]


def test_after_want_of_memory_it_comes_again_alone_in_its_pool(queue: worlds.Queue) -> None:
    [greedy] = queue.submit(spec(Retry(1, wait=0.0)))
    queue.step()
    assert end(queue, code=None, oom=True) == [f"{greedy}.one"]
    [other] = queue.submit(spec(None))
    assert queue.step() == []  # the first one takes both slots of RAM
    assert queue.in_line() == [f"{other}.one"]
    assert end(queue, OK, 0) == [f"{greedy}.two", f"{other}.one"]


def test_a_pool_that_changes_while_it_waits_to_be_alone_changes_what_it_takes(queue: worlds.Queue) -> None:
    [job] = queue.submit(spec(Retry(1, wait=0.0)))
    queue.step()
    queue.pool("RAM", paused=True)
    end(queue, code=None, oom=True)
    for slots in (5, 1):
        queue.pool("RAM", slots=slots)
        queue.step()
        assert queue.in_line() == [f"{job}.one"]
    queue.pool("RAM", paused=False)
    [attempt] = queue.step()
    assert attempt.slots == {"RAM": 1}


def test_what_is_cancelled_or_stopped_does_not_come_again(queue: worlds.Queue) -> None:
    first, second = queue.submit(spec(), spec())
    queue.step()
    queue.cancel(first)
    [one, two] = queue.running().values()
    now = queue.now
    queue.step(Began(one.id, now), Ended(one.id, now, FAILED, exit_code=1))
    assert queue.states(first)[0] == FAILED
    queue.step(Began(two.id, now), Ended(two.id, queue.now, Outcome.LOST))
    assert queue.states(second)[0] == State.WAITING
    queue.cancel(second)
    assert queue.states(second) == [Outcome.CANCELLED, Outcome.CANCELLED]
    queue.step()
    assert queue.next_at is None


def test_a_person_who_retries_begins_the_count_anew(queue: worlds.Queue) -> None:
    [job] = queue.submit(spec(Retry(1, wait=0.0)))
    queue.step()
    end(queue)
    queue.step()
    end(queue)
    assert queue.states(job)[0] == FAILED
    queue.retry(job)
    queue.step()
    end(queue)
    assert queue.states(job)[0] in (State.WAITING, State.STARTING)
