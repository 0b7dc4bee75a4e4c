"""labsched restore: back to a backup of the queue."""

from collections.abc import Iterator
from pathlib import Path

import click

from labsched.cli import table
from labsched.cli.context import json_option, print_json, socket_option
from labsched.wire.messages import Restored, Since

SHOWN = 20  # of a kind


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--state", metavar="DIR", help="The state folder; else $LABSCHED_STATE, or the usual place.")
@click.option("--stop", is_flag=True, help="End stages that run now and that the backup does not know.")
@json_option
@socket_option
def restore(file: str, state: str | None, stop: bool, as_json: bool) -> None:
    """Put a backup in the place of the queue. No daemon may run on that state folder: stop it first.

    FILE is looked through, and brought up to date if it is older than this version of labsched. What was there is kept,
    in a folder that is named. Attempts that the backup does not know are moved there too, and their jobs are listed:
    those that have not ended in the backup would run again, and are held until you release them. Of those that run in
    it, the daemon learns how they ended when it starts.

    \b
    Example:
      systemctl stop labsched
      labsched restore /backup/labsched-2024-03-10.db
      systemctl start labsched
    """
    from labsched.daemon.restore import restore as do
    from labsched.paths import state_folder

    answer = do(Path(file), state_folder(state), stop)
    if as_json:
        print_json(answer)
    else:
        table.write(table.clean(line) for line in lines(answer))


def lines(answer: Restored) -> Iterator[str]:
    """What people read."""
    at = "" if answer.newest is None else f", as it was on {answer.newest.astimezone():%Y-%m-%d at %H:%M:%S}"
    yield f"the queue in {answer.state} has {answer.jobs} jobs{at}"
    yield from _some(
        "these have run since, and would run again; they are held (labsched release JOB, or labsched cancel JOB):",
        map(_since, answer.held),
    )
    yield from _some("these had ended, and ran again since:", map(_since, answer.ended))
    yield from _some("these ran; the daemon learns how they ended when it starts:", map(_since, answer.open))
    yield from _some(
        "these were queued since, and the queue does not know them; queue them anew where they are still wanted:",
        (f"{ref.id}  {ref.name}" for ref in answer.unknown),
    )
    if answer.kept is not None:
        yield f"what was there is kept in {answer.kept}"
    yield "start the daemon: labsched daemon, or systemctl start labsched"


def _some(head: str, found: Iterator[str]) -> Iterator[str]:
    listed = list(found)
    if listed:
        yield head
        yield from (f"  {line}" for line in listed[:SHOWN])
        if len(listed) > SHOWN:
            yield f"  and {len(listed) - SHOWN} more: --json lists them"


def _since(one: Since) -> str:
    return f"{one.job}  {one.name or '?'}  {one.stage}, attempt {one.attempt}: {one.how}"
