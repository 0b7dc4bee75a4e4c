"""labsched usage: who used what."""

import csv
import sys
from typing import Any

import click

from labsched.cli import table
from labsched.cli.context import client, json_option, print_json, socket_option
from labsched.wire.messages import Usage, Used

BY = ("month", "user", "recipe")
HOUR = 3600.0


@click.command()
@click.option("--from", "first", metavar="MONTH", help="From this month on, such as 2026-03. Default: a year ago.")
@click.option("--to", "last", metavar="MONTH", help="Up to this month. Default: this one.")
@click.option("--user", metavar="NAME", help="Only what this person used.")
@click.option("--by", multiple=True, metavar="WHAT", help="By month, user, recipe (repeatable). Default: month,user.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
@socket_option
def usage(
    first: str | None, last: str | None, user: str | None, by: tuple[str, ...], as_csv: bool, as_json: bool
) -> None:
    """Show who used what: the hours that they held slots of each pool, their processor hours, and their jobs.

    An attempt counts in each month with the hours that it ran there, and so does its processor time, once it has ended;
    a job in the month in which it ended. What was pruned still counts. You see your own; admins see everybody's
    ([limits] usage_of_others).

    \b
    Example:
      labsched usage
      labsched usage --from 2026-01 --to 2026-03 --by user
      labsched usage --by month,recipe --csv > usage.csv
    """
    if as_csv and as_json:
        raise click.UsageError("give --csv or --json, not both")
    wanted = ",".join(by) or "month,user"
    answer = client().get("usage", Usage, to=last, user=user, by=wanted, **_from(first))
    columns = [name for name in BY if name in wanted.split(",")]
    if as_json:
        print_json(answer)
    elif as_csv:
        write = csv.writer(sys.stdout, lineterminator="\n")
        write.writerow([*columns, "jobs", "failed", "cpu_hours", *(f"{pool}_slot_hours" for pool in pools(answer))])
        write.writerows(cells(row, columns, pools(answer), "{:.4f}") for row in answer.rows)
    else:
        table.write(render(answer, columns, table.terminal_width(), table.use_colour()))


def _from(first: str | None) -> dict[str, Any]:
    return {"from": first}  # which no argument can be called


def render(answer: Usage, columns: list[str], width: int | None, colour: bool = False) -> list[str]:
    """The lines of the table, for a terminal of so many cells (None: nothing is cut)."""
    whose = "you have" if answer.mine else "anybody has"
    if not answer.rows:
        return [f"nothing that {whose} used from {answer.first} to {answer.last}: --from MONTH looks further back"]
    names = pools(answer)
    head = [*(name.upper() for name in columns), "JOBS", "FAILED", "CPU h", *(f"{pool} slot h" for pool in names)]
    rows = [cells(row, columns, names, "{:,.1f}") for row in answer.rows]
    numbers = range(len(columns), len(head))
    return table.render(head, rows, cells=width, flexible=range(len(columns)), right=numbers, colour=colour)


def cells(row: Used, columns: list[str], names: list[str], hours: str) -> list[str]:
    """What stands in a line."""
    whose = [str(getattr(row, name)) for name in columns]
    slots = [hours.format(row.slot_seconds.get(pool, 0.0) / HOUR) for pool in names]
    return [*whose, str(row.jobs), str(row.failed), hours.format(row.cpu_seconds / HOUR), *slots]


def pools(answer: Usage) -> list[str]:
    """The pools of which anything was used."""
    return sorted({pool for row in answer.rows for pool in row.slot_seconds})
