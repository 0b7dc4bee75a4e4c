"""labsched events: what has changed, and what changes."""

import sys
from datetime import UTC, datetime

import click

from labsched.cli import table, words
from labsched.cli.context import client, print_json, socket_option
from labsched.cli.restarts import through_restarts
from labsched.cli.types import ABOUT_JOB, COUNT, JOB
from labsched.wire.events import Events
from labsched.wire.messages import Event

LAST = 20
PATIENCE = 300.0  # seconds that a daemon may take to come back: nobody looks at the screen


@click.command(epilog=ABOUT_JOB)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option("--since", type=COUNT, metavar="ID", help="All events after this one; 0 for all that there are.")
@click.option("-n", "--last", type=COUNT, metavar="N", help=f"The last N events. Default: {LAST}.")
@click.option("--job", type=JOB, metavar="JOB", help="Only those of this job.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as one line of JSON.")
@socket_option
def events(follow: bool, since: int | None, last: int | None, job: str | None, as_json: bool) -> None:
    """Print what has changed, the oldest first: jobs that people queued, cancelled, held, released and retried, every
    move of a stage, pools, and the daemon itself. Each event has a number; to go on where one stopped, give the last
    one to --since. While it follows, a daemon that is restarted is waited for, and nothing is missed or told twice.

    \b
    Example:
      labsched events
      labsched events --job 428
      labsched events --follow --json --since 1041
    """
    if since is not None and last is not None:
        raise click.UsageError("give --since or --last, not both")
    count = (LAST if last is None else last) if since is None else None
    stream = Events(client(), follow, after=since, last=count, job=job)
    now = datetime.now(UTC)
    for event in through_restarts(stream, PATIENCE) if follow else stream:
        if as_json:
            print_json(event)
        else:
            table.write([line(event, now)])
        if follow:
            sys.stdout.flush()


def line(event: Event, now: datetime) -> str:
    """``1041  12:31  428 rat12/2024-03-10  klusta  stage.failed  exit 1  by user3``."""
    data = dict(event.data)
    parts = [str(event.id), words.moment(event.at, now)]
    if event.job is not None:
        parts.append(f"{event.job} {event.name or data.get('name') or ''}".rstrip())
    parts += [*([event.stage] if event.stage else []), event.kind]
    reason = data.pop("reason", None)
    for key in ("move", "name"):
        data.pop(key, None)
    parts += [str(reason)] if reason else []
    parts += [f"{key} {value}" for key, value in data.items()]
    parts += [f"by {event.user}"] if event.user and f"by {event.user}" not in str(reason) else []
    return table.clean("  ".join(parts))
