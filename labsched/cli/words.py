"""Numbers, times and states as people read them."""

from datetime import datetime

from labsched.core.marks import mark, state_colour, state_word

__all__ = ["clock", "count", "mark", "moment", "state_colour", "state_word"]


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
