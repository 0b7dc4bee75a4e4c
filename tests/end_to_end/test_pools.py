"""Pools hold: never more than the slots, and no slot idle while somebody waits for it."""

from datetime import datetime

import pytest

from labsched.core.model import JobSpec, StageSpec
from labsched.errors import BadRequest
from labsched.wire.messages import Attempt, Job, Pools
from labsched.wire.requests import PoolSet
from tests.worlds import QUICK, chain, command, eventually, world

FOUR = QUICK + "[pools]\nRAM = 2\nCPU = 4\n"
RAM, CPU = {"RAM": 1}, {"CPU": 1}


def spans(jobs: list[Job], stage: int) -> list[tuple[datetime, datetime]]:
    attempts: list[Attempt] = [job.stages[stage].attempts[0] for job in jobs]
    return [(a.started, a.ended) for a in attempts if a.started and a.ended]


def most_at_once(found: list[tuple[datetime, datetime]]) -> int:
    # An end at the very moment of a start frees the slot before it is taken.
    steps = sorted([(start, 1) for start, _ in found] + [(end, -1) for _, end in found])
    now = most = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def idle_gaps(found: list[tuple[datetime, datetime]], ready: list[datetime], slots: int) -> list[float]:
    """For each start: how long a slot was free and the stage ready before it began, in seconds."""
    gaps = []
    for (start, _), since in zip(found, ready, strict=True):
        busy = sorted((end for s, end in found if s < start), reverse=True)
        freed = busy[slots - 1] if len(busy) >= slots else None
        gaps.append((start - max(since, freed or since)).total_seconds())
    return gaps


def test_twelve_jobs_of_two_stages_fill_the_pools_and_never_exceed_them() -> None:
    with world(FOUR) as it:
        jobs = [chain(["sleep", "0.2"], ["sleep", "0.5"], name=f"b{i}", needs=(RAM, CPU)) for i in range(12)]
        ended = it.wait(*it.submit(*jobs))
        assert {job.outcome for job in ended} == {"succeeded"}
        one, two = spans(ended, 0), spans(ended, 1)
        assert (len(one), most_at_once(one)) == (12, 2)
        assert len(two) == 12
        assert most_at_once(two) <= 4
        # Nobody polls; how much shorter it is, `make bench-pools` shows on a machine that does nothing else.
        assert max(idle_gaps(one, [job.submitted for job in ended], 2)) < 1.0
        assert max(idle_gaps(two, [end for _, end in one], 4)) < 1.0
        assert all(start >= end for (start, _), (_, end) in zip(two, one, strict=True))


def test_a_pool_that_grows_starts_more_at_once_and_a_paused_one_nothing() -> None:
    with world(FOUR) as it:
        numbers = it.submit(*[command("sleep", "30", name=f"j{i}", needs=(RAM,)) for i in range(4)])

        def running() -> int:
            return it.status().counts.running

        eventually(lambda: running() == 2)
        it.client.post("pools/RAM", PoolSet(slots=3), Pools)
        eventually(lambda: running() == 3)
        paused = it.client.post("pools/RAM", PoolSet(paused=True), Pools).pools
        assert paused[0].paused_by is not None
        it.verb("cancel", numbers[0])
        row = next(row for row in it.status().jobs if row.id == numbers[3])
        assert (row.state, row.why) == ("waiting", "pool RAM is paused")
        it.client.post("pools/RAM", PoolSet(paused=False), Pools)
        eventually(lambda: running() == 3)


def test_a_stage_that_could_never_start_is_refused() -> None:
    with world(FOUR) as it:
        with pytest.raises(BadRequest, match="needs 5 slots of CPU, and there are 4"):
            it.submit(command("true", needs=({"CPU": 5},)))
        with pytest.raises(BadRequest, match="no pool TPU; the pools are CPU, GPU, RAM"):
            it.submit(command("true"), command("true", needs=({"TPU": 1},)))
        assert it.status().jobs == ()


def test_a_command_that_can_use_more_gets_what_is_spare_and_is_told() -> None:
    with world(FOUR) as it:
        wide = StageSpec("run", ("sh", "-c", "echo $LABSCHED_SLOTS_CPU; sleep 0.5"), CPU, "/", up_to={"CPU": 3})
        job = JobSpec("wide", (wide,), env={"PATH": "/bin:/usr/bin"})
        [number] = it.submit(job)
        eventually(lambda: it.job(number).state == "running")
        [cpu] = [pool for pool in it.status().pools if pool.name == "CPU"]
        assert cpu.used == 3
        it.wait(number)
        assert it.read_log(number) == "3\n"
        [stage] = it.job(number).stages
        assert (stage.needs, stage.up_to, stage.attempts[0].slots) == ({"CPU": 1}, {"CPU": 3}, {"CPU": 3})
        queued = it.submit(job, command("sleep", "1"), command("sleep", "1"), command("true", hold=True))
        it.wait(*queued[:-1])
        assert it.read_log(queued[0]) == "1\n"
