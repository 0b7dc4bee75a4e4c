import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labsched.core import units


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (7500, "2h05"),
        (86400 * 3 + 4 * 3600, "3d 4h"),
    ],
)
def test_a_time_is_said_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert units.duration(seconds) == said


def test_memory_has_a_unit_that_people_know() -> None:
    sizes = (0, 999, 1000, 547_000_000, 10_800_000_000, 999_999, 2_500_000_000_000)
    said = ["0 B", "999 B", "1 kB", "547 MB", "10.8 GB", "1 MB", "2.5 TB"]
    assert [units.size(size) for size in sizes] == said


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("1000", 1000),
        ("500M", 500_000_000),
        ("12 GB", 12_000_000_000),
        ("12g", 12_000_000_000),
        ("12GiB", 12 * 1024**3),
        ("1.5T", 1_500_000_000_000),
        (".5Ki", 512),
        ("2P", 2 * 10**15),
    ],
)
def test_a_size_is_read_as_people_write_it(said: str, size: int) -> None:
    assert units.parse_size(said) == size


@pytest.mark.parametrize("said", ["", "G", "12X", "-1G", "1e9", "12i", "1.2.3", "12GG", "nan", "1" * 21, "１２G"])
def test_what_is_no_size_is_none(said: str) -> None:
    assert units.parse_size(said) is None


@given(st.text(max_size=10))
def test_any_text_is_a_size_or_none(said: str) -> None:
    size = units.parse_size(said)
    assert size is None or size >= 0


@given(st.integers(min_value=1, max_value=10**16))
@example(10_000_000_001)
def test_a_size_to_ask_for_can_be_asked_for_and_is_enough(size: int) -> None:
    asked = units.parse_size(units.short_size(size))
    assert asked is not None and size <= asked <= 1.1 * size + 1


@given(st.integers(min_value=0, max_value=10**16))
def test_memory_never_has_more_than_three_digits_before_the_point_below_a_petabyte(size: int) -> None:
    number = units.size(size).split()[0]
    assert float(number) < 1000 or size >= 999.5e12
