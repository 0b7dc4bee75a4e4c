"""What people change about jobs that have not ended."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.errors import BadRequest, NotFound, Refused
from labsched.store import health, tallies
from labsched.store.tables import events, jobs, stages
from tests.store import worlds
from tests.store.worlds import Queue, job, names
from tests.worlds import empty_queue


def counted(queue: Queue) -> list[tuple[dict[str, int], int]]:
    return sorted(queue.do(tallies.needs), key=str)


def test_a_higher_priority_goes_first(queue: Queue) -> None:
    queue.pool("CPU", 1)
    first, second, third = queue.submit(*[job(needs={"CPU": 1})] * 3)
    queue.step()
    queue.edit(third, priority=5)
    assert queue.finish(f"{first}.run") == [f"{third}.run"]
    queue.edit(third, priority=-1)  # of what runs, too: for its next attempt
    assert queue.finish(f"{third}.run") == [f"{second}.run"]


def test_other_needs_are_what_it_takes_and_is_counted_by(queue: Queue) -> None:
    queue.pool("CPU", 2)
    first, second = queue.submit(job(needs={"CPU": 2}), job(needs={"CPU": 2}))
    queue.step()
    queue.edit(second, needs={"GPU": 1}, up_to={})
    assert counted(queue) == [({"CPU": 2}, 1), ({"GPU": 1}, 1)]
    assert names(queue.step()) == [f"{second}.run"]
    [one, two] = queue.running().values()
    assert (one.slots, two.slots) == ({"CPU": 2}, {"GPU": 1})
    queue.finish(f"{first}.run")
    queue.finish(f"{second}.run")
    assert counted(queue) == []


def test_limits_a_name_and_a_time(queue: Queue) -> None:
    [number] = queue.submit(job())
    soon = queue.now + 5
    queue.edit(number, time_limit=60.0, memory=10**9, name="other", not_before=soon)
    assert queue.step() == []
    queue.edit(number, time_limit=0.0, not_before=0.0)
    [attempt] = queue.step()
    assert (attempt.time_limit, attempt.memory) == (None, 10**9)
    assert [row.name for row in queue.rows(jobs)] == ["other"]
    told = [row for row in queue.rows(events) if row.kind == "job.edited"]
    assert told[0].data == {"name": "other", "time_limit": 60.0, "memory": 10**9, "not_before": soon}
    assert (told[0].user, told[0].stage_id) == ("ann", attempt.stage)


def test_of_several_stages_one_is_named(queue: Queue) -> None:
    [number] = queue.submit(job("one", "two", "three"))
    with pytest.raises(BadRequest, match="of job 1 wait one, two, three: name one with --stage"):
        queue.edit(number, memory=10**9)
    queue.edit(number, stage="two", memory=10**9)
    queue.step()
    with pytest.raises(Refused, match="one of job 1 runs"):
        queue.edit(number, stage="one", memory=10**9)
    with pytest.raises(NotFound, match="its stages are one, two, three"):
        queue.edit(number, stage="four", memory=10**9)
    with pytest.raises(BadRequest, match="nothing was said of the stage"):
        queue.edit(number, stage="two", priority=1)
    with pytest.raises(Refused, match="runs: labsched hold 1"):
        queue.edit(number, not_before=queue.now + 1000)
    assert [row.memory for row in queue.rows(stages)] == [None, 10**9, None]


def test_what_could_not_be_queued_cannot_be_made_of_it(queue: Queue) -> None:
    [number] = queue.submit(job())
    for what, says in (
        ({"needs": {"CPU": 9}}, "it needs 9 slots of CPU, and there are 4"),
        ({"needs": {"NOPE": 1}}, "there is no pool NOPE"),
        ({"memory": 5}, "makes no sense"),
        ({"time_limit": -1.0}, "time limit"),
        ({"up_to": {"GPU": 2}}, "cannot be"),
        ({"name": " "}, "printable"),
        ({"priority": 10**9}, "a priority lies between"),
    ):
        with pytest.raises(BadRequest, match=says):
            queue.edit(number, **what)
    queue.shares = {"CPU": 2}
    with pytest.raises(BadRequest, match="one person may hold 2"):
        queue.edit(number, needs={"CPU": 3})
    queue.step()
    queue.finish(f"{number}.run")
    with pytest.raises(Refused, match="has ended already"):
        queue.edit(number, priority=1)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from([{}, {"CPU": 1}, {"CPU": 2}, {"GPU": 1}]),
            st.integers(-1, 1),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_whatever_is_changed_all_is_counted_and_in_its_line(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, dict[str, int], int, bool]]
) -> None:
    path = tmp_path_factory.mktemp("q") / "queue.db"
    path.write_bytes(empty_queue())
    with worlds.queue(path) as it:
        numbers = it.submit(*[job()] * 2, job("one", "two"), job(hold=True))
        for which, needs, priority, goes_on in steps:
            with suppress(Refused):  # it has ended, or runs
                it.edit(numbers[which], stage="two" if which == 2 else None, needs=needs, priority=priority)
            if goes_on:
                it.step()
                for name in it.running():
                    it.finish(name)
                    break
        assert health.broken(path) == []
        live = [row for row in it.rows(stages) if row.ended_at is None]
        assert sum(n for _, n in counted(it)) == len(live)
