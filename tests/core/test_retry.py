"""What follows an attempt that did not succeed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.core.model import Ended, Retry
from labsched.core.retry import LONGEST_WAIT_S, Again, verdict
from labsched.core.states import Outcome

F = Outcome.FAILED


def ended(outcome: Outcome = F, code: int | None = 1, oom: bool = False, signal: str | None = None) -> Ended:
    return Ended(1, 1000.0, outcome, exit_code=code, signal=signal, oom=oom)


def test_without_a_policy_only_not_now_comes_again() -> None:
    assert verdict(None, ended(), 0, 0) is None
    assert verdict(None, ended(Outcome.LOST, None), 0, 0) is None
    assert verdict(None, ended(code=75), 0, 0) == Again(1060.0, counts=False)
    assert verdict(None, ended(code=75), 9, 3) == Again(1480.0, counts=False)


def test_waits_double_and_end_with_the_number_of_attempts() -> None:
    policy = Retry(3, wait=10.0)
    assert [verdict(policy, ended(), tries, 0) for tries in range(5)] == [
        Again(1010.0, counts=True),
        Again(1020.0, counts=True),
        Again(1040.0, counts=True),
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("what", "again"),
    [
        (ended(code=7), True),
        (ended(code=8), False),
        (ended(code=None, signal="SIGKILL"), False),
        (ended(code=None, signal="SIGTERM"), True),
        (ended(code=None, signal="signal 40"), False),
        (ended(code=None, oom=True), True),
        (ended(Outcome.LOST, None), True),
        (ended(Outcome.TIMED_OUT, None), False),
        (ended(Outcome.CANCELLED, None), False),
        (ended(Outcome.SUCCEEDED, 0), False),
    ],
)
def test_the_policy_says_which_failures_are_worth_it(what: Ended, again: bool) -> None:
    assert (verdict(Retry(1, codes=(7, 143)), what, 0, 0) is not None) is again


def test_what_the_kernel_killed_for_memory_comes_again_alone_unless_told_otherwise() -> None:
    killed = ended(code=None, oom=True)
    assert verdict(Retry(1, wait=0.0), killed, 0, 0) == Again(1000.0, counts=True, alone=True)
    assert verdict(Retry(1, wait=0.0, alone=False), killed, 0, 0) == Again(1000.0, counts=True)
    assert verdict(Retry(1, wait=0.0), ended(), 0, 0) == Again(1000.0, counts=True)


@given(
    st.builds(Retry, st.integers(0, 5), st.floats(0, 1e6), st.lists(st.integers(0, 255)).map(tuple), st.booleans()),
    st.builds(ended, st.sampled_from(Outcome), st.none() | st.integers(0, 255), st.booleans()),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
)
def test_nothing_comes_again_before_its_time_or_more_often_than_it_may(
    policy: Retry, what: Ended, tries: int, delays: int
) -> None:
    again = verdict(policy, what, tries, delays)
    if again is not None:
        assert what.outcome in (F, Outcome.LOST)
        assert what.at <= again.at <= what.at + max(LONGEST_WAIT_S, policy.wait)
        assert tries < policy.times or not again.counts
