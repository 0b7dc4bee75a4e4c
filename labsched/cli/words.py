"""Numbers, times and states as people read them."""

from datetime import datetime

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


def clock(when: datetime) -> str:
    """``Sun 22 Nov 12:31``, local time."""
    return when.astimezone().strftime("%a %d %b %H:%M")


def moment(when: datetime, now: datetime) -> str:
    """``12:31`` where it was today, ``Sat 21 Nov 12:31`` within half a year, else ``2024-03-10 12:31``."""
    local = when.astimezone()
    if local.date() == now.astimezone().date():
        return local.strftime("%H:%M")
    return clock(when) if abs((now - when).days) < 180 else local.strftime("%Y-%m-%d %H:%M")


def count(number: int, noun: str) -> str:
    """``1 job``, ``2 jobs``, ``12,000 jobs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
