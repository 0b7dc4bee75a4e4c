"""labsched wait: until jobs have ended."""

import sys
import time
from collections.abc import Sequence

import click

from labsched.cli import jobs, table
from labsched.cli.context import client, json_option, print_json, print_numbers, quiet_option, socket_option
from labsched.cli.types import ABOUT_JOB, JOB, TIME
from labsched.core.states import Outcome, State
from labsched.errors import NoDaemon, TryLater
from labsched.wire.client import Client
from labsched.wire.messages import Job, JobRow, Waited

WITHIN = 30.0  # seconds of one request for one job
WITHIN_MANY = 1.0  # for several, so that each is told soon after it ends
AT_ONCE = 500  # jobs of one request
RESTART = 60.0  # seconds that a daemon may take to come back
PAUSE = (0.1, 2.0)  # seconds between attempts to reach it: first, longest
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
    pending = numbers
    while pending:
        now = time.monotonic()
        within = WITHIN if len(pending) == 1 else WITHIN_MANY
        within = within if end is None else max(min(within, end - now), 0.0)
        for row in _ask(ask, pending[:AT_ONCE], within, end):
            rows[row.id] = row
            if row.state == State.ENDED and not as_json:
                print_numbers([row.id]) if quiet else table.write([jobs.line(row)])
        sys.stdout.flush()
        pending = [number for number in numbers if number not in rows or rows[number].state != State.ENDED]
        # The jobs of the next request are others, where they are too many for one.
        pending = pending[AT_ONCE:] + pending[:AT_ONCE]
        if pending and end is not None and time.monotonic() >= end:
            break
    if as_json:
        print_json(Waited(not pending, tuple(rows[number] for number in numbers if number in rows)))
    if pending:
        return NOT_YET
    return 0 if all(row.outcome == Outcome.SUCCEEDED for row in rows.values()) else 1


def _number(ask: Client, name: str) -> int:
    """The job's number: `last` must stay the same job, and a name may have a comma in it."""
    return ask.get("job", Job, ref=name).id


def _ask(ask: Client, numbers: Sequence[int], within: float, end: float | None) -> tuple[JobRow, ...]:
    """How these jobs are, once that changes; through a restart of the daemon."""
    lost: float | None = None
    pause = PAUSE[0]
    while True:
        try:
            return ask.get("wait", Waited, timeout=within + 60, jobs=",".join(map(str, numbers)), within=within).jobs
        except (NoDaemon, TryLater):
            now = time.monotonic()
            lost = now if lost is None else lost
            if end is not None and now >= end:
                return ()
            if now - lost > RESTART:
                raise
            time.sleep(pause if end is None else min(pause, max(end - now, 0.0)))
            pause = min(pause * 2, PAUSE[1])
