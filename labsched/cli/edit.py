"""labsched edit: what people change about jobs that have not ended."""

import click

from labsched.cli import jobs, table
from labsched.cli.context import client, json_option, print_json, print_numbers, quiet_option, socket_option
from labsched.cli.types import ABOUT_JOB, JOB, MEMORY, MOMENT, PRIORITY, TIME, Or
from labsched.recipes import command
from labsched.wire.messages import Jobs
from labsched.wire.requests import Edit


@click.command(epilog=ABOUT_JOB)
@click.argument("names", nargs=-1, required=True, type=JOB, metavar="JOB...")
@click.option("--priority", type=PRIORITY, metavar="N", help="Higher goes first; above 0 as [limits] lets.")
@click.option("--need", "needs", multiple=True, metavar="POOL=N,...", help="All the slots that its stage takes.")
@click.option("--time", "time_limit", type=Or(TIME, "none", 0.0), metavar="TIME", help="Its time limit, or none.")
@click.option("--memory", type=Or(MEMORY, "none", 0), metavar="SIZE", help="Its limit of memory, or none.")
@click.option("--not-before", type=Or(MOMENT, "now", 0.0), metavar="WHEN", help="Not to start before; or now.")
@click.option("--name", metavar="NAME", help="What to call it.")
@click.option("--stage", metavar="STAGE", help="Whose needs, time and memory are meant, where several wait.")
@json_option
@quiet_option
@socket_option
def edit(
    names: tuple[str, ...],
    priority: int | None,
    needs: tuple[str, ...],
    time_limit: float | None,
    memory: int | None,
    not_before: float | None,
    name: str | None,
    stage: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Change jobs that have not ended, all that are named or none.

    The priority, the name and the time can be changed of every job; what a stage needs and its limits while it waits.

    \b
    Example:
      labsched edit 432 --priority -5
      labsched edit 432 --need CPU=1..8 --time none
      labsched edit rat12/2024-03-10 --stage klusta --memory 24G
    """
    slots = command.parse_needs(needs) if needs else None
    asked = Edit(
        jobs=names,
        stage=stage,
        priority=priority,
        name=command.check_job_name(name) if name is not None else None,
        needs=slots.needs if slots else None,
        up_to=slots.up_to if slots else None,
        time_limit=time_limit,
        memory=memory,
        not_before=not_before,
    )
    if asked == Edit(jobs=names, stage=stage):
        raise click.UsageError("change what? Give --priority, --need, --time, --memory, --not-before or --name.")
    answer = client().post("jobs/edit", asked, Jobs)
    if as_json:
        print_json(answer)
    elif quiet:
        print_numbers(row.id for row in answer.jobs)
    else:
        table.write(jobs.line(row) for row in answer.jobs)
