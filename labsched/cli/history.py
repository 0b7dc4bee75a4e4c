"""labsched history: the jobs that have ended."""

from datetime import UTC, datetime

import click

from labsched.cli import jobs, table
from labsched.cli.context import client, json_option, print_json, print_numbers, quiet_option, socket_option
from labsched.cli.types import POSITIVE
from labsched.wire.messages import History


@click.command()
@click.option("-n", "--limit", type=POSITIVE, default=30, metavar="N", help="At most N. Default: 30.")
@click.option("--before", type=POSITIVE, metavar="ID", help="Only jobs with a smaller number.")
@click.option("--user", metavar="NAME", help="Only the jobs of this person.")
@click.option("--failed", is_flag=True, help="Only what failed, ran out of time or was lost.")
@click.option("--name", metavar="TEXT", help="Only jobs with TEXT in their name.")
@json_option
@quiet_option
@socket_option
def history(
    limit: int, before: int | None, user: str | None, failed: bool, name: str | None, as_json: bool, quiet: bool
) -> None:
    """List the jobs that have ended, the newest first.

    TIME is how long the stages ran, WHY how it went.

    \b
    Example:
      labsched history --failed --user user3
      labsched history --name rat12 -n 100
    """
    answer = client().get(
        "history", History, limit=limit, before=before, user=user, outcome="failed" if failed else None, name=name
    )
    if as_json:
        print_json(answer)
    elif quiet:
        print_numbers(row.id for row in answer.jobs)
    else:
        table.write(render(answer, datetime.now(UTC), table.terminal_width(), table.use_colour()))


def render(answer: History, now: datetime, cells: int | None, colour: bool = False) -> list[str]:
    """The lines of `labsched history` at this time, for a terminal of so many `cells` (None: nothing is cut)."""
    if not answer.jobs:
        return ["no such job has ended yet: labsched status shows those that have not"]
    lines = jobs.render_rows(answer.jobs, cells, colour, ended=now)
    if answer.more:
        oldest = min(row.id for row in answer.jobs)
        lines += ["", f"there is more: labsched history --before {oldest}, or a larger -n"]
    return lines
