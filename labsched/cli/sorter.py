"""labsched sorter: which sorters there are beside klusta, and installing one."""

import subprocess
import sys
from pathlib import Path

import click
import msgspec

from labsched import config as configuration
from labsched import paths
from labsched.cli import table
from labsched.cli.context import client, json_option, print_json, socket_option
from labsched.cli.verbs import Group
from labsched.errors import BadRequest, LabschedError, NoDaemon
from labsched.recipes.sorters import FOREIGN
from labsched.wire.messages import Daemon, Sorter, Sorters

HEAD = ("SORTER", "STATE", "VERSION", "WHAT IT IS")


@click.group(cls=Group, no_args_is_help=False)
@socket_option
def sorter() -> None:
    """Sorters other than klusta: list them, install one.

    \b
    Example:
      labsched sorter list
      labsched sorter install mountainsort5
      labsched submit rat12/2024-03-10 --sorter mountainsort5
    """


@sorter.command("list")
@click.option("--config", metavar="FILE", help="Where no daemon runs: the configuration to look at.")
@json_option
@socket_option
def list_(config: str | None, as_json: bool) -> int:
    """Show which sorters are installed, in which version, and how to install the others.

    \b
    Example:
      labsched sorter list
      labsched sorter list --json
    """
    from labsched.ephys.sorters.command import listed

    folder = _folder(config)
    rows = listed(folder)
    missing = [str(row["sorter"]) for row in rows if not row["installed"]]
    older = [str(row["sorter"]) for row in rows if row["outdated"]]
    if as_json:
        print_json(Sorters(folder, tuple(msgspec.convert(row, Sorter) for row in rows)))
        return 0
    cells = []
    for row in rows:
        state = ("older" if row["outdated"] else "installed") if row["installed"] else "not installed"
        cells.append((str(row["sorter"]), state, str(row["version"] or "–"), str(row["says"])))
    colours = [(None, "green" if row[1] == "installed" else "dim", None, None) for row in cells]
    width = table.terminal_width()
    lines = list(table.render(HEAD, cells, cells=width, flexible=(3,), colours=colours, colour=table.use_colour()))
    lines += ["", f"in {table.clean(folder)}"]
    lines += [f"to install: labsched sorter install {missing[0]}"] if missing else []
    lines += [f"to bring up to date: labsched sorter install {each} --again" for each in older]
    table.write(lines)
    return 0


@sorter.command()
@click.argument("name", metavar="SORTER", type=click.Choice(FOREIGN))
@click.option("--again", is_flag=True, help="Make its environment anew, if there is one.")
@click.option("--config", metavar="FILE", help="Where no daemon runs: the configuration to look at.")
@socket_option
def install(name: str, again: bool, config: str | None) -> int:
    """Install a sorter: a virtual environment of its own, with pinned packages.

    It lies where sorters says in [sort] of the daemon's configuration. It needs the network (PyPI), some minutes, and
    1 GB (kilosort4: 8 GB). Do not make one anew while blocks are being sorted with it.

    \b
    Example:
      labsched sorter install mountainsort5
      labsched sorter install kilosort4 --again
    """
    argv = [sys.executable, "-m", "labsched.ephys", "sorters", "install", name, "--sorters", _folder(config)]
    try:
        code = subprocess.run(argv + ["--again"] * again, stdin=subprocess.DEVNULL, check=False).returncode
    except KeyboardInterrupt:
        return 130
    if code:
        raise LabschedError(f"{name} is not installed: the line above says why")
    return 0


def _folder(config: str | None) -> str:
    """Where this daemon's sorters are; without one, those of the configuration."""
    try:
        daemon = None if config else client().get("daemon", Daemon)
    except NoDaemon:
        daemon = None
    if daemon is None:
        file = paths.config_file(config)
        if config and not Path(config).is_file():
            raise BadRequest(f"there is no configuration {config}: name one that is there")
        return str(configuration.load(file).sort.sorters)
    sort = daemon.settings.get("sort")
    if not isinstance(sort, dict) or "sorters" not in sort:
        raise LabschedError("the daemon does not say where sorters are: restart it, it is not of this version")
    return str(sort["sorters"])
