"""Who used what: GET usage."""

import asyncio
import re
from datetime import datetime

from aiohttp import web

from labsched.daemon.desk import PERSON, Desk, reply
from labsched.errors import BadRequest, Forbidden
from labsched.store import backup
from labsched.store.usage import Sum, Sums, look
from labsched.wire import messages as wire

BY = ("month", "user", "recipe")
DEFAULT_BY = "month,user"
MONTHS = 12  # that are shown where nobody says which
MOST = 600  # months of a question
_MONTH = re.compile(r"(19[7-9]|2\d\d)\d-(0[1-9]|1[0-2])", re.ASCII)


class Accounting:
    """Its handler. It reads all attempts of that time, in a thread and on a connection of its own: one at a time."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._counting = asyncio.Lock()

    async def usage(self, request: web.Request) -> web.Response:
        """GET usage: of everybody, for admins and where the configuration lets; else one's own."""
        person, asked = request[PERSON], request.query
        now = self.desk.loop.clock.now()
        last = _month(asked.get("to")) or f"{datetime.fromtimestamp(now):%Y-%m}"
        first = _month(asked.get("from")) or _before(last, MONTHS - 1)
        if first > last:
            raise BadRequest(f"from {first} to {last}: that is no time at all; name the earlier month first")
        if first < _before(last, MOST):
            raise BadRequest(f"from {first} to {last}: that is more than {MOST // 12} years; ask for fewer")
        by = _by(asked.get("by") or DEFAULT_BY)
        mine = not (person.admin or self.desk.config.limits.usage_of_others)
        user = asked.get("user")
        if mine and user is not None and user != person.name:
            raise Forbidden(f"what {user} has used is shown to {user} and to admins ([limits] usage_of_others)")
        uid = person.uid if mine else None

        def count() -> Sums:
            with backup.reading(self.desk.state / backup.QUEUE) as raw:
                raw.execute("BEGIN")  # what is pruned meanwhile is seen once, here or there
                return look(raw, now, first, last, uid)

        async with self.desk.turn(person), self._counting:
            found = await asyncio.to_thread(count)
        return reply(wire.Usage(first=first, last=last, mine=mine, rows=_rows(found, by, user)))


def _rows(found: Sums, by: tuple[str, ...], user: str | None) -> tuple[wire.Used, ...]:
    groups: dict[tuple[str | None, ...], Sum] = {}
    for whose, total in found.items():
        if user in (None, whose.user) and total != Sum():
            key = tuple(getattr(whose, name) if name in by else None for name in BY)
            groups.setdefault(key, Sum()).add(total)
    return tuple(
        wire.Used(
            month=month,
            user=name,
            recipe=recipe,
            jobs=total.jobs,
            failed=total.failed,
            cpu_seconds=round(total.cpu, 3),
            slot_seconds={pool: round(seconds, 3) for pool, seconds in sorted(total.slots.items())},
        )
        for (month, name, recipe), total in sorted(groups.items(), key=lambda pair: [word or "" for word in pair[0]])
    )


def _month(said: str | None) -> str | None:
    if said is not None and not _MONTH.fullmatch(said):
        raise BadRequest(f"{said!r} is not a month: it is such as 2026-03")
    return said


def _before(month: str, count: int) -> str:
    months = int(month[:4]) * 12 + int(month[5:]) - 1 - count
    return f"{months // 12:04}-{months % 12 + 1:02}"


def _by(said: str) -> tuple[str, ...]:
    words = tuple(said.split(","))
    if strange := [word for word in words if word not in BY]:
        raise BadRequest(f"by {strange[0]!r} cannot be counted: by {', '.join(BY)}, or several of them")
    return words
