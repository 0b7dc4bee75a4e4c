"""What verbs share: the options that all have, the client, and printing one JSON value."""

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from labsched.wire.client import Client

F = TypeVar("F", bound=Callable[..., Any])
SOCKET = "labsched.socket"  # key in the context's meta, which the group and its verbs share


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[SOCKET] = value


def socket_option(command: F) -> F:
    """--socket, before or after the verb."""
    return click.option(
        "--socket",
        metavar="PATH",
        expose_value=False,
        callback=_remember,
        type=click.Path(),
        help="The daemon's socket; else $LABSCHED_SOCKET, the system's, or the user's own.",
    )(command)


def json_option(command: F) -> F:
    """--json: one value on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")(command)


def quiet_option(command: F) -> F:
    """-q: numbers only."""
    return click.option("-q", "--quiet", is_flag=True, help="Print numbers only.")(command)


def given_socket() -> str | None:
    """What --socket said, if anything."""
    value: str | None = click.get_current_context().meta.get(SOCKET)
    return value


def client() -> "Client":
    """The client of the daemon that this command talks to."""
    from labsched import sockets
    from labsched.wire.client import Client

    return Client(sockets.of_client(given_socket()))


def print_json(message: Any) -> None:
    """A message as one line of JSON."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(message).decode() + "\n")


def print_numbers(numbers: Iterable[int]) -> None:
    """Numbers, one a line."""
    sys.stdout.write("".join(f"{number}\n" for number in numbers))
