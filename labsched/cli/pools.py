"""labsched pools, and labsched pool set / pause / resume."""

import click

from labsched.cli import table, words
from labsched.cli.context import client, json_option, print_json, print_numbers, quiet_option, socket_option
from labsched.cli.types import POOL, SLOTS
from labsched.cli.verbs import Group
from labsched.errors import BadRequest
from labsched.wire.messages import Pools


@click.command()
@json_option
@quiet_option
@socket_option
def pools(as_json: bool, quiet: bool) -> None:
    """Show the pools: their slots, how many are used, and how many stages wait for them. With -q
    only how many slots are free in each.

    \b
    Example:
      labsched pools
      labsched pools --json
    """
    _show(client().get("pools", Pools), as_json, quiet)


@click.group(cls=Group, no_args_is_help=False)
@socket_option
def pool() -> None:
    """Change a pool while everything runs. What is running goes on, also where it is more than the pool has now.

    \b
    Example:
      labsched pool set RAM 3
      labsched pool pause GPU
      labsched pool resume GPU
    """


@pool.command("set", context_settings={"ignore_unknown_options": True})  # -3 is a number, if a wrong one
@click.argument("name", type=POOL, metavar="POOL")
@click.argument("slots", type=SLOTS, metavar="SLOTS")
@json_option
@quiet_option
@socket_option
def set_slots(name: str, slots: int, as_json: bool, quiet: bool) -> None:
    """Give a pool another number of slots.

    \b
    Example:
      labsched pool set RAM 3
    """
    _change(name, as_json, quiet, slots=slots)


@pool.command()
@click.argument("name", type=POOL, metavar="POOL")
@json_option
@quiet_option
@socket_option
def pause(name: str, as_json: bool, quiet: bool) -> None:
    """Start nothing more that needs this pool; what runs in it goes on.

    \b
    Example:
      labsched pool pause GPU
    """
    _change(name, as_json, quiet, paused=True)


@pool.command()
@click.argument("name", type=POOL, metavar="POOL")
@json_option
@quiet_option
@socket_option
def resume(name: str, as_json: bool, quiet: bool) -> None:
    """Let a paused pool start things again.

    \b
    Example:
      labsched pool resume GPU
    """
    _change(name, as_json, quiet, paused=False)


def _change(name: str, as_json: bool, quiet: bool, *, slots: int | None = None, paused: bool | None = None) -> None:
    if not name or "/" in name or not name.isprintable() or name in (".", ".."):
        raise BadRequest(f"{name!r} is not a pool's name: labsched pools lists them")
    from labsched.wire.requests import PoolSet  # who only looks needs none

    _show(client().post(f"pools/{name}", PoolSet(slots=slots, paused=paused), Pools), as_json, quiet)


def _show(answer: Pools, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json(answer)
        return
    if quiet:
        print_numbers(max(pool.slots - pool.used, 0) for pool in answer.pools)
        return
    rows = []
    for pool in answer.pools:
        when = f" since {words.clock(pool.paused_at)}" if pool.paused_at else ""
        state = f"paused by {pool.paused_by}{when}" if pool.paused_by else "open"
        rows.append((pool.name, str(pool.slots), str(pool.used), str(pool.waiting), state))
    head = ("POOL", "SLOTS", "USED", "WAITING", "STATE")
    colours = [(None, None, None, None, "yellow" if row[4] != "open" else "dim") for row in rows]
    cells = table.terminal_width()
    lines = table.render(
        head, rows, cells=cells, flexible=(0, 4), right=(1, 2, 3), colours=colours, colour=table.use_colour()
    )
    table.write(lines)
