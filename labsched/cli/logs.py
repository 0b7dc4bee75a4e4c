"""labsched logs: what a job's stages print, as they printed it."""

import sys
from collections.abc import Iterator

import click

from labsched.cli.context import client, json_option, print_json, socket_option
from labsched.cli.restarts import through_restarts
from labsched.cli.types import ABOUT_JOB, COUNT, JOB, POSITIVE
from labsched.wire.messages import LogLine

PATIENCE = 30.0  # seconds that a daemon may take to come back


@click.command(epilog=ABOUT_JOB)
@click.argument("name", type=JOB, metavar="JOB")
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows, through all stages, until the job has ended.")
@click.option("-n", "--lines", type=COUNT, metavar="N", help="Only the last N lines.")
@click.option("--stage", metavar="STAGE", help="Of this stage. Default: the one that runs, that failed, or the last.")
@click.option("--attempt", type=POSITIVE, metavar="N", help="Of this attempt. Default: the last.")
@json_option
@socket_option
def logs(name: str, follow: bool, lines: int | None, stage: str | None, attempt: int | None, as_json: bool) -> None:
    """Print what a job's stages print, both on stdout and on stderr, byte for byte. While it follows, a daemon that
    is restarted is waited for. With --json each line is an object: job, line, stage and attempt (null while it follows,
    from stage to stage).

    \b
    Example:
      labsched logs 428
      labsched logs last -f
      labsched logs 428 --stage denoise -n 20
    """
    log = client().log(name, follow, lines=lines, stage=stage, attempt=attempt)
    pieces = through_restarts(log, PATIENCE) if follow else iter(log)
    if as_json:
        for line in _lines(pieces):
            start = log.begins
            assert start is not None
            whose = (None, None) if follow else (start.stage, start.attempt)
            print_json(LogLine(start.job, line.decode(errors="replace"), *whose))
            sys.stdout.flush()
        return
    for piece in pieces:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Lines without their ends, as soon as each is whole."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest
