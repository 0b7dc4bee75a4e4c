"""A stage moves along the arrows of the diagram, and along nothing else."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.core.states import IllegalMove, Move, Outcome, State, find, job_state

# Written out a second time on purpose: a slip in the table must not agree with itself.
ARROWS = {
    Move.PLAN: ("waiting", "starting", [None]),
    Move.BEGIN: ("starting", "running", [None]),
    Move.END: ("running", "ended", ["succeeded", "failed", "cancelled", "timed_out", "lost"]),
    Move.GIVE_UP: ("starting", "ended", ["failed", "cancelled", "lost"]),
    Move.DROP: ("waiting", "ended", ["cancelled", "skipped"]),
    Move.RETRY: ("ended", "waiting", [None]),
    Move.AGAIN: ("running", "waiting", [None]),
    Move.PUT_BACK: ("starting", "waiting", [None]),
}
LEGAL = {
    (State(old), State(new), outcome and Outcome(outcome)): move
    for move, (old, new, outcomes) in ARROWS.items()
    for outcome in outcomes
}
states = st.sampled_from(State)
outcomes = st.none() | st.sampled_from(Outcome)


def test_every_arrow_can_be_gone_and_has_a_letter_of_its_own() -> None:
    assert {find(*ends) for ends in LEGAL} == set(Move)
    assert all(find(*ends) is move for ends, move in LEGAL.items())
    assert "".join(sorted(Move)) == "abcdefgh"


@pytest.mark.parametrize("old", State)
def test_no_other_move_exists(old: State) -> None:
    for new, outcome in product(State, [None, *Outcome]):
        if (old, new, outcome) not in LEGAL:
            with pytest.raises(IllegalMove, match=f"from {old} to {new} with outcome {outcome}"):
                find(old, new, outcome)


@given(st.lists(st.tuples(states, outcomes)))
def test_whatever_is_tried_a_stage_is_only_ever_where_it_can_be(tries: list[tuple[State, Outcome | None]]) -> None:
    state, outcome, begun = State.WAITING, None, False
    for new, how in tries:
        try:
            move = find(state, new, how)
        except IllegalMove:
            continue
        if state is State.ENDED:
            assert move is Move.RETRY
        begun = begun and new is not State.WAITING
        begun = begun or new is State.RUNNING
        state, outcome = new, how
        assert (outcome is not None) == (state is State.ENDED)
        if outcome in (Outcome.SUCCEEDED, Outcome.TIMED_OUT):
            assert begun
        if outcome is Outcome.SKIPPED:
            assert not begun


stages = st.tuples(states, st.sampled_from(Outcome)).map(lambda s: (s[0], s[1] if s[0] is State.ENDED else None))


@given(st.lists(stages, min_size=1))
def test_a_job_is_what_its_busiest_stage_is(all_stages: list[tuple[State, Outcome | None]]) -> None:
    state, outcome = job_state(all_stages)
    there = {state for state, _ in all_stages}
    busiest = [State.RUNNING, State.STARTING, State.WAITING, State.ENDED]
    assert state is next(one for one in busiest if one in there)
    assert (outcome is not None) == (state is State.ENDED)
    if outcome is Outcome.SUCCEEDED:
        assert {how for _, how in all_stages} == {Outcome.SUCCEEDED}


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [
        (["succeeded", "succeeded"], "succeeded"),
        (["succeeded", "failed", "skipped"], "failed"),
        (["timed_out", "skipped"], "timed_out"),
        (["lost", "cancelled"], "lost"),
        (["cancelled", "cancelled"], "cancelled"),
        (["succeeded", "cancelled"], "cancelled"),
        (["skipped", "skipped"], "skipped"),
        (["skipped", "failed"], "failed"),
    ],
)
def test_a_job_ended_as_the_first_of_its_stages_that_went_wrong_by_itself(ends: list[str], outcome: str) -> None:
    assert job_state([(State.ENDED, Outcome(end)) for end in ends]) == (State.ENDED, Outcome(outcome))
