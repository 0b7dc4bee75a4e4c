"""A child process: listened to line by line, and stopped when we are told to stop."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

PATIENCE_S = 10.0


class Stopped(Exception):
    """A signal asked us to stop; its number is the argument."""


def attend(command: Sequence[str], work: Path, environment: Mapping[str, str], hear: Callable[[str], None]) -> int:
    """Run a command in ``work`` to its end, ``hear`` what it prints line by line; returns its return code (negative: a
    signal). Raises Stopped after a SIGTERM or SIGINT, which it gets first."""
    with _stopping() as stop:
        child = subprocess.Popen(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            stop.child = child
            stop.pass_on()
            assert child.stdout is not None
            for line in lines(child.stdout):
                hear(line)
            code = child.wait()
        finally:
            _end(child)
        if stop.number:
            raise Stopped(stop.number)
    return code


def lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield the text of ``stream`` line by line as it comes; a carriage return ends a line too."""
    rest = b""
    read = getattr(stream, "read1", stream.read)
    while piece := read(65536):
        *whole, rest = re.split(rb"[\r\n]", rest + piece)
        for line in whole:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


class _Stop:
    """Passes a signal on to the child, which may not exist yet when it comes."""

    def __init__(self) -> None:
        self.number = 0
        self.child: subprocess.Popen[bytes] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.pass_on()

    def pass_on(self) -> None:
        if self.number and self.child is not None and self.child.poll() is None:
            self.child.terminate()


@contextmanager
def _stopping() -> Iterator[_Stop]:
    stop = _Stop()
    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread: whoever runs us there takes care of signals
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdout is not None:
        child.stdout.close()
