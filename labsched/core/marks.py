"""States as people read them: a mark, a word, a colour."""

from labsched.core.states import Outcome, State

_OUTCOMES: dict[Outcome, tuple[str, str, str]] = {
    Outcome.SUCCEEDED: ("✓", "done", "green"),
    Outcome.FAILED: ("✗", "failed", "red"),
    Outcome.CANCELLED: ("⊘", "cancelled", "dim"),
    Outcome.SKIPPED: ("–", "skipped", "dim"),
    Outcome.TIMED_OUT: ("✗", "timed out", "red"),
    Outcome.LOST: ("✗", "lost", "red"),
}
_STATES: dict[State, tuple[str, str, str]] = {
    State.WAITING: ("·", "waiting", "yellow"),
    State.STARTING: ("▶", "starting", "cyan"),
    State.RUNNING: ("▶", "running", "cyan"),
    State.ENDED: ("✓", "done", "green"),
}


def _entry(state: State, outcome: Outcome | None) -> tuple[str, str, str]:
    return _STATES[state] if outcome is None else _OUTCOMES[outcome]


def mark(state: State, outcome: Outcome | None) -> str:
    """One character for a stage: ``▶ · ✓ ✗ ⊘ –``."""
    return _entry(state, outcome)[0]


def state_word(state: State, outcome: Outcome | None, held: bool = False) -> str:
    """The STATE column: waiting, held, starting, running, done, failed, cancelled, timed out, lost, skipped."""
    return "held" if held and state == State.WAITING else _entry(state, outcome)[1]


def state_colour(state: State, outcome: Outcome | None) -> str:
    """The colour that goes with it (see `table.paint`)."""
    return _entry(state, outcome)[2]
