"""labsched config: check, show, sample, reload."""

import sys

import click

from labsched import config as configuration
from labsched.cli import table
from labsched.cli.context import client, json_option, print_json, socket_option
from labsched.cli.verbs import Group
from labsched.errors import BadRequest
from labsched.paths import config_file

WHERE = "The configuration; else $LABSCHED_CONFIG, or the usual place."


@click.group(cls=Group, no_args_is_help=False)
@socket_option
def config() -> None:
    """Look at the configuration, and have the daemon read it again.

    \b
    Example:
      labsched config check
      labsched config show --origin
      labsched config sample > config.toml
    """


@config.command()
@click.argument("file", required=False, metavar="[FILE]")
@socket_option
def check(file: str | None) -> int:
    """Say what is wrong in a configuration, one sentence a mistake. Without FILE: the one that $LABSCHED_CONFIG names,
    or the one in the usual place.

    The exit code is 0 if nothing is wrong, else 2.

    \b
    Example:
      labsched config check
      labsched config check lab.toml
    """
    path = config_file(file)
    mistakes = configuration.read(path).mistakes
    for sentence in mistakes[:-1]:
        click.echo(f"error: {sentence}", err=True)
    if mistakes:
        raise BadRequest(mistakes[-1])
    table.write([f"{path}: nothing is wrong" if path else "there is no configuration, so the defaults hold"])
    return 0


@config.command()
@click.option("--origin", is_flag=True, help="Also where each value comes from: default, or FILE:LINE.")
@click.option("--config", "file", metavar="FILE", help=WHERE)
@json_option
@socket_option
def show(origin: bool, file: str | None, as_json: bool) -> int:
    """Print every key of the configuration with its value, as TOML; keys that have none are commented out.

    It reads the file, and asks no daemon.

    \b
    Example:
      labsched config show --origin
      labsched config show --config lab.toml --json
    """
    from labsched.config.sample import settings, toml
    from labsched.wire.messages import Setting, Settings

    path = config_file(file)
    read = configuration.read(path)
    if read.mistakes:
        raise BadRequest(read.mistakes[0])
    found = list(settings(read, path))
    if as_json:
        print_json(Settings(tuple(Setting(one.key, one.value, one.origin) for one in found)))
        return 0
    shown = [f"{one.key} = {toml(one.value)}" if one.value is not None else f"# {one.key}" for one in found]
    width = min(max(map(len, shown)), 60)
    table.write(f"{text:<{width}}  # {one.origin}" if origin else text for text, one in zip(shown, found, strict=True))
    return 0


@config.command()
@json_option
@socket_option
def reload(as_json: bool) -> None:
    """Have the daemon read its configuration again, and say what has changed. It answers when that is so.

    What runs goes on as it was started. Where something is wrong in the file, nothing of it is taken. Keys that only a
    restart of the daemon changes are named. For admins; kill -HUP does the same, and tells the daemon's log.

    \b
    Example:
      labsched config check && labsched config reload
    """
    from labsched.wire.messages import Reloaded
    from labsched.wire.requests import Reload

    answer = client().post("config/reload", Reload(), Reloaded)
    if as_json:
        print_json(answer)
        return
    lines = [f"{answer.file or 'there is no configuration, so the defaults hold'}: read again"]
    lines += [f"  {table.clean(said)}" for said in answer.changed] or ["  nothing has changed"]
    if answer.restart:
        lines.append(f"only a restart of the daemon changes {', '.join(answer.restart)}; stages go on meanwhile")
    table.write(lines)


@config.command()
@socket_option
def sample() -> None:
    """Print a configuration with every key in it, explained and commented out.

    \b
    Example:
      labsched config sample > ~/.config/labsched/config.toml
    """
    from labsched.config.sample import sample

    sys.stdout.write(sample())
