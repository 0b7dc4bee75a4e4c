"""Who used what, by month: of the jobs that are there, from their attempts; of those that were pruned, from the sums
that `keep` has left of them.

Months are those of the machine's time zone. An attempt that runs over the end of one counts in each with the seconds
that it ran there, and with that part of its processor time; a job in the month in which it ended.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import msgspec

#: An attempt that had to be alone, after one that was killed for want of memory, had all slots of its pools.
_ALONE = """s.alone AND EXISTS (
    SELECT 1 FROM attempts p WHERE p.stage_id = a.stage_id AND p.number < a.number AND p.oom)"""
_END = "coalesce(a.ended_at, :now)"
#: What lies within a month is summed by SQLite; the others come one by one. A month is counted as the bounds behind it.
_ATTEMPTS = f"""
    WITH each AS (
        SELECT a.id, j.uid, j.user, j.recipe, coalesce(a.slots, s.needs) AS slots, {_ALONE} AS alone, a.cpu_time AS cpu,
            a.started_at AS began, {_END} AS ended, {{first}} AS first, {{last}} AS last
        FROM {{source}} WHERE a.started_at IS NOT NULL AND {{which}})
    SELECT uid, user, recipe, slots, alone, first, min(began), max(ended), sum(ended - began), sum(cpu), first = last
    FROM each GROUP BY uid, user, recipe, slots, alone, first, CASE WHEN first = last THEN 0 ELSE id END"""
_JOBS = """
    SELECT uid, user, recipe, {month}, count(*), sum(outcome IN ('failed', 'timed_out', 'lost'))
    FROM jobs j WHERE ended_at IS NOT NULL AND {which} GROUP BY 1, 2, 3, 4"""
_LISTED = "(SELECT value FROM json_each(:jobs))"
_OF_THESE = "stages s JOIN attempts a ON a.stage_id = s.id JOIN jobs j ON j.id = s.job_id"
_OF_ALL = "attempts a JOIN stages s ON s.id = a.stage_id JOIN jobs j ON j.id = s.job_id"
_SPAN = f"""SELECT min(coalesce(a.started_at, j.ended_at)), max(max(coalesce(a.ended_at, 0), j.ended_at))
    FROM jobs j LEFT JOIN stages s ON s.job_id = j.id LEFT JOIN attempts a ON a.stage_id = s.id
    WHERE j.id IN {_LISTED}"""
_KEEP = """INSERT INTO used (month, uid, user, recipe, what, amount) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (month, uid, user, recipe, what) DO UPDATE SET amount = amount + excluded.amount"""
_SLOTS = "slots "


class Whose(NamedTuple):
    """What a sum is of."""

    month: str  # 2026-03
    uid: int
    user: str
    recipe: str


@dataclass(slots=True)
class Sum:
    """What was used: seconds of slots by pool, and of processors; jobs that ended, and those of them that failed."""

    slots: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu: float = 0.0
    jobs: int = 0
    failed: int = 0

    def add(self, other: "Sum") -> None:
        for pool, seconds in other.slots.items():
            self.slots[pool] += seconds
        self.cpu += other.cpu
        self.jobs += other.jobs
        self.failed += other.failed


Sums = dict[Whose, Sum]


def look(raw: sqlite3.Connection, now: float, first: str, last: str, uid: int | None = None) -> Sums:
    """What was used from month `first` to month `last`, both included, up to now (by this person)."""
    mine = "1" if uid is None else "j.uid = :uid"
    asked = {"now": now, "uid": uid, "start": start_of(first), "end": start_of(after(last))}
    within = f"{mine} AND a.started_at < :end AND {_END} >= :start"
    months = _Months(first, last)
    found = _count(raw, asked, months, _OF_ALL, within, f"{mine} AND ended_at >= :start AND ended_at < :end")
    kept = raw.execute(
        f"""SELECT month, uid, user, recipe, what, amount FROM used
            WHERE month BETWEEN ? AND ? {"" if uid is None else "AND uid = ?"}""",
        (first, last) if uid is None else (first, last, uid),
    )
    for month, owner, user, recipe, what, amount in kept:
        _put(found[Whose(month, owner, user, recipe)], what, amount)
    return {whose: total for whose, total in found.items() if first <= whose.month <= last}


def keep(raw: sqlite3.Connection, jobs: str) -> None:
    """Add what these jobs used (a JSON list of their numbers), which have ended, to what stays when they are gone."""
    which = f"j.id IN {_LISTED}"
    asked: dict[str, object] = {"jobs": jobs, "now": 0.0}
    started, ended = raw.execute(_SPAN, asked).fetchone()
    months = _Months(_month(started), _month(ended))
    found = _count(raw, asked, months, _OF_THESE, f"s.job_id IN {_LISTED}", which)
    raw.executemany(_KEEP, [(*whose, what, amount) for whose, total in found.items() for what, amount in _parts(total)])


def start_of(month: str) -> float:
    """When a month began, in seconds since the epoch."""
    year, number = map(int, month.split("-"))
    return datetime(year, number, 1).timestamp()


def after(month: str) -> str:
    """The month after this one."""
    year, number = map(int, month.split("-"))
    return f"{year + number // 12:04}-{number % 12 + 1:02}"


class _Months:
    """Months in a row, with all that is before them as one more, and all that is after them as another."""

    def __init__(self, first: str, last: str) -> None:
        self.names = ["before", first]
        while self.names[-1] <= last:
            self.names.append(after(self.names[-1]))

    def index(self, moment: str) -> str:
        """SQL that has the place of the month of a moment."""
        return "+".join(["0", *(f"({moment} >= {start_of(name)!r})" for name in self.names[1:])])


def _month(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment):%Y-%m}"


def _count(
    raw: sqlite3.Connection, asked: Mapping[str, object], months: _Months, source: str, attempts: str, jobs: str
) -> Sums:
    found: Sums = defaultdict(Sum)
    with closing(raw.execute("SELECT name, slots FROM pools")) as rows:
        known = dict(rows)
    at = {"first": months.index("a.started_at"), "last": months.index(_END)}
    with closing(raw.execute(_ATTEMPTS.format(source=source, which=attempts, **at), asked)) as rows:
        for uid, user, recipe, text, alone, first, began, ended, seconds, cpu, whole in rows:
            slots = msgspec.json.decode(text, type=dict[str, int])
            if alone:
                slots = {pool: max(n, known.get(pool, n)) for pool, n in slots.items()}
            parts = [(months.names[first], max(seconds, 0.0), 1.0)] if whole else _split(_month(began), began, ended)
            for month, part, share in parts:
                total = found[Whose(month, uid, user, recipe)]
                for pool, n in slots.items():
                    total.slots[pool] += n * part
                total.cpu += (cpu or 0.0) * share
    with closing(raw.execute(_JOBS.format(which=jobs, month=months.index("ended_at")), asked)) as rows:
        for uid, user, recipe, month, count, failed in rows:
            found[Whose(months.names[month], uid, user, recipe)].add(Sum(jobs=count, failed=failed))
    return found


def _split(first: str, began: float, ended: float) -> Iterator[tuple[str, float, float]]:
    """The months that an attempt ran in, with its seconds in each, and the part of all that these are."""
    if ended <= began:  # the clock was put back
        return
    month, whole = first, ended - began
    while began < ended:
        until = min(start_of(after(month)), ended)
        yield month, until - began, (until - began) / whole
        began, month = until, after(month)


def _parts(total: Sum) -> Iterator[tuple[str, float]]:
    named = {**{_SLOTS + pool: seconds for pool, seconds in total.slots.items()}, "cpu": total.cpu}
    named |= {"jobs": float(total.jobs), "failed": float(total.failed)}
    return ((what, amount) for what, amount in named.items() if amount)


def _put(total: Sum, what: str, amount: float) -> None:
    if what.startswith(_SLOTS):
        total.slots[what.removeprefix(_SLOTS)] += amount
    elif what == "cpu":
        total.cpu += amount
    elif what == "jobs":
        total.jobs += round(amount)
    elif what == "failed":
        total.failed += round(amount)
