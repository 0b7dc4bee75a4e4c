"""What submit and run share: their options, and looking at blocks before anything is done with them."""

import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from labsched.cli import queueing
from labsched.errors import BadRequest, Forbidden, LabschedError, NotFound, Refused
from labsched.recipes import folders
from labsched.recipes.block import BAD_CHANNELS, REFERENCES, BlockRequest, Expanded, expand
from labsched.wire.messages import Daemon

F = TypeVar("F", bound=Callable[..., Any])
#: Below the help of every verb that takes a BLOCK.
ABOUT_BLOCK = "BLOCK is a block's name, such as rat12/2024-03-10: its folder below the one where blocks lie."
NEAR = 3  # names that are suggested
GLANCE_S = 2.0  # that a look at samples takes, of all blocks of a command together


def block_options(command: F) -> F:
    """--omit, --probe, --stream, --source, --target, --reference, --bad-channels and --again."""
    for option in reversed(
        [
            click.option("--omit", multiple=True, metavar="A,B,...", help="Channels to leave out (repeatable)."),
            click.option("--probe", metavar="P", help="A rig or probe file, or a built-in probe's name."),
            click.option("--stream", metavar="NAME", help="Which group of channels, where the format has several."),
            click.option("--source", metavar="DIR", help="Where the block lies; may have {block} and {name} in it."),
            click.option("--target", metavar="DIR", help="Where results go; may have {block} and {name} in it."),
            click.option("--reference", type=click.Choice(REFERENCES), help="What is subtracted from each channel."),
            click.option("--bad-channels", type=click.Choice(BAD_CHANNELS), help="What to do about bad channels."),
            click.option("--again", is_flag=True, help="Also if it has succeeded before; what is there is replaced."),
        ]
    ):
        command = option(command)
    return command


def check_patterns(blocks: Sequence[str], source: str | None, target: str | None) -> None:
    """Raise BadRequest where several blocks would share a folder."""
    for option, pattern in (("--source", source), ("--target", target)):
        if pattern is not None and len(blocks) > 1 and "{block}" not in pattern:
            raise BadRequest(f"{option} needs {{block}} in it where there are several blocks, or they would share it")


def expand_all(
    requests: Sequence[BlockRequest], settings: Mapping[str, Any], python: str, env: Mapping[str, str]
) -> list[Expanded]:
    """Each as a job. Raises BadRequest; also where two of them would write to one folder."""
    found = [expand(request, settings, python, env) for request in requests]
    targets: dict[str, str] = {}
    for one in found:
        if one.target in targets:
            raise BadRequest(f"{one.job.name} and {targets[one.target]} would both write to {one.target}")
        targets[one.target] = one.job.name
    return found


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


def check_all(blocks: Sequence[Expanded], origins: Sequence[str]) -> None:
    """`check` each; every trouble is named, after where its block came from, and the first one's kind raised."""
    troubles: list[LabschedError] = []
    for block, origin in zip(blocks, origins, strict=True):
        try:
            check(block)
        except LabschedError as error:
            troubles.append(type(error)(f"{origin}{error}"))
    if len(troubles) == 1:
        raise troubles[0]
    if troubles:
        queueing.report_bad([str(trouble) for trouble in troubles], type(troubles[0]))


def look_at(blocks: Sequence[Expanded]) -> None:
    """Look at a sample of each, and say on stderr which channels look bad; for `GLANCE_S` altogether: stage 1 looks
    again, at more of it.

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
        for line in lines:
            click.echo(f"warning: {name}: {line}", err=True)
        if omit:
            does = "stage 1 will leave out what it finds bad" if block.bad_channels == "omit" else with_omit
            click.echo(f"warning: {name}: {does}; labsched inspect {shlex.quote(name)} draws it", err=True)


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
