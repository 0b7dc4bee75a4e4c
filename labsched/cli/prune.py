"""labsched prune: old jobs go, with their logs."""

import sys

import click

from labsched.cli import table, words
from labsched.cli.context import client, json_option, print_json, socket_option
from labsched.cli.types import COUNT, SIZE, TIME
from labsched.core.units import size
from labsched.errors import LabschedError
from labsched.wire.messages import Pruned
from labsched.wire.requests import Prune

PATIENCE = 600.0  # seconds between two words of the daemon


@click.command()
@click.option("--before", type=TIME, metavar="TIME", help="Jobs that have been over for so long: 90d, 12h.")
@click.option("--logs-over", type=SIZE, metavar="SIZE", help="The oldest, until all logs take no more than 100G, say.")
@click.option("--keep", type=COUNT, metavar="N", help="But never the N jobs that ended last; alone: all but those.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
@socket_option
def prune(before: float | None, logs_over: int | None, keep: int | None, dry_run: bool, as_json: bool) -> int:
    """Remove jobs that have ended, with all that is known of them, and their logs: your own, an admin everybody's. What
    jobs have written elsewhere stays.

    Never removed are jobs that have not ended or that such a job comes after, and of each block the newest job that
    succeeded: a block that is done stays done until it is queued with --again. Without options, it does now what the
    daemon does once a day: what [prune] in the configuration says.

    It goes on in small steps, and nobody waits for it. Ctrl-C ends it; what has been removed is. The exit code is 1 if
    something could not be removed.

    \b
    Example:
      labsched prune --before 90d --dry-run
      labsched prune --logs-over 100G --keep 1000
    """
    asked = Prune(before=before, logs_over=logs_over, keep=keep, dry_run=dry_run)
    last: Pruned | None = None
    live = sys.stderr.isatty() and not as_json
    try:
        for last in client().post_lines("prune", asked, Pruned, timeout=PATIENCE):
            if live and not last.done:
                click.echo(f"\r{words.count(last.jobs, 'job')}, {size(last.bytes)} …", nl=False, err=True)
    finally:
        if live and last is not None:
            click.echo("\r\x1b[K", nl=False, err=True)
    if last is None or not last.done:
        raise LabschedError("the daemon did not say how it ended: do it again")
    if as_json:
        print_json(last)
    else:
        table.write([sentence(last)])
        for error in last.errors:
            click.echo(f"not removed: {table.clean(error)}", err=True)
    return 1 if last.errors else 0


def sentence(answer: Pruned) -> str:
    """What people read."""
    what = f"{words.count(answer.jobs, 'job')}, with {words.count(answer.attempts, 'log')} ({size(answer.bytes)})"
    kept = f"; {words.count(answer.kept, 'job')} of that age have to stay" if answer.kept else ""
    return f"{what} {'would be removed' if answer.dry_run else 'removed'}{kept}"
