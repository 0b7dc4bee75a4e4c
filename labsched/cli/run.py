"""labsched run: a block here and now, without a daemon."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from labsched import config as configuration
from labsched import paths
from labsched.cli import blocks as looking
from labsched.cli import queueing
from labsched.cli.context import socket_option
from labsched.cli.types import BLOCK
from labsched.core import units
from labsched.core.spare import variables
from labsched.core.spec import StageSpec
from labsched.errors import LabschedError, Refused
from labsched.recipes import environ
from labsched.recipes.block import BlockRequest, parse_omit

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(Exception):
    def __init__(self, number: int) -> None:
        self.number = number


@click.command(epilog=looking.ABOUT_BLOCK)
@click.argument("block", type=BLOCK, metavar="BLOCK")
@looking.block_options
@click.option("--config", metavar="FILE", help="The configuration; else $LABSCHED_CONFIG, or the usual place.")
@click.option("--no-check", is_flag=True, help="Do not look at the recording and the probe first.")
@socket_option
def run(
    block: str,
    omit: tuple[str, ...],
    probe: str | None,
    stream: str | None,
    source: str | None,
    target: str | None,
    reference: str | None,
    bad_channels: str | None,
    sorter: str | None,
    again: bool,
    config: str | None,
    no_check: bool,
) -> int:
    """De-noise and sort one block here and now, without a daemon and without its pools.

    What the stages print is shown as it comes. Ctrl-C ends them. The exit code is 1 if a stage fails.

    \b
    Example:
      labsched run rat12/2024-03-10 --omit Port_20,Port_21
      labsched run test --source ./test --target ./out --probe tetrode4
    """
    settings = configuration.load(paths.config_file(config))
    request = BlockRequest(
        block=block,
        omit=parse_omit(omit),
        probe=paths.probe(probe, Path.cwd()) if probe else None,
        source=queueing.absolute(source),
        target=queueing.absolute(target),
        reference=reference,
        stream=stream,
        bad_channels=bad_channels,
        sorter=sorter,
        again=again,
    )
    import msgspec

    env, _ = environ.small(os.environ)
    expanded = looking.expand_all([request], msgspec.structs.asdict(settings.sort), sys.executable, env)[0]
    if not no_check:
        looking.check(expanded)
    looking.check_targets([expanded])
    last = expanded.job.stages[-1]
    if not again and all(Path(path).exists() for path in last.outputs):
        raise Refused(f"block {block} is done, in {expanded.target}: give --again to do it once more")
    for stage in expanded.job.stages:
        code = _run(stage, env, settings.daemon.stop_grace)
        if code:
            return code
    click.echo(f"done: the results are in {expanded.target}", err=True)
    return 0


def _run(stage: StageSpec, env: dict[str, str], grace: float) -> int:
    """Run one stage to its end: 0, or the exit code of this command. Raises LabschedError where it fails."""
    began = time.monotonic()
    click.echo(f"{stage.name}: starts", err=True)
    try:
        # A process group of its own, so that its end is ours to order; no terminal to read from.
        child = subprocess.Popen(
            stage.argv,
            cwd=stage.cwd,
            env={**env, **stage.env, **_slots(stage)},
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
    except OSError as error:
        raise LabschedError(f"{stage.name} cannot be started: {error.strerror}: {error.filename}") from None
    try:
        with _stops():
            code = child.wait(stage.time_limit)
    except _Stopped as stop:
        _end(child, grace)
        return 128 + stop.number
    except subprocess.TimeoutExpired:
        _end(child, grace)
        limit = units.duration(stage.time_limit or 0)
        raise LabschedError(f"{stage.name} was ended after its time limit of {limit}: give it more in [sort]") from None
    if code < 0:
        raise LabschedError(f"{stage.name} was killed by {signal.Signals(-code).name}: run the block again")
    if code:
        raise LabschedError(f"{stage.name} failed with exit code {code}: what it printed says why")
    missing = [path for path in stage.outputs if not Path(stage.cwd, path).exists()]
    if missing:
        raise LabschedError(f"{stage.name} ended without its output {missing[0]}: what it printed may say why")
    click.echo(f"{stage.name}: done after {units.duration(time.monotonic() - began)}", err=True)
    return 0


def _slots(stage: StageSpec) -> dict[str, str]:
    """What the daemon would say of its slots: without one, it may have all processors that it can use."""
    slots = {**stage.needs, **{pool: min(n, len(os.sched_getaffinity(0))) for pool, n in stage.up_to.items()}}
    return variables({pool: max(n, stage.needs[pool]) for pool, n in slots.items()})


@contextmanager
def _stops() -> Iterator[None]:
    """Ctrl-C and its like as an exception that tells which it was."""

    def stop(number: int, _: object) -> None:
        raise _Stopped(number)

    old = {number: signal.signal(number, stop) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _end(child: "subprocess.Popen[bytes]", grace: float) -> None:
    """End the stage's whole process group: TERM, then KILL. Another Ctrl-C does not wait for it."""
    try:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(grace)
    except (subprocess.TimeoutExpired, KeyboardInterrupt, ProcessLookupError):
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # also what the stage's first process has left behind
        child.wait()
