"""What the daemon and its sender tell each other, as JSON: letters on the sender's stdin, a receipt a line from it."""

from datetime import datetime

from msgspec import Struct


class Thing(Struct, frozen=True, kw_only=True):
    """Something that has happened."""

    kind: str
    at: datetime
    job: int | None = None
    name: str | None = None
    user: str | None = None
    stage: str | None = None
    reason: str | None = None
    retry: str | None = None  # the command that mends it
    link: str | None = None
    report: str | None = None  # path of the page about its results
    log: tuple[str, ...] = ()  # its last lines
    seconds: float | None = None  # that it has waited
    path: str | None = None  # of a disk
    free: int | None = None  # bytes


class Letter(Struct, frozen=True, kw_only=True):
    """A message to one target; with `check` it is not sent, but the address looked at."""

    target: int
    url: str | None = None
    command: tuple[str, ...] | None = None
    title: str = ""
    body: str = ""
    host: str = ""
    things: tuple[Thing, ...] = ()
    check: bool = False


class Hooked(Struct, frozen=True):
    """What a command gets on its stdin."""

    title: str
    body: str
    host: str
    things: tuple[Thing, ...]


class Receipt(Struct, frozen=True):
    """What became of a letter: `why` it was not sent, None where it was."""

    target: int
    why: str | None = None
