"""What goes on when the daemon is restarted: streams, and waiting for jobs."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from labsched.core.states import State
from labsched.errors import LabschedError, NoDaemon, TryLater
from labsched.wire.client import Client
from labsched.wire.messages import JobRow, Waited

T_co = TypeVar("T_co", covariant=True)
AGAIN = 0.2  # seconds between attempts to reach it, for a stream
WITHIN = 30.0  # seconds of one request for one job
WITHIN_MANY = 1.0  # for several, so that each is told soon after it ends
AT_ONCE = 500  # jobs of one request
RESTART = 60.0  # seconds that a daemon may take to come back
PAUSE = (0.1, 2.0)  # seconds between attempts to reach it, for jobs: first, longest


class Stream(Protocol[T_co]):
    """What goes on where it was when it is iterated again; `answers` is how often the daemon has begun to send it."""

    answers: int

    def __iter__(self) -> Iterator[T_co]: ...


def through_restarts(
    stream: Stream[T_co], patience: float, tell: Callable[[LabschedError], None] | None = None
) -> Iterator[T_co]:
    """The stream to its end; where the daemon goes away, `tell` of it, wait for it, `patience` seconds, and go on.

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
                if tell is not None:
                    tell(error)
            time.sleep(AGAIN)
        else:
            return


def until_ended(ask: Client, numbers: Sequence[int], end: float | None) -> Iterator[tuple[JobRow, ...]]:
    """How some of these jobs are, whenever that may have changed, until all have ended, or it is `end` (by
    time.monotonic; None: never). The rows of a job that has ended come once.

    Raises NoDaemon or TryLater where the daemon goes away and does not come back.
    """
    pending = list(dict.fromkeys(numbers))
    while pending:
        now = time.monotonic()
        within = WITHIN if len(pending) == 1 else WITHIN_MANY
        within = within if end is None else max(min(within, end - now), 0.0)
        rows = _ask(ask, pending[:AT_ONCE], within, end)
        yield rows
        ended = {row.id for row in rows if row.state == State.ENDED}
        # The jobs of the next request are others, where they are too many for one.
        pending = [number for number in pending[AT_ONCE:] + pending[:AT_ONCE] if number not in ended]
        if pending and end is not None and time.monotonic() >= end:
            return


def _ask(ask: Client, numbers: Sequence[int], within: float, end: float | None) -> tuple[JobRow, ...]:
    """How these jobs are, once that changes; through a restart of the daemon."""
    lost: float | None = None
    pause = PAUSE[0]
    while True:
        try:
            return ask.get("wait", Waited, timeout=within + 60, jobs=",".join(map(str, numbers)), within=within).jobs
        except (NoDaemon, TryLater):
            now = time.monotonic()
            lost = now if lost is None else lost
            if end is not None and now >= end:
                return ()
            if now - lost > RESTART:
                raise
            time.sleep(pause if end is None else min(pause, max(end - now, 0.0)))
            pause = min(pause * 2, PAUSE[1])
