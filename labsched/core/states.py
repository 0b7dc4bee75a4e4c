"""What a stage can be, and the only moves between it. `docs/states.md` draws the same table."""

from enum import StrEnum


class State(StrEnum):
    """Where a stage is. Held, not-before and stop-requested are facts about a stage, not states of it."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


class Outcome(StrEnum):
    """How a stage, or one attempt at it, ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # a person did it
    SKIPPED = "skipped"  # an earlier stage did not succeed
    TIMED_OUT = "timed_out"
    LOST = "lost"  # nobody knows how it ended: its shim died, or the machine did


class Move(StrEnum):
    """The arrows of the state diagram, a letter each."""

    PLAN = "a"
    BEGIN = "b"
    END = "c"
    GIVE_UP = "d"
    DROP = "e"
    RETRY = "f"
    AGAIN = "g"
    PUT_BACK = "h"


MOVES: dict[Move, tuple[State, State]] = {
    Move.PLAN: (State.WAITING, State.STARTING),
    Move.BEGIN: (State.STARTING, State.RUNNING),
    Move.END: (State.RUNNING, State.ENDED),
    Move.GIVE_UP: (State.STARTING, State.ENDED),
    Move.DROP: (State.WAITING, State.ENDED),
    Move.RETRY: (State.ENDED, State.WAITING),
    Move.AGAIN: (State.RUNNING, State.WAITING),
    Move.PUT_BACK: (State.STARTING, State.WAITING),
}

OUTCOMES: dict[Move, frozenset[Outcome]] = {
    Move.END: frozenset(Outcome) - {Outcome.SKIPPED},
    Move.GIVE_UP: frozenset({Outcome.FAILED, Outcome.CANCELLED, Outcome.LOST}),
    Move.DROP: frozenset({Outcome.CANCELLED, Outcome.SKIPPED}),
}

OPEN = frozenset({State.STARTING, State.RUNNING})


class IllegalMove(Exception):
    """Somebody asked for an arrow that the diagram does not have: a defect in labsched, never a user's mistake."""


def find(old: State, new: State, outcome: Outcome | None) -> Move:
    """The arrow from `old` to `new`; raises IllegalMove where there is none, or none with this outcome."""
    for move, ends in MOVES.items():
        if ends == (old, new):
            allowed = OUTCOMES.get(move)
            if (outcome is None) if allowed is None else (outcome in allowed):
                return move
    raise IllegalMove(f"no move from {old} to {new} with outcome {outcome}")


def job_state(stages: list[tuple[State, Outcome | None]]) -> tuple[State, Outcome | None]:
    """A job's state, derived from its stages.

    Running where any stage runs, ended where all have, else waiting. The outcome of an ended job is that of the first
    stage that did not succeed by itself (a skipped stage only follows from another), else succeeded.
    """
    states = [state for state, _ in stages]
    for state in (State.RUNNING, State.STARTING):
        if state in states:
            return state, None
    if State.WAITING in states:
        return State.WAITING, None
    bad = [outcome for _, outcome in stages if outcome not in (Outcome.SUCCEEDED, None)]
    own = [outcome for outcome in bad if outcome is not Outcome.SKIPPED]
    return State.ENDED, (own or bad or [Outcome.SUCCEEDED])[0]
