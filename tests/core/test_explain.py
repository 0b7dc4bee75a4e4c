"""Who waits is told why, in a sentence that is true."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.core.explain import why
from labsched.core.model import Holding, Pool, Snapshot, Waiting
from labsched.core.plan import Obstacle, line_of, plan
from labsched.core.units import duration
from tests.core.test_plan import NOW, snapshots

CPU = {"CPU": Pool("CPU", 4), "GPU": Pool("GPU", 1, paused=True)}


def reason(
    stage: Waiting, *others: Waiting, holdings: tuple[Holding, ...] = (), ahead: int = 0, share: int = 99
) -> tuple[str, str]:
    """What stands in the way of a stage, and how that is told."""
    decided = plan(Snapshot(CPU, holdings, (stage, *others), {"CPU": share}), NOW)
    return decided.blocked[line_of(stage)].obstacle, why(decided, stage, NOW, ahead)


def waiting(number: int, **needs: int) -> Waiting:
    return Waiting(number, number, "ann", needs)


def holding(number: int, end: float | None = None, **needs: int) -> Holding:
    return Holding(number, number, "bob", needs, end)


EXAMPLES = [
    (reason(waiting(5, TPU=1)), Obstacle.NO_POOL, "there is no pool TPU (any more)"),
    (reason(waiting(5, CPU=9)), Obstacle.TOO_WIDE, "needs 9 CPU: the pool has fewer"),
    (reason(waiting(5, GPU=1)), Obstacle.PAUSED, "pool GPU is paused"),
    (reason(waiting(5, GPU=1), ahead=3), Obstacle.PAUSED, "pool GPU is paused"),
    (reason(waiting(5, CPU=1), holdings=(holding(3, CPU=4),)), Obstacle.FULL, "CPU full: next after 3"),
    (
        reason(waiting(5, CPU=2), holdings=(holding(2, NOW + 7300, CPU=2), holding(3, NOW + 60, CPU=2))),
        Obstacle.FULL,
        "CPU full: next after 3 (~1m)",
    ),
    (
        reason(waiting(5, CPU=3), holdings=(holding(2, NOW + 7300, CPU=2), holding(3, NOW + 60, CPU=2))),
        Obstacle.FULL,
        "CPU full: next after 2 (~2h01)",
    ),
    (
        reason(waiting(5, CPU=1), holdings=(holding(3, NOW - 60, CPU=4),)),  # it takes longer than was thought
        Obstacle.FULL,
        "CPU full: next after 3 (~0s)",
    ),
    (reason(waiting(5, CPU=1), holdings=(holding(3, CPU=4),), ahead=2), Obstacle.FULL, "CPU full: 2 before it"),
    (reason(waiting(5, CPU=2), waiting(4, CPU=4)), Obstacle.FULL, "CPU full"),  # by what starts at this moment
    (
        reason(waiting(5, CPU=1), waiting(4, CPU=4), holdings=(holding(3, CPU=1),)),
        Obstacle.RESERVED,
        "CPU full: next after 4",
    ),
    (
        reason(waiting(5, CPU=2), holdings=(Holding(3, 3, "ann", {"CPU": 2}),), share=3),
        Obstacle.SHARE,
        "ann holds as much of CPU as one person may",
    ),
]


@pytest.mark.parametrize(("told", "obstacle", "sentence"), EXAMPLES)
def test_each_reason_has_its_sentence(told: tuple[str, str], obstacle: Obstacle, sentence: str) -> None:
    assert told == (obstacle, sentence)


def test_there_is_an_example_of_every_obstacle() -> None:
    assert {obstacle for _, obstacle, _ in EXAMPLES} == set(Obstacle)


def test_of_stages_alike_the_first_starts_and_the_next_is_told_what_it_waits_for() -> None:
    first, second, third = (waiting(n, CPU=1) for n in (5, 6, 7))
    decided = plan(Snapshot(CPU, (holding(3, CPU=3),), (first, second, third)), NOW)
    told = [why(decided, stage, NOW, ahead) for ahead, stage in enumerate((first, second, third))]
    assert told == ["starting", "CPU full: next after 3", "CPU full: 1 before it"]


@given(snapshots(), st.integers(0, 3))
def test_whoever_waits_gets_a_reason(snapshot: Snapshot, ahead: int) -> None:
    decided = plan(snapshot, NOW)
    known = {str(one.job) for one in (*snapshot.holdings, *snapshot.waiting)}
    for stage in snapshot.waiting:
        told = why(decided, stage, NOW, ahead)
        assert told.strip() == told != ""
        assert told.isprintable()
        assert "None" not in told
        assert (told == "starting") == (stage in decided.starts)
        assert set(re.findall(r"next after (\d+)", told)) <= known


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h00"),
        (7500, "2h05"),
        (86399, "23h59"),
        (86400, "1d 0h"),
        (273600, "3d 4h"),
    ],
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
