"""labsched status -w: the screen stays, and changes when something does."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from labsched.cli import table
from labsched.cli.context import print_json, print_numbers
from labsched.cli.status import render
from labsched.errors import NoDaemon, TryLater
from labsched.wire.client import Client
from labsched.wire.messages import Status

WITHIN = 5.0  # seconds after which the times on the screen are old
RETRY = (0.2, 2.0)  # seconds between attempts to reach a daemon that went away: first, longest
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, TO_END_OF_LINE, TO_END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def watch(client: Client, query: Mapping[str, Any], as_json: bool, quiet: bool) -> int:
    """Show the status until Ctrl-C; without a terminal, one after the other.

    A daemon that goes away is waited for; one that was never there raises NoDaemon.
    """
    if as_json or quiet or not os.isatty(1):
        for answer, trouble in _changes(client, query):
            if trouble is not None:
                print(f"{trouble}; retrying", file=sys.stderr)
            elif as_json:
                print_json(answer)
            elif quiet:
                print_numbers(row.id for row in answer.jobs)
            else:
                table.write([*render(answer, None), ""])
            sys.stdout.flush()
        return 0
    screen = _Screen()
    with screen:
        for answer, trouble in _changes(client, query):
            screen.draw(answer, trouble)
    return 0


def _changes(client: Client, query: Mapping[str, Any]) -> Iterator[tuple[Status, str | None]]:
    """Each new status; while nobody answers, the last one with what the trouble is."""
    answer = client.get("status", Status, **query)
    yield answer, None
    pause = RETRY[0]
    while True:
        try:
            answer = client.get("status", Status, **query, revision=answer.revision, within=WITHIN)
        except (NoDaemon, TryLater) as error:
            yield answer, str(error)
            time.sleep(pause)
            pause = min(pause * 2, RETRY[1])
        else:
            pause = RETRY[0]
            yield answer, None


class _Screen:
    """The terminal's other screen, given back whatever happens. It is drawn anew when its size changes."""

    def __init__(self) -> None:
        self._last: tuple[Status, str | None] | None = None

    def __enter__(self) -> "_Screen":
        _send(ENTER)
        self._old = {
            signal.SIGWINCH: signal.signal(signal.SIGWINCH, lambda *_: self._again()),
            signal.SIGTERM: signal.signal(signal.SIGTERM, _leave),
            signal.SIGHUP: signal.signal(signal.SIGHUP, _leave),
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError):  # the terminal may be gone
            _send(LEAVE)

    def draw(self, answer: Status, trouble: str | None) -> None:
        """Show this one."""
        self._last = (answer, trouble)
        self._again()

    def _again(self) -> None:
        if self._last is None:
            return
        answer, trouble = self._last
        columns, height = table.terminal_size()
        colour = table.use_colour()
        lines = render(answer, max(columns, 40), colour and trouble is None)
        if trouble is not None:
            lines[0] = table.paint(table.cut(f"no daemon, retrying: {trouble}", columns), "red", colour)
        if len(lines) > height:
            # The footer goes last: what failed matters more than the end of the queue.
            foot = lines[-2:]
            lines = [*lines[: height - len(foot) - 1], " … more than this screen holds", *foot]
        _send(HOME + "\r\n".join(line + TO_END_OF_LINE for line in lines) + TO_END_OF_SCREEN)


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _send(text: str) -> None:
    """Straight to the terminal: a signal may come in the middle of a buffered write."""
    data = text.encode(errors="replace")
    while data:
        data = data[os.write(1, data) :]
