"""What people may see of others' jobs: that they are there, how far they are, and how they ended; not what is in them.

Everybody sees of every job its number, owner, state, stages, times, needs, priority, and its name. Its owner and admins
alone see arguments, folders, environment, expected outputs, process numbers, and what it says itself (log, progress
notes, the last line of the log as a reason). A command without a name of its own is called by its command line: to
others it is the command's first word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import sqlalchemy as sa

from labsched.core.states import Outcome
from labsched.daemon.peers import Peer
from labsched.engines.base import Look
from labsched.errors import NotFound
from labsched.recipes.command import called
from labsched.store.find import find_job, stages_of
from labsched.store.read import Records, Row

MORE = "…"  # stands for what is not shown


def dim(records: Records, person: Peer) -> Records:
    """These records, without what this person may not see."""
    hidden = {job.id for job in records.jobs if not person.sees(job.uid)}
    if not hidden:
        return records
    stages, attempts = dict(records.stages), dict(records.attempts)
    for job in hidden:
        for row in records.stages[job]:
            attempts[row.id] = [_copy(one, note=None, reason=_reason(one)) for one in attempts.get(row.id, [])]
        stages[job] = [_dim_stage(row, attempts[row.id]) for row in records.stages[job]]
    jobs = [
        _copy(job, name=shown_name(job.name, records.stages[job.id][0].argv)) if job.id in hidden else job
        for job in records.jobs
    ]
    return replace(records, jobs=jobs, stages=stages, attempts=attempts)


def dim_look(seen: Look) -> Look:
    """A look at an attempt, without what its command says and which process it is."""
    return replace(seen, note=None, pid=None)


def shown_name(name: str, argv: Sequence[str]) -> str:
    """A job's name, as others see it: no arguments in it, unless its owner has put them there."""
    return f"{argv[0]} {MORE}" if len(argv) > 1 and name == called(argv) else name


def find(connection: sa.Connection, ref: str, person: Peer) -> Row:
    """The job that `ref` means to this person (see `store.find.find_job`), none by a name that is not shown to them.

    Raises NotFound.
    """
    row = find_job(connection, ref, person.uid)
    if person.sees(row.uid) or ref.isdecimal():
        return row
    if shown_name(row.name, stages_of(connection, row.id)[0].argv) != row.name:
        raise NotFound(f"there is no job named {ref!r}: see labsched status -a, or labsched history")
    return row


def event_data(data: Mapping[str, Any], argv: Sequence[str], owner: int, person: Peer) -> dict[str, Any]:
    """What an event of a job of this owner says, as this person sees it: names and outcomes, and no words of a log."""
    if person.sees(owner):
        return dict(data)
    seen = {key: value for key, value in data.items() if key != "reason"}
    if isinstance(name := seen.get("name"), str):
        seen["name"] = shown_name(name, argv)
    return seen


def _dim_stage(row: Row, attempts: Sequence[Row]) -> Row:
    argv = [row.argv[0], *([MORE] if len(row.argv) > 1 else [])]
    told = row.reason and row.outcome not in (Outcome.CANCELLED, Outcome.SKIPPED)
    reason = (attempts[-1].reason if attempts else None) if told else row.reason
    return _copy(row, argv=argv, cwd=MORE, env={}, outputs=[], reason=reason)


def _reason(attempt: Row) -> str | None:
    """Why an attempt ended so, from what is known of it but for its log."""
    if attempt.outcome != Outcome.FAILED or not attempt.reason:
        return cast(str | None, attempt.reason)
    if attempt.signal:
        return f"killed by {attempt.signal}"
    return f"exit {attempt.exit_code}" if attempt.exit_code else "see its owner"


def _copy(row: Row, **changed: object) -> Row:
    return cast(Row, SimpleNamespace(**{**row._mapping, **changed}))
