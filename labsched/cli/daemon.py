"""labsched daemon: where the queue lives."""

import click

from labsched.cli.context import given_socket, socket_option


@click.command()
@click.option("--state", metavar="DIR", help="Where jobs and logs are kept; else $LABSCHED_STATE, or the usual place.")
@click.option("--config", metavar="FILE", help="The configuration; else $LABSCHED_CONFIG, or the usual place.")
@socket_option
def daemon(state: str | None, config: str | None) -> int:
    """Run the daemon, in the foreground, until it is told to stop (TERM, or Ctrl-C).

    Stages go on when it stops, and are found again when it starts.

    \b
    Example:
      labsched daemon
      labsched daemon --state ~/queue --socket ~/queue/socket --config lab.toml
    """
    from pathlib import Path

    from labsched import sockets
    from labsched.daemon.main import run
    from labsched.paths import config_file, state_folder

    socket = Path(sockets.of_daemon(given_socket())).absolute()
    return int(run(state_folder(state), socket, config_file(config)) or 0)
