"""labsched notify add / list / remove / test: where a person is told what happens."""

import os
import shlex
import shutil
import sys

import click

from labsched.cli import hide, table, words
from labsched.cli.context import client, json_option, print_json, print_numbers, quiet_option, socket_option
from labsched.cli.types import TIME
from labsched.cli.verbs import Group
from labsched.core.units import duration
from labsched.errors import BadRequest
from labsched.wire.messages import Target, Targets, Tries

PATIENCE = 400.0  # seconds that a try may take


@click.group(cls=Group, no_args_is_help=False)
@socket_option
def notify() -> None:
    """Be told what happens to your jobs: by mail, Slack, ntfy, Teams, Telegram, Matrix and a hundred others, or by a
    command of yours.

    \b
    Example:
      labsched notify add --on failed,lost,empty
      labsched notify list
      labsched notify test
      labsched notify remove 3
    """


@notify.command()
@click.argument("url", required=False, metavar="[URL]")
@click.option("--command", metavar="COMMAND", help="Run this, with the message as JSON on its stdin, instead of a URL.")
@click.option(
    "--on",
    default="failed,lost",
    show_default=True,
    metavar="WHAT,...",
    help="failed, lost, succeeded, empty, wait, disk; or all.",
)
@click.option("--digest", type=TIME, metavar="TIME", help="One message in so long at most: 1h, 10m.")
@json_option
@quiet_option
@socket_option
def add(url: str | None, command: str | None, on: str, digest: float | None, as_json: bool, quiet: bool) -> None:
    """Tell me what happens, at this URL of apprise's. It has passwords in it: leave it out, or say -, and you are asked
    for it (or it is read from stdin), so that neither your shell's history nor ps ever has it.

    WHAT: a job of yours failed (or reached its time limit); was lost; succeeded; the queue is empty: nothing runs, and
    nothing waits that may start; a job of yours has waited for long in line ([notify] long_wait); a disk is nearly
    full. What comes together is one message.

    \b
    Example:
      echo mailto://user:password@example.org | labsched notify add - --on failed,lost
      labsched notify add ntfys://ntfy.sh/a-topic --on succeeded --digest 1h
      labsched notify add --command ~/bin/blink.sh --on failed
    """
    if url is not None:
        hide.word(url)
    if command is not None and url is not None:
        raise BadRequest("told where? give a URL, or --command, and not both")
    if command is None and url in (None, "-"):
        url = _ask()
    from labsched.wire.requests import NotifyAdd

    asked = NotifyAdd(
        url=url, command=None if command is None else _split(command), on=tuple(on.split(",")), digest=digest
    )
    answer = client().post("notify/add", asked, Targets, timeout=PATIENCE)
    if as_json:
        print_json(answer)
    elif quiet:
        print_numbers(target.id for target in answer.targets)
    else:
        [target] = answer.targets
        table.write([
            f"{target.id}: {table.clean(target.shown)}, on {', '.join(target.on)}",
            f"try it: labsched notify test {target.id}",
        ])  # fmt: skip


@notify.command("list")
@click.option("-a", "--all", "every", is_flag=True, help="Everybody's (admins only).")
@json_option
@quiet_option
@socket_option
def list_(every: bool, as_json: bool, quiet: bool) -> None:
    """Show where you are told, and the lab's own targets; no passwords.

    \b
    Example:
      labsched notify list
    """
    answer = client().get("notify", Targets, all=int(every) or None)
    if as_json:
        print_json(answer)
    elif quiet:
        print_numbers(target.id for target in answer.targets)
    else:
        _show(answer.targets)


@notify.command()
@click.argument("numbers", type=int, nargs=-1, required=True, metavar="NUMBER...")
@json_option
@quiet_option
@socket_option
def remove(numbers: tuple[int, ...], as_json: bool, quiet: bool) -> None:
    """Tell me no more there; what waits to be sent is not.

    \b
    Example:
      labsched notify remove 3
    """
    from labsched.wire.requests import NotifyPick

    answer = client().post("notify/remove", NotifyPick(numbers), Targets)
    if as_json:
        print_json(answer)
    elif quiet:
        print_numbers(target.id for target in answer.targets)
    else:
        table.write([f"{target.id}: {table.clean(target.shown)} is told no more" for target in answer.targets])


@notify.command()
@click.argument("numbers", type=int, nargs=-1, metavar="[NUMBER...]")
@json_option
@socket_option
def test(numbers: tuple[int, ...], as_json: bool) -> int:
    """Send a message there now, and say whether it went. Without a number, to all of yours. The exit code is 1 where
    one could not be sent.

    \b
    Example:
      labsched notify test 3
    """
    from labsched.wire.requests import NotifyPick

    answer = client().post("notify/test", NotifyPick(numbers), Tries, timeout=PATIENCE)
    if as_json:
        print_json(answer)
    else:
        table.write([
            f"{one.id}: {table.clean(one.shown)}: {'sent' if one.why is None else 'not sent: ' + table.clean(one.why)}"
            for one in answer.tried
        ])  # fmt: skip
    return 1 if any(one.why is not None for one in answer.tried) else 0


def _ask() -> str:
    """The URL, from whoever sits there, who does not see it; else from stdin."""
    if sys.stdin.isatty():
        said: str = click.prompt("URL (it is not shown)", hide_input=True, err=True)
    else:
        said = sys.stdin.readline(100_000)
    if not said.strip():
        raise BadRequest("there was no URL: give one such as mailto://user:password@example.org, or --command")
    return said.strip()


def _split(command: str) -> tuple[str, ...]:
    """The words of a command; the first as the file that it means here and now."""
    try:
        first, *rest = shlex.split(command)
    except ValueError as error:
        raise BadRequest(f"--command is not understood: {error}") from None
    path = os.path.expanduser(first)  # noqa: PTH111
    found = shutil.which(path)
    if found is None:
        raise BadRequest(f"there is no program {first}: is it there, and may it be run (chmod +x)?")
    return os.path.abspath(found), *rest  # noqa: PTH100


def _show(targets: tuple[Target, ...]) -> None:
    rows = []
    for target in targets:
        how = [f"told {words.clock(target.sent)}"] if target.sent else []
        how += [f"{target.waiting} waiting"] if target.waiting else []
        how += [target.trouble] if target.trouble else []
        every = f", every {duration(target.digest)} at most" if target.digest else ""
        whose = f"the lab: {target.lab}" if target.lab is not None else target.user
        rows.append((str(target.id), target.shown, ",".join(target.on) + every, whose, "; ".join(how)))
    if not rows:
        table.write(["you are told nothing: labsched notify add URL --on failed,lost"])
        return
    head = ("ID", "WHERE", "ON", "WHO", "HOW IT IS")
    colours = [(None, None, None, None, "red" if target.trouble else "dim") for target in targets]
    cells = table.terminal_width()
    table.write(table.render(
        head, rows, cells=cells, flexible=(4, 1), right=(0,), colours=colours, colour=table.use_colour()
    ))  # fmt: skip
