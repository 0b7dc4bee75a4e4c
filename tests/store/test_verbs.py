"""What people do to jobs: cancel, hold, release, retry; and to pools."""

import pytest

from labsched.core.model import Began, Ended
from labsched.core.states import Outcome, State
from labsched.errors import NotFound, Refused
from labsched.store import read, tallies, verbs
from labsched.store.tables import events, jobs, pools, stages
from tests.store.worlds import FAILED, OK, Queue, job, names

WAITING, RUNNING = State.WAITING, State.RUNNING
CANCELLED, SKIPPED = Outcome.CANCELLED, Outcome.SKIPPED


def failed_at(queue: Queue, stage: int, *names: str) -> int:
    """A job whose stages before this one succeeded, and this one failed."""
    (number,) = queue.submit(job(*names))
    queue.step()
    for i, name in enumerate(names[: stage + 1]):
        queue.finish(f"{number}.{name}", FAILED if i == stage else OK)
    return number


# -- cancel


def test_a_cancel_ends_all_that_waits_at_once(queue: Queue) -> None:
    (number,) = queue.submit(job("one", "two", "three"))
    assert queue.cancel(number, "wrong probe") == []
    assert queue.states(number) == [CANCELLED] * 3
    assert {row.reason for row in queue.rows(stages)} == {"by ann: wrong probe"}
    told = [row.kind for row in queue.rows(events) if row.stage_id]
    assert told == ["stage.cancelled"] * 3  # each ends once: none is skipped first for want of the one before
    assert queue.step() == []


def test_a_cancel_asks_what_runs_to_stop_and_it_ends_cancelled_by_that_person(queue: Queue) -> None:
    (number,) = queue.submit(job("one", "two"))
    queue.step()
    (stage,) = queue.cancel(number)
    assert queue.states(number) == [State.STARTING, CANCELLED]
    (attempt,) = queue.running().values()
    assert (attempt.stage, attempt.stopping) == (stage, True)
    queue.finish(f"{number}.one", CANCELLED)
    assert queue.states(number) == [CANCELLED, CANCELLED]
    assert queue.rows(stages)[0].reason == "by ann"


def test_a_stage_that_was_stopped_by_no_person_is_lost(queue: Queue) -> None:
    (number,) = queue.submit(job())
    queue.step()
    queue.finish(f"{number}.run", CANCELLED)
    assert queue.states(number) == [Outcome.LOST]


def test_a_stage_that_succeeds_before_it_is_stopped_has_succeeded(queue: Queue) -> None:
    (number,) = queue.submit(job("one", "two"))
    queue.step()
    queue.cancel(number)
    assert queue.finish(f"{number}.one", OK) == []
    assert queue.states(number) == [OK, CANCELLED]


def test_a_cancel_skips_the_jobs_that_come_after(queue: Queue) -> None:
    (first,) = queue.submit(job("one", "two"))
    (second,) = queue.submit(job(after=(first,)))
    (third,) = queue.submit(job("one", "two", after=(second,), hold=True))
    queue.cancel(first)
    assert queue.states(second) == [SKIPPED]
    assert queue.states(third) == [SKIPPED, SKIPPED]
    reasons = [row.reason for row in queue.rows(stages) if row.job_id != first]
    assert reasons == [f"job {first} did not succeed", f"job {second} did not succeed", "one did not succeed"]


def test_what_has_ended_cannot_be_cancelled(queue: Queue) -> None:
    number = failed_at(queue, 0, "one", "two")
    with pytest.raises(Refused, match="ended already"):
        queue.cancel(number)


def test_a_second_cancel_while_it_stops_names_the_same_stages(queue: Queue) -> None:
    (number,) = queue.submit(job())
    queue.step()
    assert queue.cancel(number) == queue.cancel(number) != []


# -- failing, and what follows from it


@pytest.mark.parametrize("how", [FAILED, Outcome.TIMED_OUT, Outcome.LOST])
def test_the_stages_after_one_that_does_not_succeed_are_skipped(queue: Queue, how: Outcome) -> None:
    (number,) = queue.submit(job("one", "two", "three"))
    queue.step()
    assert queue.finish(f"{number}.one", how) == []
    assert queue.states(number) == [how, SKIPPED, SKIPPED]


def test_what_is_told_twice_is_learnt_once(queue: Queue) -> None:
    (number,) = queue.submit(job())
    (attempt,) = queue.step()
    queue.finish(f"{number}.run", OK)
    before = queue.rows(events)
    queue.step(Began(attempt.id, 5.0), Ended(attempt.id, 6.0, FAILED))
    assert queue.rows(events) == before


# -- hold and release


def test_hold_takes_a_job_out_of_the_line_and_release_puts_it_back(queue: Queue) -> None:
    (number,) = queue.submit(job())
    queue.hold(number)
    assert queue.step() == []
    queue.hold(number)  # to hold what is held is no mistake
    queue.release(number)
    assert names(queue.step()) == [f"{number}.run"]


def test_a_job_held_while_it_runs_stops_before_its_next_stage(queue: Queue) -> None:
    (number,) = queue.submit(job("one", "two"))
    queue.step()
    queue.hold(number)
    assert queue.finish(f"{number}.one") == []
    queue.release(number)
    assert names(queue.step()) == [f"{number}.two"]


def test_a_job_released_before_its_turn_still_waits_for_the_one_before(queue: Queue) -> None:
    (first,) = queue.submit(job())
    (second,) = queue.submit(job(after=(first,), hold=True))
    queue.release(second)
    assert queue.in_line() == [f"{first}.run"]


def test_only_what_is_held_is_released_and_only_what_lives_is_held(queue: Queue) -> None:
    number = failed_at(queue, 0, "run")
    with pytest.raises(Refused, match="ended already"):
        queue.hold(number)
    with pytest.raises(Refused, match="not held"):
        queue.release(number)


# -- retry


def test_retry_starts_at_the_stage_that_failed(queue: Queue) -> None:
    number = failed_at(queue, 1, "one", "two", "three")
    queue.retry(number)
    assert queue.states(number) == [OK, WAITING, WAITING]
    (attempt,) = queue.step()
    assert (attempt.stage_name, attempt.number, attempt.folder) == ("two", 2, f"{number}/two.2")
    assert queue.finish(f"{number}.two") == [f"{number}.three"]


def test_retry_from_a_stage_does_it_and_all_after_it_again(queue: Queue) -> None:
    number = failed_at(queue, 2, "one", "two", "three")
    queue.retry(number, "two")
    assert queue.states(number) == [OK, WAITING, WAITING]
    assert queue.in_line() == [f"{number}.two"]


def test_a_job_that_succeeded_is_only_done_again_from_a_stage(queue: Queue) -> None:
    (number,) = queue.submit(job("one", "two"))
    queue.step()
    queue.finish(f"{number}.one")
    queue.finish(f"{number}.two")
    with pytest.raises(Refused, match=rf"labsched retry {number} --from one"):
        queue.retry(number)
    queue.retry(number, "one")
    assert queue.states(number) == [WAITING, WAITING]


@pytest.mark.parametrize(
    ("from_stage", "error", "sentence"),
    [
        ("three", Refused, "cannot start at three: two before it did not succeed"),
        ("four", NotFound, "no stage 'four'; its stages are one, two, three"),
    ],
)
def test_a_retry_that_cannot_be_is_refused_with_the_reason(
    queue: Queue, from_stage: str, error: type[Exception], sentence: str
) -> None:
    number = failed_at(queue, 1, "one", "two", "three")
    with pytest.raises(error, match=sentence):
        queue.retry(number, from_stage)


def test_what_has_not_ended_is_not_retried(queue: Queue) -> None:
    (number,) = queue.submit(job("one", "two"))
    for _ in range(2):
        with pytest.raises(Refused, match="has not ended"):
            queue.retry(number)
        queue.step()


def test_a_retry_brings_the_jobs_along_that_were_skipped_for_it(queue: Queue) -> None:
    (first,) = queue.submit(job())
    (second,) = queue.submit(job("one", "two", after=(first,)))
    queue.step()
    queue.finish(f"{first}.run", FAILED)
    queue.retry(first)
    assert queue.states(second) == [WAITING, WAITING]
    queue.step()
    assert queue.finish(f"{first}.run") == [f"{second}.one"]


def test_a_job_that_waits_is_called_back_when_the_one_before_it_is_done_again(queue: Queue) -> None:
    (first,) = queue.submit(job())
    queue.step()
    queue.finish(f"{first}.run")
    (second,) = queue.submit(job(after=(first,)))
    queue.retry(first, "run")
    assert queue.in_line() == [f"{first}.run"]
    queue.step()
    queue.finish(f"{first}.run", FAILED)
    assert queue.states(second) == [SKIPPED]


def test_a_job_after_two_that_failed_comes_back_only_when_both_are_retried(queue: Queue) -> None:
    first, second, third = queue.submit(job(name="a"), job(name="b"), job(after=("a", "b")))
    queue.step()
    queue.finish(f"{first}.run", FAILED)
    queue.finish(f"{second}.run", FAILED)
    queue.retry(first)
    assert queue.states(third) == [SKIPPED]
    queue.retry(second)
    assert queue.states(third) == [WAITING]


def test_a_job_is_not_retried_while_the_one_before_it_has_not_succeeded(queue: Queue) -> None:
    (first,) = queue.submit(job())
    (second,) = queue.submit(job(after=(first,)))
    queue.step()
    queue.finish(f"{first}.run", FAILED)
    with pytest.raises(Refused, match=f"job {first} before it did not succeed: labsched retry {first}"):
        queue.retry(second)


def test_a_retry_does_not_put_the_same_thing_in_the_queue_twice(queue: Queue) -> None:
    (old,) = queue.submit(job(key="block"))
    queue.step()
    queue.finish(f"{old}.run", FAILED)
    (new,) = queue.submit(job(key="block"))
    with pytest.raises(Refused, match=f"block is queued already, as job {new}"):
        queue.retry(old)


def test_a_retry_does_not_bring_along_what_was_queued_anew(queue: Queue) -> None:
    (first,) = queue.submit(job())
    (second,) = queue.submit(job("one", "two", key="block", after=(first,)))
    queue.cancel(first)
    (anew,) = queue.submit(job(key="block"))
    queue.retry(first)
    assert queue.states(second) == [SKIPPED, SKIPPED]
    assert queue.states(anew) == [WAITING]


# -- order


def test_the_oldest_goes_first_but_for_priority(queue: Queue) -> None:
    queue.pool("CPU", slots=1)
    a, b, urgent = queue.submit(job(), job(), job(priority=1))
    assert names(queue.step()) == [f"{urgent}.run"]
    assert queue.finish(f"{urgent}.run") == [f"{a}.run"]
    assert queue.finish(f"{a}.run") == [f"{b}.run"]


def test_people_take_turns(queue: Queue) -> None:
    ann = queue.submit(job(), job(), job(), user="ann")
    bob = queue.submit(job(), job(), user="bob")
    assert names(queue.step()) == [f"{n}.run" for n in (ann[0], bob[0], ann[1], bob[1])]


def test_a_wide_stage_is_not_overtaken_by_narrow_ones_once_others_like_it_run(queue: Queue) -> None:
    wide = {"CPU": 3, "RAM": 1}
    first, second = queue.submit(job(needs=wide, priority=1), job(needs=wide, priority=1))
    narrow = queue.submit(job(needs={"CPU": 1}), job(needs={"CPU": 1}))
    assert names(queue.step()) == [f"{first}.run"]
    assert queue.finish(f"{first}.run") == [f"{second}.run", f"{narrow[0]}.run"]


def test_however_many_start_at_once_the_first_go_first(queue: Queue) -> None:
    queue.pool("CPU", slots=70)
    late = queue.submit(*(job() for _ in range(5)), user="bob")
    early = queue.submit(*(job(priority=1) for _ in range(80)))
    assert {a.job for a in queue.step()} == set(early[:70])
    assert queue.in_line()[:5] == [f"{n}.run" for n in late]


def test_what_needs_nothing_starts_whatever_the_pools_are(queue: Queue) -> None:
    queue.pool("CPU", slots=0)
    (number,) = queue.submit(job(needs={}))
    assert names(queue.step()) == [f"{number}.run"]


# -- pools


def test_a_paused_pool_finishes_what_it_runs_and_starts_nothing(queue: Queue) -> None:
    first, second = queue.submit(job("one", "two"), job())
    queue.pool("CPU", slots=1)
    queue.step()
    queue.pool("CPU", paused=True)
    assert queue.finish(f"{first}.one") == []
    queue.pool("CPU", paused=False)
    assert names(queue.step()) in ([f"{first}.two"], [f"{second}.run"])


def test_a_pool_that_shrinks_takes_nothing_from_what_runs(queue: Queue) -> None:
    numbers = queue.submit(*(job() for _ in range(6)))
    assert len(queue.step()) == 4
    queue.pool("CPU", slots=2)
    assert queue.finish(f"{numbers[0]}.run") == []
    assert queue.finish(f"{numbers[1]}.run") == []
    assert queue.finish(f"{numbers[2]}.run") == [f"{numbers[4]}.run"]


def test_a_pool_says_who_paused_it_and_a_change_of_slots_leaves_it_paused(queue: Queue) -> None:
    queue.pool("GPU", paused=True)
    queue.pool("GPU", slots=3)
    row = next(row for row in queue.rows(pools) if row.name == "GPU")
    assert (row.slots, row.paused_by) == (3, "ann")
    assert row.paused_at is not None


def test_a_pool_that_is_not_there_is_told_with_those_that_are(queue: Queue) -> None:
    with pytest.raises(NotFound, match="no pool TPU; the pools are RAM, CPU, GPU"):
        queue.pool("TPU", slots=1)


def test_the_configuration_adds_pools_and_never_takes_back_what_people_set(queue: Queue) -> None:
    queue.pool("CPU", slots=7)
    queue.do(verbs.declare_pools, {"DISK": 2, "CPU": 4}, queue.now)
    assert {row.name: row.slots for row in queue.rows(pools)} == {"RAM": 2, "CPU": 7, "GPU": 1, "DISK": 2}


def test_what_people_set_before_the_configuration_was_written_down_stays(queue: Queue) -> None:
    queue.pool("CPU", slots=7)
    queue.do(lambda c: c.execute(pools.update().values(configured=verbs.UNKNOWN)))
    assert queue.do(verbs.configure_pools, {"CPU": 4}, queue.now, None) == []
    assert queue.do(verbs.configure_pools, {"CPU": 4}, queue.now, None) == []
    assert queue.do(verbs.configure_pools, {"CPU": 5}, queue.now, None) == [("CPU", 7, 5)]


# -- events


def test_every_verb_leaves_an_event_with_who_did_it(queue: Queue) -> None:
    number = failed_at(queue, 0, "run")
    queue.retry(number)
    queue.hold(number)
    queue.release(number)
    queue.pool("GPU", slots=2)
    queue.cancel(number, "enough")
    told = [(row.kind, row.user) for row in queue.rows(events) if not row.kind.startswith(("stage.", "pool.added"))]
    assert told == [
        (kind, "ann")
        for kind in ("job.submitted", "job.retried", "job.held", "job.released", "pool.changed", "job.cancelled")
    ]


def test_jobs_that_come_after_each_other_are_cancelled_and_not_skipped(queue: Queue) -> None:
    first, second, third = queue.submit(job(name="a"), job("x", "y", name="b", after=("a",)), job(after=("b",)))
    queue.do(verbs.cancel, [third, second, first], queue.now, "ann", "all of it")
    assert {(row.outcome, row.reason) for row in queue.rows(stages)} == {(Outcome.CANCELLED, "by ann: all of it")}


def test_thousands_of_jobs_are_cancelled_held_and_released_together_or_none(queue: Queue) -> None:
    count = 2 * verbs.TOGETHER + 1
    numbers = queue.submit(*(job("one", "two") for _ in range(count)))
    [ended] = queue.submit(job())
    queue.cancel(ended)
    before = [queue.rows(table) for table in (jobs, stages, events)]
    with pytest.raises(Refused, match=f"job {ended} has ended already"):
        queue.do(verbs.hold, [*numbers, ended], queue.now, "ann")
    with pytest.raises(Refused, match=f"job {ended} has ended already"):
        queue.do(verbs.cancel, [*numbers, ended], queue.now, "ann", None)
    assert [queue.rows(table) for table in (jobs, stages, events)] == before
    queue.do(verbs.hold, numbers, queue.now, "ann")
    assert (queue.in_line(), tallies.lines(queue.connection)) == ([], {})
    with pytest.raises(Refused, match=f"job {ended} is not held"):
        queue.do(verbs.release, [*numbers, ended], queue.now, "ann")
    assert queue.in_line() == []
    queue.do(verbs.release, numbers, queue.now, "ann")
    assert len(queue.in_line()) == count
    assert queue.do(verbs.cancel, numbers, queue.now, "ann", None) == []
    assert {row.outcome for row in queue.rows(jobs)} == {Outcome.CANCELLED}


def test_of_ones_own_those_are_meant_of_which_a_verb_makes_sense(queue: Queue) -> None:
    def mine(verb: str, *, waiting: bool = False, limit: int = 9) -> list[int]:
        return queue.do(read.mine, 1000, verb, waiting=waiting, limit=limit)

    running, waiting, held = queue.submit(job(priority=9), job(needs={"CPU": 9}), job(hold=True))
    [ended] = queue.submit(job())
    queue.cancel(ended)
    queue.step()
    assert mine("cancel") == [held, waiting, running]
    assert mine("cancel", waiting=True) == [held, waiting]
    assert mine("cancel", limit=1) == [held]
    assert (mine("hold"), mine("release")) == ([waiting, running], [held])
    assert queue.do(read.mine, 1001, "cancel", waiting=False, limit=9) == []
