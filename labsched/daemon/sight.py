"""What people may see of others' jobs: that they are there, how far they are, and how they ended; not what is in them.

Everybody sees of every job its number, owner, state, stages, times, needs, priority, and its name. Its owner and admins
alone see arguments, folders, environment, expected outputs, process numbers, and what it says itself (log, progress
notes, the last line of the log as a reason). A command without a name of its own is called by its command line: to
others it is the command's first word.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import sqlalchemy as sa

from labsched.core.states import Outcome
from labsched.daemon.peers import Peer
from labsched.engines.base import Look
from labsched.errors import NotFound
from labsched.recipes.command import called
from labsched.store import read
from labsched.store.find import find_job
from labsched.store.prepared import Row
from labsched.store.read import Records, argv_head
from labsched.store.tables import stages

MORE = "…"  # stands for what is not shown
FIRST = 400  # characters of a name that are compared
MAX_DIGITS = 18  # of a number that SQLite can hold


def dim(records: Records, person: Peer) -> Records:
    """These records, without what this person may not see."""
    hidden = {job.id for job in records.jobs if not person.sees(job.uid)}
    if not hidden:
        return records
    stages, attempts = dict(records.stages), dict(records.attempts)
    for job in hidden:
        for row in records.stages[job]:
            attempts[row.id] = [_copy(one, note=None, reason=seen_reason(one)) for one in attempts.get(row.id, [])]
        stages[job] = [_dim_stage(row, attempts[row.id]) for row in records.stages[job]]
    jobs = [
        _copy(job, name=shown_name(job.name, records.stages[job.id][0].argv_head)) if job.id in hidden else job
        for job in records.jobs
    ]
    return replace(records, jobs=jobs, stages=stages, attempts=attempts)


def dim_look(seen: Look) -> Look:
    """A look at an attempt, without what its command says and which process it is."""
    return replace(seen, note=None, pid=None)


def shown_name(name: str, argv_head: str) -> str:
    """A job's name, as others see it: no arguments in it, unless its owner has put them there.

    `argv_head` is the beginning of its command line. Of one that goes on, nobody knows what it would be called; so a
    name that begins as it does is taken for it.
    """
    argv, goes_on = _words(argv_head)
    if goes_on:
        begins = called([argv[0], "x"]).removesuffix(" x")[:FIRST]
        return f"{argv[0]} {MORE}" if name.startswith(begins) else name
    return f"{argv[0]} {MORE}" if len(argv) > 1 and name == called(argv) else name


def _words(argv_head: str) -> tuple[list[str], bool]:
    """A command line's words; or its first, and that more follow which are not known."""
    try:
        return msgspec.json.decode(argv_head, type=list[str]), False
    except msgspec.DecodeError:
        pass
    try:
        return [str(json.JSONDecoder().raw_decode(argv_head.removeprefix("["))[0])], True
    except ValueError:  # a word of thousands of letters is no program's name
        return [MORE], True


def find(connection: sa.Connection, ref: str, person: Peer) -> Row:
    """The job that `ref` means to this person (see `store.find.find_job`), none by a name that is not shown to them.

    Raises NotFound.
    """
    row = find_job(connection, ref, person.uid)
    if person.sees(row.uid) or ref.isdecimal():
        return row
    first = connection.execute(sa.select(argv_head(stages)).where(stages.c.job_id == row.id, stages.c.position == 0))
    if shown_name(row.name, first.scalar_one()) != row.name:
        raise NotFound(f"there is no job named {ref!r}: see labsched status -a, or labsched history")
    return row


def find_all(connection: sa.Connection, refs: Sequence[str], person: Peer) -> list[Row]:
    """The jobs that these words mean to this person, each once: their `id`, `uid` and `ended_at`. Raises NotFound."""
    meant = [int(ref[:MAX_DIGITS]) if ref.isdecimal() else 0 for ref in refs]
    there = {row.id: row for row in read.brief(connection, meant)}
    found = {
        row.id: row
        for row in (there.get(n) or find(connection, ref, person) for n, ref in zip(meant, refs, strict=True))
    }
    return list(found.values())


def event_data(data: Mapping[str, Any], argv_head: str, owner: int, person: Peer) -> dict[str, Any]:
    """What an event of a job of this owner says, as this person sees it: names and outcomes, and no words of a log."""
    if person.sees(owner):
        return dict(data)
    seen = {key: value for key, value in data.items() if key != "reason"}
    if isinstance(name := seen.get("name"), str):
        seen["name"] = shown_name(name, argv_head)
    return seen


def _dim_stage(row: Row, attempts: Sequence[Row]) -> Row:
    words, goes_on = _words(row.argv_head)
    argv = [*words[:1], *([MORE] if goes_on or len(words) > 1 else [])]
    told = row.reason and row.outcome not in (Outcome.CANCELLED, Outcome.SKIPPED)
    reason = (attempts[-1].reason if attempts else None) if told else row.reason
    return _copy(row, argv=argv, cwd=MORE, env={}, outputs=[], outputs_head="[]", reason=reason)


def seen_reason(attempt: Row) -> str | None:
    """Why an attempt ended so, from what is known of it but for its log."""
    if attempt.outcome != Outcome.FAILED or not attempt.reason:
        return cast(str | None, attempt.reason)
    if attempt.signal:
        return f"killed by {attempt.signal}"
    return f"exit {attempt.exit_code}" if attempt.exit_code else "see its owner"


def _copy(row: Row, **changed: object) -> Row:
    return cast(Row, SimpleNamespace(**{**row._asdict(), **changed}))
