"""labsched submit: blocks, to be de-noised and sorted."""

import os
from collections import Counter

import click

from labsched.cli import blocks as looking
from labsched.cli import queueing
from labsched.cli.context import client, json_option, quiet_option, socket_option
from labsched.cli.types import BLOCK, MOMENT, PRIORITY
from labsched.errors import BadRequest
from labsched.recipes import environ
from labsched.recipes.block import BlockRequest, Row, check_name, parse_omit, read_table
from labsched.wire.messages import Daemon


@click.command(epilog=looking.ABOUT_BLOCK)
@click.argument("blocks", nargs=-1, type=BLOCK, metavar="BLOCK...")
@looking.block_options
@click.option(
    "--priority", type=PRIORITY, default=0, metavar="N", help="Higher goes first; above 0 as [limits] lets. Default: 0."
)
@click.option("--not-before", type=MOMENT, metavar="WHEN", help="Not to start before 18:00, 2026-11-25, 2h from now.")
@click.option("--hold", is_flag=True, help="Queue it, but do not let it start before: labsched release.")
@click.option("--from", "file", metavar="FILE", help="BLOCK<tab>A,B,... a line; all or none; - for stdin.")
@click.option("--no-check", is_flag=True, help="Do not look at the recording and the probe first.")
@json_option
@quiet_option
@socket_option
def submit(
    blocks: tuple[str, ...],
    omit: tuple[str, ...],
    probe: str | None,
    stream: str | None,
    source: str | None,
    target: str | None,
    reference: str | None,
    bad_channels: str | None,
    sorter: str | None,
    again: bool,
    priority: int,
    not_before: float | None,
    hold: bool,
    file: str | None,
    no_check: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Queue blocks: each is de-noised, then sorted, by klusta or by --sorter. Prints their numbers.

    Where blocks lie and where results go, the probe and all else come from the daemon's configuration; options change
    them for these blocks. Recording, channels and probe are looked at first, and nothing is queued unless all are
    good. Blocks that are named here are looked at for bad channels, too, within two seconds; stage 1 looks at all. A
    block that is queued already is refused; one that succeeded needs --again.

    \b
    Example:
      labsched submit rat12/2024-03-10 --omit Port_20,Port_21
      labsched submit --from blocks.tsv
      labsched submit rat12/2024-03-11 --probe buzsaki32 --reference car
      labsched submit rat12/2024-03-11 --sorter mountainsort5
    """
    rows = [Row(block, (), 0) for block in blocks] if file is None else _table(file, blocks)
    if not rows:
        raise click.UsageError("name a block, or a file with --from")
    names = [check_name(row.block) for row in rows]
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise BadRequest(f"block {twice[0]} is named twice")
    looking.check_patterns(names, source, target)
    requests = [
        BlockRequest(
            block=row.block,
            omit=parse_omit((*omit, *row.omit)),
            probe=_probe(probe) if probe else None,
            source=queueing.absolute(source),
            target=queueing.absolute(target),
            reference=reference,
            stream=stream,
            bad_channels=bad_channels,
            sorter=sorter,
            priority=priority,
            hold=hold,
            not_before=not_before,
            again=again,
        )
        for row in rows
    ]
    ask = client()
    daemon = ask.get("daemon", Daemon)
    env, left_out = environ.small(os.environ)
    found = looking.expand_all(requests, looking.settings(daemon), daemon.python, {})
    if not no_check:
        looking.check_all(found, [f"{file}, line {row.line}: " if file else "" for row in rows])
        if file is None:
            looking.look_at(found)
    if daemon.as_submitter:
        looking.check_targets(found)
    queueing.warn_left_out(left_out)
    queueing.send(ask, [one.job for one in found], env, as_json, quiet)


def _table(file: str, blocks: tuple[str, ...]) -> list[Row]:
    if blocks:
        raise click.UsageError("name blocks, or a file with --from, but not both")
    return queueing.parse_file(file, read_table)


def _probe(named: str) -> str:
    from pathlib import Path

    from labsched import paths

    return paths.probe(named, Path.cwd())
