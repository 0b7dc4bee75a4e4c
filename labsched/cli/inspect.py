"""labsched inspect: which channels of a block are bad."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from labsched import config as configuration
from labsched import paths
from labsched.cli import blocks as looking
from labsched.cli import queueing, table
from labsched.cli.context import client, json_option, print_json, socket_option
from labsched.cli.types import BLOCK
from labsched.errors import BadRequest, LabschedError, NoDaemon
from labsched.recipes import folders
from labsched.recipes.block import BlockRequest, Expanded, parse_omit
from labsched.wire.messages import Daemon, Inspected


@click.command(epilog=looking.ABOUT_BLOCK)
@click.argument("block", type=BLOCK, metavar="BLOCK")
@click.option("--omit", multiple=True, metavar="A,B,...", help="Channels that are left out anyway (repeatable).")
@click.option("--probe", metavar="P", help="A rig or probe file, or a built-in probe's name.")
@click.option("--stream", metavar="NAME", help="Which group of channels, where the format has several.")
@click.option("--source", metavar="DIR", help="Where the block lies; may have {block} and {name} in it.")
@click.option("--target", metavar="DIR", help="Where results go; may have {block} and {name} in it.")
@click.option("--picture", metavar="FILE", help="Where to draw: .png, .pdf or .svg. Default: beside the results.")
@click.option("--no-picture", is_flag=True, help="Draw none.")
@click.option(
    "--config", metavar="FILE", help="The configuration; else the daemon's, or without one the usual place's."
)
@json_option
@socket_option
def inspect(
    block: str,
    omit: tuple[str, ...],
    probe: str | None,
    stream: str | None,
    source: str | None,
    target: str | None,
    picture: str | None,
    no_picture: bool,
    config: str | None,
    as_json: bool,
) -> int:
    """Name the bad channels of a block, with the reason: dead, flat, noisy, clipped, uncorrelated, or out of the brain.

    It reads a sample of some seconds, spread over the block, and draws a picture of traces, noise, spectra,
    correlation and the probe. The last line is the command that queues the block without them. No daemon is needed.
    The exit code is 0, whether channels are bad or not.

    \b
    Example:
      labsched inspect rat12/2024-03-10
      labsched inspect rat12/2024-03-10 --omit Port_20 --picture look.pdf
      labsched inspect test --source ./test --probe tetrode4 --no-picture --json
    """
    if picture and no_picture:
        raise click.UsageError("--picture or --no-picture, but not both")
    request = BlockRequest(
        block=block,
        omit=parse_omit(omit),
        probe=paths.probe(probe, Path.cwd()) if probe else None,
        stream=stream,
        source=queueing.absolute(source),
        target=queueing.absolute(target),
    )
    settings, as_submitter = _settings(config)
    found = looking.expand_all([request], settings, sys.executable, {})[0]
    looking.check(found)
    drawn = None if no_picture else queueing.absolute(picture) if picture else _beside(found, as_submitter)
    seen = _look(found, drawn)
    named = {"--probe": probe, "--stream": stream, "--source": source, "--target": target}
    seen |= {"block": block, "command": _command(block, seen["omit"], named)}
    if as_json:
        import msgspec

        print_json(msgspec.convert(seen, Inspected))
        return 0
    from labsched.ephys.inspect import words

    table.write(words.lines(seen))
    return 0


def _settings(config: str | None) -> tuple[Mapping[str, Any], bool]:
    """[sort] as the daemon has it, or as the file says; and whether its stages run as who submits."""
    if config is None:
        try:
            daemon = client().get("daemon", Daemon)
            return looking.settings(daemon), daemon.as_submitter
        except NoDaemon:
            pass
    import msgspec

    return msgspec.structs.asdict(configuration.load(paths.config_file(config)).sort), False


def _beside(block: Expanded, as_submitter: bool) -> str:
    """Where the picture goes: among the results, or here where that folder would be in a stage's way or may not be
    written."""
    name = f"{block.job.name.rpartition('/')[2]}.inspect.png"
    there = Path(folders.nearest(block.target))
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    # A folder that is made now belongs to whoever made it: it must be the account that the stages run under.
    if writable and (str(there) == block.target or as_submitter or there.stat().st_uid == os.geteuid()):
        return f"{block.target}/{name}"
    return str(Path.cwd() / name)


def _look(block: Expanded, picture: str | None) -> dict[str, Any]:
    """What was seen, by a process of its own: what computes and draws is loaded there."""
    argv = [sys.executable, "-m", "labsched.ephys", "inspect", "--json", "--source", block.source]
    argv += ["--omit", ",".join(block.omit)] if block.omit else []
    argv += ["--probe", block.probe] if block.probe else []
    argv += ["--stream", block.stream] if block.stream else []
    argv += ["--picture", picture] if picture else []
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        sentence = last.removeprefix("error: ") or f"it ended with exit code {done.returncode}"
        kind = BadRequest if done.returncode == 2 else LabschedError
        raise kind(f"{block.job.name}: {sentence}")
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def _command(block: str, omit: str, named: Mapping[str, str | None]) -> str:
    """The command that queues the block without its bad channels, to be pasted into a shell."""
    words = ["labsched", "submit", block, *(("--omit", omit) if omit else ())]
    return shlex.join([*words, *(word for option, value in named.items() if value for word in (option, value))])
