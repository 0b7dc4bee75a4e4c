"""labsched cancel, hold, release, retry: what people do to jobs."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from labsched.cli import jobs, table
from labsched.cli.context import client, json_option, print_json, print_numbers, quiet_option, socket_option
from labsched.cli.types import ABOUT_JOB, JOB
from labsched.wire.messages import JobRow, Jobs
from labsched.wire.requests import Verb

F = TypeVar("F", bound=Callable[..., Any])
CANCEL_PATIENCE = 600.0  # seconds: a cancel is answered when the last process is gone


def mine_options(command: F) -> F:
    """--mine and --waiting, in the place of JOB."""
    waiting = click.option("--waiting", is_flag=True, help="All of your own of which nothing runs.")(command)
    return click.option("--mine", is_flag=True, help="All of your own that have not ended.")(waiting)


@click.command(epilog=ABOUT_JOB)
@click.argument("names", nargs=-1, type=JOB, metavar="JOB...")
@mine_options
@click.option("--reason", metavar="TEXT", help="Why; whoever looks at the job will read it.")
@json_option
@quiet_option
@socket_option
def cancel(names: tuple[str, ...], mine: bool, waiting: bool, reason: str | None, as_json: bool, quiet: bool) -> None:
    """End jobs, running or waiting, all that are named or none.

    What runs is asked to stop (TERM), and killed if it does not. The command returns when the last process is gone.

    \b
    Example:
      labsched cancel 431 432 --reason "wrong probe"
      labsched cancel rat12/2024-03-10
      labsched cancel --waiting
    """
    _do("cancel", Verb(jobs=names, mine=mine or waiting, waiting=waiting, reason=reason), as_json, quiet)


@click.command(epilog=ABOUT_JOB)
@click.argument("names", nargs=-1, type=JOB, metavar="JOB...")
@mine_options
@json_option
@quiet_option
@socket_option
def hold(names: tuple[str, ...], mine: bool, waiting: bool, as_json: bool, quiet: bool) -> None:
    """Keep jobs from starting, all that are named or none. A stage that runs goes on, the next one does not start.

    \b
    Example:
      labsched hold 432
      labsched release 432
    """
    _do("hold", Verb(jobs=names, mine=mine or waiting, waiting=waiting), as_json, quiet)


@click.command(epilog=ABOUT_JOB)
@click.argument("names", nargs=-1, type=JOB, metavar="JOB...")
@mine_options
@json_option
@quiet_option
@socket_option
def release(names: tuple[str, ...], mine: bool, waiting: bool, as_json: bool, quiet: bool) -> None:
    """Let held jobs start as soon as their pools have room, all that are named or none.

    \b
    Example:
      labsched release 432 433
    """
    _do("release", Verb(jobs=names, mine=mine or waiting, waiting=waiting), as_json, quiet)


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
    if request.mine and request.jobs:
        raise click.UsageError("name jobs, or give --mine or --waiting, but not both")
    if not (request.mine or request.jobs):
        raise click.UsageError("Missing argument 'JOB...'")
    found: list[JobRow] = []
    more = True
    while more:
        answer = client().post(f"jobs/{verb}", request, Jobs, timeout=CANCEL_PATIENCE)
        more = answer.more
        if as_json:
            found += answer.jobs
        elif quiet:
            print_numbers(row.id for row in answer.jobs)
        else:
            table.write(jobs.line(row) for row in answer.jobs)
        sys.stdout.flush()
    if as_json:
        print_json(Jobs(tuple(found)))
