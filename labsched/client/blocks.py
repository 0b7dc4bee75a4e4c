"""Looking at blocks before anything is done with them."""

import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labsched.errors import BadRequest, Forbidden, LabschedError, NotFound, Refused
from labsched.recipes import folders
from labsched.recipes.block import BlockRequest, Expanded, expand
from labsched.recipes.sorters import FOREIGN
from labsched.wire.messages import Daemon

NEAR = 3  # names that are suggested
GLANCE_S = 2.0  # that a look at samples takes, of all blocks of a command together


def check_patterns(blocks: Sequence[str], source: str | None, target: str | None) -> None:
    """Raise BadRequest where several blocks would share a folder."""
    for option, pattern in (("--source", source), ("--target", target)):
        if pattern is not None and len(blocks) > 1 and "{block}" not in pattern:
            raise BadRequest(f"{option} needs {{block}} in it where there are several blocks, or they would share it")


def expand_all(
    requests: Sequence[BlockRequest], settings: Mapping[str, Any], python: str, env: Mapping[str, str]
) -> list[Expanded]:
    """Each as a job. Raises BadRequest, also where two of them would write to one folder; Refused where a sorter is not
    installed."""
    found = [expand(request, settings, python, env) for request in requests]
    check_sorters(found, settings)
    targets: dict[str, str] = {}
    for one in found:
        if one.target in targets:
            raise BadRequest(f"{one.job.name} and {targets[one.target]} would both write to {one.target}")
        targets[one.target] = one.job.name
    return found


def check_sorters(blocks: Sequence[Expanded], settings: Mapping[str, Any]) -> None:
    """Raise Refused where a block's sorter is not installed."""
    for sorter in sorted({block.sorter for block in blocks} & set(FOREIGN)):
        from labsched.ephys.sorters.environments import look

        folder = settings["sorters"]
        if look(folder, sorter) is None:
            raise Refused(f"{sorter} is not installed in {folder}: labsched sorter install {sorter}")


def check(block: Expanded) -> None:
    """Look whether this block can be done at all: its folder, its channels, its probe.

    Raises NotFound where it is not there, BadRequest where its channels or its probe do not fit, and LabschedError
    where its data cannot be read.
    """
    try:
        from pathlib import Path

        from labsched.ephys.check import check as look
        from labsched.ephys.errors import EphysError
        from labsched.ephys.readers.find import single
    except ImportError as error:
        raise LabschedError(
            f"cannot look at the block ({error}): labsched doctor says more, --no-check skips"
        ) from None
    if not os.path.exists(block.source) and not single(Path(block.source)):
        raise NotFound(f"there is no block {block.job.name}: no folder {block.source}{_near(block.source)}")
    try:
        look(Path(block.source), block.omit, block.probe, block.stream or "")
    except EphysError as error:
        try:
            look(Path(block.source), (), None)
        except EphysError as worse:
            if str(worse) == str(error):
                raise LabschedError(f"{block.job.name}: {error}") from None
        raise BadRequest(f"{block.job.name}: {error}") from None
    except PermissionError as error:
        raise LabschedError(f"{block.job.name}: you may not read {error.filename or block.source}") from None


def look_at(blocks: Sequence[Expanded]) -> Iterator[str]:
    """Look at a sample of each, and tell which channels look bad; for `GLANCE_S` altogether: stage 1 looks again, at
    more of it.

    Raises Refused where bad channels are to be refused.
    """
    began = time.monotonic()
    for block in blocks:
        left = GLANCE_S - (time.monotonic() - began)
        if block.bad_channels == "off" or left <= 0:
            continue
        from labsched.ephys.errors import EphysError
        from labsched.ephys.inspect.glance import glance

        try:
            omit, lines = glance(block.source, block.omit, block.probe, block.stream or "", left)
        except (EphysError, OSError):
            continue  # stage 1 says it better, where there is still something wrong then
        if not lines:
            continue
        name = block.job.name
        with_omit = f"labsched submit {shlex.quote(name)} --omit {shlex.quote(','.join((*block.omit, *omit)))}"
        if block.bad_channels == "refuse":
            raise Refused(f"{name}: {'; '.join(lines)}: {with_omit}, or --bad-channels warn; nothing was queued")
        yield from (f"{name}: {line}" for line in lines)
        if omit:
            does = "stage 1 will leave out what it finds bad" if block.bad_channels == "omit" else with_omit
            yield f"{name}: {does}; labsched inspect {shlex.quote(name)} draws it"


def settings(daemon: Daemon) -> Mapping[str, Any]:
    """[sort], as the daemon has it. Raises LabschedError where it is an old one."""
    sort = daemon.settings.get("sort")
    if not isinstance(sort, dict):
        raise LabschedError("the daemon does not say where blocks lie: restart it, it is not of this version")
    return sort


def check_targets(blocks: Sequence[Expanded]) -> None:
    """Raise Forbidden where this user may not write to a block's target; for stages that run as them."""
    for block in blocks:
        there = folders.nearest(block.target)
        if os.path.isdir(there) and not os.access(there, os.W_OK | os.X_OK):
            where = block.target if there == block.target else f"{block.target} ({there} is not yours to write to)"
            raise Forbidden(
                f"{block.job.name}: you may not write to {where}: name another place with --target, or ask its owner"
            )


def _near(missing: str) -> str:
    import difflib

    parent = os.path.dirname(missing)
    while not os.path.exists(parent):
        missing, parent = parent, os.path.dirname(parent)
    try:
        names = [entry.name for entry in os.scandir(parent) if entry.is_dir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(os.path.basename(missing), names, n=NEAR, cutoff=0.7)
    return f"; did you mean {' or '.join(near)}?" if near else f"; {parent} is where it was looked for"
