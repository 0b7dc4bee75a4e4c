"""Stages that can use more slots than they need: what they hold, and that nobody waits for it who was there before."""

from dataclasses import replace

from labsched.core.model import Ended, JobSpec, StageSpec
from labsched.core.states import Outcome
from labsched.store import lines
from labsched.store.attempts import Open
from tests.store.worlds import OK, Queue


def wide(needs: int = 1, up_to: int = 8, pool: str = "CPU", name: str = "sort") -> JobSpec:
    return JobSpec(name, (StageSpec("run", ("true",), {pool: needs}, "/", up_to={pool: up_to}),))


def plain(needs: int = 1) -> JobSpec:
    return JobSpec("plain", (StageSpec("run", ("true",), {"CPU": needs}, "/"),))


def ended(queue: Queue, one: Open) -> Ended:
    now = queue.now
    return Ended(one.id, now, OK, began=now - 1)


def slots(opened: list[Open]) -> list[int]:
    return [one.slots["CPU"] for one in opened]


def used(queue: Queue) -> int:
    return sum(holding.needs["CPU"] for holding in queue.do(lines.snapshot).holdings)


def test_alone_it_has_the_pool_and_gives_it_back(queue: Queue) -> None:
    queue.submit(wide())
    [one] = queue.step()
    assert (one.slots, used(queue)) == ({"CPU": 4}, 4)
    queue.submit(plain())
    assert queue.step() == []
    assert slots(queue.step(ended(queue, one))) == [1]
    assert used(queue) == 1


def test_what_is_queued_has_room_though_it_cannot_start_yet(queue: Queue) -> None:
    before = StageSpec("denoise", ("true",), {"RAM": 1}, "/")
    two = JobSpec("two", (before, wide().stages[0]))
    queue.submit(two, two, replace(plain(), hold=True))
    first, second = queue.step()
    assert slots(queue.step(ended(queue, first))) == [2]  # of four: one for each of the others
    assert slots(queue.step(ended(queue, second))) == [1]


def test_those_that_start_together_share(queue: Queue) -> None:
    queue.submit(wide(), wide(up_to=2))
    assert slots(queue.step()) == [2, 2]


def test_no_more_than_one_person_may_hold(queue: Queue) -> None:
    queue.shares = {"CPU": 3}
    queue.submit(wide())
    assert slots(queue.step()) == [3]


def test_a_daemon_that_comes_back_knows_what_it_has(queue: Queue) -> None:
    queue.submit(wide(up_to=3))
    queue.step()
    [one] = queue.running().values()
    assert (one.slots, used(queue)) == ({"CPU": 3}, 3)


def test_another_attempt_gets_what_is_spare_then(queue: Queue) -> None:
    [job] = queue.submit(wide())
    [one] = queue.step()
    queue.step(Ended(one.id, queue.now, Outcome.FAILED, exit_code=1))
    queue.submit(plain(2))
    queue.retry(job)
    assert sorted(slots(queue.step())) == [2, 2]


def test_nobody_follows_one_and_it_follows_nobody(queue: Queue) -> None:
    queue.submit(*[wide(up_to=2, name=f"w{n}") for n in range(12)])
    opened = queue.step()
    assert slots(opened) == [1, 1, 1, 1]
    now = queue.now
    more = queue.step(Ended(opened[0].id, now, OK, began=now))
    assert [one.behind for one in more] == [None]
