"""labsched wait: until jobs have ended."""

import sys
import time

import click

from labsched.cli import jobs, table
from labsched.cli.context import client, json_option, print_json, print_numbers, quiet_option, socket_option
from labsched.cli.types import ABOUT_JOB, JOB, TIME
from labsched.core.states import Outcome, State
from labsched.wire.client import Client
from labsched.wire.messages import Job, JobRow, Waited
from labsched.wire.restarts import until_ended

NOT_YET = 75


@click.command(epilog=ABOUT_JOB)
@click.argument("names", nargs=-1, required=True, type=JOB, metavar="JOB...")
@click.option("--timeout", type=TIME, metavar="TIME", help="Give up after 90 (seconds), 15m, 8h: exit code 75.")
@json_option
@quiet_option
@socket_option
def wait(names: tuple[str, ...], timeout: float | None, as_json: bool, quiet: bool) -> int:
    """Wait until jobs have ended, and print a line for each as it does.

    The exit code says how: 0 if all succeeded, 1 if any did not, 75 if the time was up first. A daemon that is
    restarted meanwhile is waited for.

    \b
    Example:
      labsched wait 430 && echo sorted
      labsched wait 430 432 --timeout 8h
    """
    ask = client()
    end = None if timeout is None else time.monotonic() + timeout
    numbers = list(dict.fromkeys(_number(ask, name) for name in names))
    rows: dict[int, JobRow] = {}
    for some in until_ended(ask, numbers, end):
        for row in some:
            rows[row.id] = row
            if row.state == State.ENDED and not as_json:
                print_numbers([row.id]) if quiet else table.write([jobs.line(row)])
        sys.stdout.flush()
    pending = [number for number in numbers if number not in rows or rows[number].state != State.ENDED]
    if as_json:
        print_json(Waited(not pending, tuple(rows[number] for number in numbers if number in rows)))
    if pending:
        return NOT_YET
    return 0 if all(row.outcome == Outcome.SUCCEEDED for row in rows.values()) else 1


def _number(ask: Client, name: str) -> int:
    """The job's number: `last` must stay the same job, and a name may have a comma in it."""
    return ask.get("job", Job, ref=name).id
