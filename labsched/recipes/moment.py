"""Moments as people write them: the next time that it is 18:00, a date, or some time from now."""

import re
from contextlib import suppress
from datetime import datetime, timedelta

from labsched.errors import BadRequest
from labsched.recipes.command import parse_time

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ t].*)?", re.ASCII)


def parse_moment(text: str, now: datetime) -> float:
    """``18:00``, ``tomorrow 8:00``, ``2026-11-25``, ``2026-11-25 18:00``, ``2h30m`` -> seconds since the epoch.

    A time of day is the next one; what names no time zone is local time. Raises BadRequest, also for what is over.
    """
    word = " ".join(text.split()).lower()
    if found := _clock(word, now) or _date(word, now):
        if found <= now:
            raise BadRequest(f"{text!r} is over: it is {now:%Y-%m-%d %H:%M} now")
        return found.timestamp()
    with suppress(BadRequest):
        if ":" not in word:  # which would be hours from now, or a time of day that there is not
            return now.timestamp() + parse_time(word)
    wanted = "18:00, tomorrow 8:00, 2026-11-25, 2026-11-25 18:00, or 2h30m from now"
    raise BadRequest(f"{text!r} is not a moment: it is {wanted}")


def _clock(word: str, now: datetime) -> datetime | None:
    day, _, clock = word.rpartition(" ")
    parts = _CLOCK.fullmatch(clock)
    if day not in ("", "today", "tomorrow") or not parts or int(parts[1]) > 23 or int(parts[2]) > 59:
        return None
    # As a naive time, and its offset anew: the next day may have another one.
    then = now.replace(tzinfo=None, hour=int(parts[1]), minute=int(parts[2]), second=0, microsecond=0)
    if day == "tomorrow" or (not day and then <= now.replace(tzinfo=None)):
        then += timedelta(days=1)
    return then.astimezone()


def _date(word: str, now: datetime) -> datetime | None:
    if not _DATE.fullmatch(word):
        return None
    try:
        found = datetime.fromisoformat(word.upper())
    except ValueError:
        return None
    return found.astimezone() if found.tzinfo is None else found
