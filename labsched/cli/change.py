"""labsched cancel, hold, release, retry: what people do to jobs."""

import click

from labsched.cli import jobs, table
from labsched.cli.context import client, json_option, print_json, print_numbers, quiet_option, socket_option
from labsched.cli.types import ABOUT_JOB, JOB
from labsched.wire.messages import Jobs
from labsched.wire.requests import Verb

CANCEL_PATIENCE = 600.0  # seconds: a cancel is answered when the last process is gone


@click.command(epilog=ABOUT_JOB)
@click.argument("names", nargs=-1, required=True, type=JOB, metavar="JOB...")
@click.option("--reason", metavar="TEXT", help="Why; whoever looks at the job will read it.")
@json_option
@quiet_option
@socket_option
def cancel(names: tuple[str, ...], reason: str | None, as_json: bool, quiet: bool) -> None:
    """End jobs, running or waiting, all of them or none.

    What runs is asked to stop (TERM), and killed if it does not. The command returns when the last process is gone.

    \b
    Example:
      labsched cancel 431 432 --reason "wrong probe"
      labsched cancel rat12/2024-03-10
    """
    _do("cancel", Verb(jobs=names, reason=reason), as_json, quiet)


@click.command(epilog=ABOUT_JOB)
@click.argument("names", nargs=-1, required=True, type=JOB, metavar="JOB...")
@json_option
@quiet_option
@socket_option
def hold(names: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Keep jobs from starting, all of them or none. A stage that runs goes on, the next one does not start.

    \b
    Example:
      labsched hold 432
      labsched release 432
    """
    _do("hold", Verb(jobs=names), as_json, quiet)


@click.command(epilog=ABOUT_JOB)
@click.argument("names", nargs=-1, required=True, type=JOB, metavar="JOB...")
@json_option
@quiet_option
@socket_option
def release(names: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Let held jobs start as soon as their pools have room, all of them or none.

    \b
    Example:
      labsched release 432 433
    """
    _do("release", Verb(jobs=names), as_json, quiet)


@click.command(epilog=ABOUT_JOB)
@click.argument("names", nargs=-1, required=True, type=JOB, metavar="JOB...")
@click.option("--from", "stage", metavar="STAGE", help="Run again from this stage on, also what succeeded.")
@json_option
@quiet_option
@socket_option
def retry(names: tuple[str, ...], stage: str | None, as_json: bool, quiet: bool) -> None:
    """Run the stages of ended jobs again that did not succeed, all of the jobs or none.

    The job keeps its number, its command lines and its environment; what was tried before stays in labsched show.

    \b
    Example:
      labsched retry 428
      labsched retry last --from denoise
    """
    _do("retry", Verb(jobs=names, from_stage=stage), as_json, quiet)


def _do(verb: str, request: Verb, as_json: bool, quiet: bool) -> None:
    answer = client().post(f"jobs/{verb}", request, Jobs, timeout=CANCEL_PATIENCE)
    if as_json:
        print_json(answer)
    elif quiet:
        print_numbers(row.id for row in answer.jobs)
    else:
        table.write(jobs.line(row) for row in answer.jobs)
