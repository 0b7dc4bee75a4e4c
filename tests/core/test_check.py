"""What cannot be queued is told in a sentence, and whatever can be queued can run."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.core.check import MAX_NAME, MAX_PRIORITY, MAX_STAGES, problem
from labsched.core.model import JobSpec, Pool, Snapshot, StageSpec, Waiting
from labsched.core.plan import plan

POOLS = {"CPU": 4, "GPU": 0}
STAGE = StageSpec("run", ("true",), {"CPU": 1}, "/")
JOB = JobSpec("job", (STAGE,))


def with_stage(**changes: object) -> JobSpec:
    return replace(JOB, stages=(replace(STAGE, **changes),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "job",
    [
        JOB,
        replace(JOB, name="x" * MAX_NAME),
        replace(JOB, name="Block 17, größer/日本"),
        replace(JOB, priority=-MAX_PRIORITY),
        replace(JOB, env={"A": "", "b": "c=d\n"}),
        replace(JOB, stages=tuple(replace(STAGE, name=f"s{i}") for i in range(MAX_STAGES))),
        with_stage(name="0-a_b.C" + "x" * 57),
        with_stage(argv=("cat", "", "a b\n")),
        with_stage(needs={}),
        with_stage(needs={"CPU": 4, "GPU": 0}),
        with_stage(up_to={"CPU": 100}),
        with_stage(time_limit=0.1),
        with_stage(memory=1_000_000),
    ],
)
def test_what_makes_sense_is_taken(job: JobSpec) -> None:
    assert problem(job, POOLS) is None


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        (replace(JOB, name=" "), "a job's name must have"),
        (replace(JOB, name="x" * (MAX_NAME + 1)), "a job's name must have"),
        (replace(JOB, name="a\nb"), "printable"),
        (replace(JOB, name="a\x1b[31m"), "printable"),
        (replace(JOB, stages=()), "1 to 100 stages"),
        (replace(JOB, stages=tuple(replace(STAGE, name=f"s{i}") for i in range(MAX_STAGES + 1))), "1 to 100 stages"),
        (replace(JOB, stages=(STAGE, STAGE)), "two of its stages have one name"),
        (replace(JOB, priority=MAX_PRIORITY + 1), "a priority lies between"),
        (replace(JOB, env={"": "x"}), "cannot be a variable"),
        (replace(JOB, env={"A=B": "x"}), "cannot be a variable"),
        (replace(JOB, env={"A": "x\0"}), "cannot be a variable"),
        (with_stage(env={"A\0": "x"}), "cannot be a variable"),
        (with_stage(name=""), "not a stage's name"),
        (with_stage(name="a/b"), "not a stage's name"),
        (with_stage(name=".."), "not a stage's name"),
        (with_stage(name="run\n"), "not a stage's name"),
        (with_stage(name="x" * 65), "not a stage's name"),
        (with_stage(argv=()), "no command"),
        (with_stage(argv=("", "x")), "no command"),
        (with_stage(argv=("echo", "\0")), "NUL"),
        (with_stage(cwd="/a\0"), "NUL"),
        (with_stage(outputs=("a\0",)), "NUL"),
        (with_stage(cwd="here"), "'here' is not absolute"),
        (with_stage(cwd=""), "is not absolute"),
        (with_stage(time_limit=0.0), "time limit"),
        (with_stage(memory=0), "memory"),
        (with_stage(memory=10**19), "memory"),
        (with_stage(time_limit=-1.0), "time limit"),
        (with_stage(time_limit=float("inf")), "time limit"),
        (with_stage(time_limit=float("nan")), "time limit"),
        (with_stage(needs={"CPU": -1}), "needs -1 slots of CPU"),
        (with_stage(needs={"CPU": 5}), "it needs 5 slots of CPU, and there are 4"),
        (with_stage(needs={"GPU": 1}), "it needs 1 slot of GPU, and there are 0"),
        (with_stage(needs={"TPU": 1}), "there is no pool TPU; the pools are CPU, GPU"),
    ],
)
def test_what_makes_no_sense_is_told(job: JobSpec, sentence: str) -> None:
    told = problem(job, POOLS)
    assert told is not None
    assert sentence in told
    assert told.startswith(job.name if "name must" not in told else "a job's name")


pools = st.dictionaries(st.sampled_from(["CPU", "GPU", "RAM"]), st.integers(0, 3))
needs = st.dictionaries(st.sampled_from(["CPU", "GPU", "RAM"]), st.integers(-1, 4))


@given(pools, needs)
def test_a_stage_that_is_taken_starts_when_everything_is_free_and_no_other_ever_would(
    slots: dict[str, int], wanted: dict[str, int]
) -> None:
    world = {name: Pool(name, n) for name, n in slots.items()}
    taken = problem(with_stage(needs=wanted), slots) is None
    sensible = all(n >= 0 for n in wanted.values()) and set(wanted) <= set(slots)
    starts = plan(Snapshot(world, (), (Waiting(1, 1, "ann", wanted),)), 0.0).starts != () if sensible else False
    assert taken == starts


@given(st.text(max_size=70))
def test_the_folder_of_an_attempt_lies_where_it_should(name: str) -> None:
    if problem(with_stage(name=name), POOLS) is None:
        assert name.isascii()
        assert not set(name) & set("/\0\n ")
        assert name not in (".", "..")
        assert not name.startswith(("-", "."))
