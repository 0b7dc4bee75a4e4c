"""The simulator keeps the plan's promises to the end: all runs, in order, within the pools."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.core.model import Holding, Pool, Snapshot, Waiting
from labsched.core.plan import plan
from labsched.core.simulate import Job, Ran, Report, Work, report, simulate

POOLS = {"RAM": 2, "CPU": 4}
needs = st.sampled_from([{"CPU": 1}, {"CPU": 1}, {"RAM": 1}, {"CPU": 3}, {"CPU": 4, "RAM": 1}, {"RAM": 0}, {}])
works = st.builds(Work, needs, st.sampled_from([0.0, 0.5, 1.0, 3.0]))
singles = st.builds(
    Job,
    at=st.sampled_from([0.0, 0.0, 1.0, 2.5]),
    user=st.sampled_from(["ann", "bob"]),
    stages=st.lists(works, min_size=1, max_size=3).map(tuple),
    priority=st.integers(0, 1),
)
many = st.lists(singles, max_size=25).map(lambda jobs: sorted(jobs, key=lambda job: job.at))
shares = st.sampled_from([{}, {"CPU": 2}])


@given(many, shares)
def test_every_stage_runs_once_for_as_long_as_it_takes_and_after_the_one_before_it(
    jobs: list[Job], shares: dict[str, int]
) -> None:
    ran = {(one.job, one.position): one for one in simulate(POOLS, jobs, shares)}
    assert sorted(ran) == [(i, j) for i, job in enumerate(jobs) for j in range(len(job.stages))]
    for (number, position), one in ran.items():
        before = ran[number, position - 1].ended if position else jobs[number].at
        assert one.ready == before <= one.started
        assert one.ended == one.started + jobs[number].stages[position].seconds


@given(many, shares)
def test_no_pool_is_ever_over_its_slots_nor_anybody_over_their_share(jobs: list[Job], shares: dict[str, int]) -> None:
    ran = list(simulate(POOLS, jobs, shares))
    for moment in {one.started for one in ran}:
        runs = [one for one in ran if one.started <= moment < one.ended]
        for pool, slots in POOLS.items():
            assert sum(one.needs.get(pool, 0) for one in runs) <= slots
        for user in ("ann", "bob"):
            held = [one.needs["CPU"] for one in runs if jobs[one.job].user == user and one.needs.get("CPU")]
            assert not shares or sum(held) <= shares["CPU"] or len(held) == 1


@given(many)
def test_who_asks_for_the_same_is_served_in_order(jobs: list[Job]) -> None:
    same = [replace(job, user="ann", priority=0, stages=(Work({"CPU": 2}, 1.0),)) for job in jobs]
    starts = {one.job: one.started for one in simulate(POOLS, same)}
    assert all(starts[a] <= starts[b] for a, b in pairwise(range(len(same))))


@given(many)
def test_no_slot_stays_free_while_somebody_waits_for_one(jobs: list[Job]) -> None:
    single = [replace(job, stages=(Work({"CPU": 1}, 1.5),)) for job in jobs]
    ran = list(simulate(POOLS, single))
    for late in (one for one in ran if one.started > one.ready):
        just_before = [one for one in ran if one.started < late.started <= one.ended]
        assert len(just_before) >= POOLS["CPU"]


@given(many, shares)
def test_it_decides_as_the_plan_does_that_sees_all_that_waits(jobs: list[Job], shares: dict[str, int]) -> None:
    found = {(one.job, one.position): one.started for one in simulate(POOLS, jobs, shares)}
    assert found == plainly(jobs, shares)


def plainly(jobs: list[Job], shares: dict[str, int]) -> dict[tuple[int, int], float]:
    """When each stage starts, by the plan on the whole queue, at every moment at which anything happens."""
    pools = {name: Pool(name, slots) for name, slots in POOLS.items()}
    numbers = [(i, j) for i, job in enumerate(jobs) for j in range(len(job.stages))]
    ready = {(i, 0): job.at for i, job in enumerate(jobs)}
    started: dict[tuple[int, int], float] = {}
    ended: dict[tuple[int, int], float] = {}
    now = -1.0
    while len(ended) < len(numbers):
        ends = {it: at + jobs[it[0]].stages[it[1]].seconds for it, at in started.items() if it not in ended}
        now = min([*ends.values(), *(at for at in ready.values() if at > now)])
        for it in [it for it, at in ends.items() if at <= now]:
            ended[it] = now
            if it[1] + 1 < len(jobs[it[0]].stages):
                ready[it[0], it[1] + 1] = now
        holdings = tuple(
            Holding(numbers.index(it), it[0], jobs[it[0]].user, jobs[it[0]].stages[it[1]].needs)
            for it in started
            if it not in ended
        )
        waiting = tuple(
            Waiting(numbers.index(it), it[0], jobs[it[0]].user, jobs[it[0]].stages[it[1]].needs, jobs[it[0]].priority)
            for it, at in ready.items()
            if at <= now and it not in started
        )
        for start in plan(Snapshot(pools, holdings, waiting, shares), now).starts:
            started[numbers[start.stage]] = now
    return started


def test_forty_jobs_of_two_stages_take_the_ideal_time() -> None:
    job = Job(0.0, "ann", (Work({"RAM": 1}, 0.2), Work({"CPU": 1}, 0.2)))
    found = report(POOLS, simulate(POOLS, [job] * 40))
    assert found.makespan == pytest.approx(21 * 0.2)
    assert found.use == pytest.approx({"RAM": 20 / 21, "CPU": 10 / 21})
    assert found.waited_most == pytest.approx(19 * 0.2)


def test_nothing_to_do_takes_no_time() -> None:
    nothing: list[Ran] = []
    assert report(POOLS, nothing) == Report(0, 0.0, 0.0, 0.0, 0.0, {"RAM": 0.0, "CPU": 0.0})
    assert list(simulate(POOLS, [])) == []


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ([Job(0, "ann", (Work({"CPU": 5}, 1),))], "it needs 5 slots of CPU, and there are 4"),
        ([Job(0, "ann", (Work({"GPU": 1}, 1),))], "there is no pool GPU"),
        ([Job(1, "ann", (Work({}, 1),)), Job(0, "ann", (Work({}, 1),))], "job 1 is submitted before"),
        ([Job(0, "ann", ())], "job 0 has no stage"),
        ([Job(0, "ann", (Work({}, float("nan")),))], "a stage of nan seconds"),
        ([Job(float("nan"), "ann", (Work({}, 1),))], "job 0 is submitted before"),
    ],
)
def test_what_cannot_be_simulated_is_said(jobs: list[Job], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list(simulate(POOLS, jobs))
