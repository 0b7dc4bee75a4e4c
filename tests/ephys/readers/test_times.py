"""Gaps are found where they are, whether the times can be read from anywhere or only in order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labsched.ephys.readers.times import Backwards, Run, runs, runs_of_stream

DT = 1 / 20000


def stamps(lengths: list[int], gaps: list[float], start: float = 0.0) -> np.ndarray:
    """Times of runs of some lengths with gaps (in samples, beyond the normal step) between them."""
    steps = np.concatenate([np.ones(each) for each in lengths])
    for index, gap in zip(np.cumsum(lengths)[:-1], gaps, strict=False):
        steps[index] += gap
    return start + (np.cumsum(steps) - 1) * DT


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9000), min_size=1, max_size=6),
    gaps=st.lists(st.floats(0.7, 1e6), min_size=5, max_size=5),
    start=st.floats(0, 5000),
    piece=st.integers(100, 7000),
)
def test_runs_are_what_was_made(lengths, gaps, start, piece):
    times = stamps(lengths, gaps, start)
    found = runs(lambda a, b: times[a:b], len(times), DT)
    firsts = [0, *np.cumsum(lengths)[:-1].tolist()]
    assert found == [Run(a, n, times[a]) for a, n in zip(firsts, lengths, strict=True)]
    assert runs_of_stream((times[i : i + piece] for i in range(0, len(times), piece)), DT) == found


def test_a_clock_that_drifts_has_no_gaps():
    times = np.arange(300_000) * DT * (1 + 1e-5)
    assert runs(lambda a, b: times[a:b], len(times), DT) == [Run(0, 300_000, 0.0)]


def test_few_times_are_read_of_many():
    times = stamps([2_000_000, 1_000_000], [50.0])
    read = []

    def fetch(a: int, b: int) -> np.ndarray:
        read.append(b - a)
        return times[a:b]

    assert [each.count for each in runs(fetch, len(times), DT)] == [2_000_000, 1_000_000]
    assert sum(read) < 20_000


@pytest.mark.parametrize("wrong", [-1.0, float("nan")])
def test_times_that_go_back_are_named_by_sample(wrong):
    times = stamps([500], [])
    times[321:] = wrong
    with pytest.raises(Backwards) as caught:
        runs_of_stream([times[:100], times[100:]], DT)
    assert caught.value.args == (321,)
