from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from labsched.cli import words
from labsched.core import explain
from labsched.core.states import Outcome, State
from tests.cli.samples import NOW, ago


@given(st.floats(min_value=-10, max_value=1e8))
def test_durations_are_as_the_daemon_says_them(seconds: float) -> None:
    assert words.duration(seconds) == explain.duration(seconds)


def test_memory_has_a_unit_that_people_know() -> None:
    sizes = (0, 999, 1000, 547_000_000, 10_800_000_000, 999_999, 2_500_000_000_000)
    said = ["0 B", "999 B", "1 kB", "547 MB", "10.8 GB", "1 MB", "2.5 TB"]
    assert [words.memory(size) for size in sizes] == said


@given(st.integers(min_value=0, max_value=10**16))
def test_memory_never_has_more_than_three_digits_before_the_point_below_a_petabyte(size: int) -> None:
    number = words.memory(size).split()[0]
    assert float(number) < 1000 or size >= 999.5e12


def test_every_state_and_outcome_has_a_mark_a_word_and_a_colour() -> None:
    known = [(state, None) for state in State] + [(State.ENDED, outcome) for outcome in Outcome]
    assert all(len(words.mark(*one)) == 1 and words.state_word(*one) and words.state_colour(*one) for one in known)


def test_a_held_job_is_called_held_only_while_it_waits() -> None:
    assert words.state_word(State.WAITING, None, held=True) == "held"
    assert words.state_word(State.RUNNING, None, held=True) == "running"


def test_a_moment_says_as_much_as_is_needed() -> None:
    assert words.moment(ago(minutes=1), NOW)[2] == ":"
    assert len(words.moment(ago(days=3), NOW)) == len("Thu 19 Nov 12:31")
    assert words.moment(NOW - timedelta(days=900), NOW).startswith("2024-")
