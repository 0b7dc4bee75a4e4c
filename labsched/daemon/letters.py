"""From what waits in the outbox to letters: what has happened, as the target may hear of it, and the end of the log."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labsched.daemon.logs import tail_start
from labsched.daemon.sight import seen_reason, shown_name
from labsched.daemon.views import moment
from labsched.engines import rundir
from labsched.notify import words
from labsched.notify.message import Letter, Thing
from labsched.store.outbox import Row

LINES, LINE = 15, 300
LOGS = 10  # whose end is in one letter
FARTHEST = 65_536  # bytes from the end
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def letter(
    target: Row, rows: Sequence[Row], attempts: Mapping[int, Row], folder: Path, host: str, link: str | None
) -> Letter:
    """The letter to a target about these things. `attempts` are the last of each stage, in `folder`."""
    things: list[Thing] = []
    logs = 0
    for row in rows:
        attempt = attempts.get(row.stage_id)
        with_log = row.kind in ("failed", "lost") and target.log and attempt is not None and logs < LOGS
        logs += with_log
        things.append(_thing(target, row, attempt, folder if with_log else None, link))
    title = words.title(host, things)
    return addressed(target, title, words.body(things), host, tuple(things))


def addressed(target: Any, title: str, body: str, host: str, things: tuple[Thing, ...] = ()) -> Letter:
    """A letter to this target, whatever it says."""
    is_url = target.kind == "url"
    return Letter(
        target=target.id,
        url=target.address if is_url else None,
        command=None if is_url else tuple(json.loads(target.address)),
        title=title,
        body=body,
        host=host,
        things=things,
    )


def _thing(target: Row, row: Row, attempt: Row | None, folder: Path | None, link: str | None) -> Thing:
    data, reason = row.data, row.data.get("reason")
    name = data.get("name")
    if not target.log and row.job_id is not None:  # where everybody reads it, it says what everybody may see
        name = shown_name(name, data.get("argv_head") or "[]")
        reason = seen_reason(attempt) if attempt is not None else None
    mends = row.kind in ("failed", "lost")
    return Thing(
        kind=row.kind,
        at=moment(row.at),
        job=row.job_id,
        name=name,
        user=data.get("owner"),
        stage=data.get("stage"),
        reason=reason,
        retry=f"labsched retry {row.job_id}" if mends else None,
        link=link.replace("{job}", str(row.job_id)) if link and row.job_id is not None else None,
        log=_tail(folder / attempt.folder) if folder is not None and attempt is not None else (),
        seconds=data.get("seconds"),
        path=data.get("path"),
        free=data.get("free"),
    )


def _tail(folder: Path) -> tuple[str, ...]:
    """The last lines of a log, without what only a terminal understands."""
    try:
        with rundir.open_log(os.fspath(folder)) as file:
            end = file.seek(0, 2)
            file.seek(max(tail_start(file, LINES), end - FARTHEST))
            text = file.read(FARTHEST).decode(errors="replace")
    except OSError:
        return ()
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    clean = ["".join(c if c.isprintable() or c == "\t" else "�" for c in _ESCAPE.sub("", line)) for line in lines]
    kept = [line.rstrip()[:LINE] for line in clean if line.strip()]
    return tuple(kept[-LINES:])
