"""What people say in Python, as jobs: the same as what they say on the command line."""

import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from labsched import paths
from labsched.client import blocks
from labsched.client.programs import missing
from labsched.core.spec import JobSpec, Retry
from labsched.errors import BadRequest
from labsched.recipes import command
from labsched.recipes.block import BlockRequest, parse_omit
from labsched.recipes.command import Slots
from labsched.recipes.moment import parse_moment
from labsched.wire.messages import Daemon

Path = str | os.PathLike[str]
Needs = str | Mapping[str, int | str]
When = str | float | datetime


class BadChannels(UserWarning):
    """Channels of a block look bad."""


def block(daemon: Daemon, request: BlockRequest, check: bool) -> JobSpec:
    """A block's job, looked at first with `check`. Raises what `labsched submit` says; warns of bad channels."""
    blocks.check_patterns([request.block], request.source, request.target)
    found = blocks.expand_all([request], blocks.settings(daemon), daemon.python, {})
    if check:
        blocks.check(found[0])
        for line in blocks.look_at(found):
            warnings.warn(line, BadChannels, stacklevel=4)
    if daemon.as_submitter:
        blocks.check_targets(found)
    return found[0].job


def omitted(said: str | Iterable[str]) -> tuple[str, ...]:
    """Channels to omit: a list of labels, or text with commas between them."""
    return parse_omit((said,) if isinstance(said, str) else tuple(said))


def probe(said: Path | None) -> str | None:
    """A rig, a probe file or a built-in probe's name."""
    from pathlib import Path as Folder

    return None if said is None else paths.probe(os.fspath(said), Folder.cwd())


def absolute(said: Path | None) -> str | None:
    """A path as seen from the current folder."""
    return None if said is None else os.path.abspath(os.fspath(said))


def words(argv: Sequence[object]) -> tuple[str, ...]:
    """The words of a command: text, paths and numbers. Raises BadRequest for others."""
    for word in argv:
        if not isinstance(word, str | os.PathLike | int | float):
            raise BadRequest(f"{word!r} is no word of a command: it is text, a path or a number, each given by itself")
    return tuple(os.fsdecode(word) if isinstance(word, str | os.PathLike) else str(word) for word in argv)


def slots(said: Needs | None) -> Slots | None:
    """``"CPU=4,GPU=1"``, ``{"CPU": 4, "GPU": 1}``, ``{"CPU": "1..8"}``; None: as the recipe has it."""
    if said is None or isinstance(said, str):
        return None if said is None else command.parse_needs([said])
    return command.parse_needs(f"{pool}={number}" for pool, number in said.items()) if said else Slots({}, {})


def seconds(said: str | float | None) -> float | None:
    """``"8h"``, or seconds."""
    return command.parse_time(said) if isinstance(said, str) else said


def size(said: str | int | None) -> int | None:
    """``"12G"``, or bytes."""
    return command.parse_memory(said) if isinstance(said, str) else said


def moment(said: When | None) -> float | None:
    """``"18:00"``, ``"2h"``, a datetime (local time without a zone), or seconds since the epoch -> the last."""
    if isinstance(said, datetime):
        return said.timestamp()
    return parse_moment(said, datetime.now().astimezone()) if isinstance(said, str) else said


def retry(said: int | Retry) -> Retry | None:
    """How many more times, or a policy."""
    policy = said if isinstance(said, Retry) else Retry(said)
    return command.check_retry(policy) if policy.times else None


def numbered(jobs: Iterable[Mapping[str, Any]]) -> list[tuple[int, JobSpec]]:
    """Jobs from objects as `labsched add --from` has them a line: each with its number, from 1 on, in an order in which
    it comes after those that it names. Raises BadRequest that names every bad one by its number."""
    try:
        said = [json.dumps(job) for job in jobs]
    except (TypeError, ValueError) as error:
        raise BadRequest(f"these jobs cannot be written as JSON: {error}") from None
    return command.read_jobs(said, folder())


def check_programs(jobs: Iterable[JobSpec], env: Mapping[str, str]) -> None:
    """Raise BadRequest where a program is not there to be run."""
    for job in jobs:
        stage = job.stages[0]
        path = stage.env.get("PATH", env.get("PATH", os.defpath))
        if trouble := missing(stage.argv[0], stage.cwd, path):
            raise BadRequest(trouble.replace("give --no-check", "give check=False"))


def folder() -> str:
    """The current folder."""
    try:
        return os.getcwd()
    except OSError:
        raise BadRequest("this folder is gone: go to another one first") from None
