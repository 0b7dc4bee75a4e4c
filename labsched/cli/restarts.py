"""Streams that go on when the daemon is restarted."""

import time
from collections.abc import Iterator
from typing import Protocol, TypeVar

import click

from labsched.errors import NoDaemon, TryLater

T_co = TypeVar("T_co", covariant=True)
PAUSE = 0.2  # seconds between attempts to reach it


class Stream(Protocol[T_co]):
    """What goes on where it was when it is iterated again; `answers` is how often the daemon has begun to send it."""

    answers: int

    def __iter__(self) -> Iterator[T_co]: ...


def through_restarts(stream: Stream[T_co], patience: float) -> Iterator[T_co]:
    """The stream to its end; where the daemon goes away, wait for it, `patience` seconds, and go on.

    Raises NoDaemon or TryLater where it does not come back, or was never there.
    """
    lost: float | None = None
    while True:
        answers = stream.answers
        try:
            yield from stream
        except (NoDaemon, TryLater) as error:
            now = time.monotonic()
            lost = None if stream.answers > answers else lost
            if not stream.answers or (lost is not None and now - lost > patience):
                raise
            if lost is None:
                lost = now
                click.echo(f"{error}; waiting up to {patience:.0f} s for it", err=True)
            time.sleep(PAUSE)
        else:
            return
