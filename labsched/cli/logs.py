"""labsched logs: what a job's stages print, as they printed it."""

import sys

import click

from labsched.cli.context import client, socket_option
from labsched.cli.types import ABOUT_JOB, COUNT, JOB, POSITIVE
from labsched.core.states import State
from labsched.errors import NoDaemon
from labsched.wire.messages import Job


@click.command(epilog=ABOUT_JOB)
@click.argument("name", type=JOB, metavar="JOB")
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows, through all stages, until the job has ended.")
@click.option("-n", "--lines", type=COUNT, metavar="N", help="Only the last N lines.")
@click.option("--stage", metavar="STAGE", help="Of this stage. Default: the one that runs, that failed, or the last.")
@click.option("--attempt", type=POSITIVE, metavar="N", help="Of this attempt. Default: the last.")
@socket_option
def logs(name: str, follow: bool, lines: int | None, stage: str | None, attempt: int | None) -> None:
    """Print what a job's stages print, both on stdout and on stderr, byte for byte.

    \b
    Example:
      labsched logs 428
      labsched logs last -f
      labsched logs 428 --stage denoise -n 20
    """
    ask = client()
    out = sys.stdout.buffer
    for piece in ask.stream("log", ref=name, follow=follow, lines=lines, stage=stage, attempt=attempt):
        out.write(piece)
        out.flush()
    if follow and stage is None and attempt is None:
        _check_ended(name, ask.get("job", Job, ref=name))


def _check_ended(name: str, job: Job) -> None:
    """An answer without a length ends where the connection does: it may be the daemon that ended, not the job."""
    if job.state != State.ENDED:
        raise NoDaemon(f"the daemon was restarted while job {job.id} runs; go on with: labsched logs {name} -f")
