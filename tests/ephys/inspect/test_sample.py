"""The sample is bounded, lies within segments, and is spread over all of a recording, however long."""

from hypothesis import given
from hypothesis import strategies as st

from labsched.ephys.inspect.sample import FEWEST, VALUES, WINDOWS, _spread, places


@given(
    st.lists(st.integers(1, 10**10), min_size=1, max_size=20),
    st.sampled_from([1_000.0, 20_000.0, 30_000.0]),
    st.integers(1, 2000),
)
def test_windows_are_few_and_lie_within_their_segments(lengths: list[int], rate: float, channels: int) -> None:
    size, found = places(lengths, rate, channels)
    assert 1 <= len(found) <= WINDOWS
    assert size <= max(rate / 2, 1)
    assert size * len(found) * channels <= max(VALUES, FEWEST * 256 * channels)
    assert len(set(found)) == len(found)
    for segment, first in found:
        assert 0 <= first <= lengths[segment] - size


def test_a_day_is_looked_at_from_its_beginning_to_its_end() -> None:
    day = 86_400 * 20_000
    size, found = places([day], 20_000.0, 32)
    assert (size, len(found)) == (10_000, WINDOWS)
    assert found[0][1] < day / WINDOWS
    assert found[-1][1] > day - day / WINDOWS


@given(st.integers(1, 40))
def test_each_beginning_of_the_order_is_spread(count: int) -> None:
    order = _spread(count)
    assert sorted(order) == list(range(count))
    if count >= 8:
        assert max(order[:4]) - min(order[:4]) >= count // 2
