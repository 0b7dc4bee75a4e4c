from datetime import timedelta

from labsched.cli import words
from labsched.core.states import Outcome, State
from tests.cli.samples import NOW, ago


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
