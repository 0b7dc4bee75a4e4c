"""Streams that go on when the daemon is restarted, and say so."""

from collections.abc import Iterator
from typing import TypeVar

import click

from labsched.wire import restarts
from labsched.wire.restarts import Stream

T = TypeVar("T")


def through_restarts(stream: Stream[T], patience: float) -> Iterator[T]:
    """See `labsched.wire.restarts.through_restarts`; stderr says where the daemon is waited for."""
    return restarts.through_restarts(
        stream, patience, lambda error: click.echo(f"{error}; waiting up to {patience:.0f} s for it", err=True)
    )
