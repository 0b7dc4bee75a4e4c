"""A tiny program that tells when its first instruction ran, and a pipe that hears of it."""

import os
import select
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("stamp.c")


class Stamp(NamedTuple):
    """When a job began and was about to end; ns, `wall` since the epoch."""

    began: int
    wall: int
    ended: int


class Stamps:
    """The pipe, and the command lines of jobs that write to it."""

    def __init__(self, program: Path, pipe: Path, file: int) -> None:
        self._program, self._pipe, self._file = program, pipe, file
        self._rest = b""

    def command(self, seconds: float = 0.0) -> tuple[str, ...]:
        """A job that takes so long."""
        return (str(self._program), str(self._pipe), *([f"{seconds:g}"] if seconds else []))

    def read(self, count: int, within: float = 60.0) -> list[Stamp]:
        """The next `count` of them, in the order in which they were written. Raises TimeoutError."""
        found: list[Stamp] = []
        while len(found) < count:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                found.append(Stamp(*map(int, line.split())))
                self._rest = rest
                continue
            if not select.select([self._file], [], [], within)[0]:
                raise TimeoutError(f"{count - len(found)} of {count} jobs did not begin within {within:g} s")
            self._rest += os.read(self._file, 65_536)
        return found

    def forget(self) -> None:
        """Drop what has been written so far."""
        self._rest = b""
        while select.select([self._file], [], [], 0)[0]:
            os.read(self._file, 65_536)


@contextmanager
def stamping(folder: Path) -> Iterator[Stamps]:
    """Make the program and the pipe in `folder`. Raises SystemExit where there is no C compiler."""
    program, pipe = folder / "stamp", folder / "stamps"
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("there is no C compiler: apt-get install gcc")
    words = [compiler, "-O1", "-o", str(program), str(SOURCE)]
    if subprocess.run([*words, "-static"], capture_output=True).returncode:  # some lack a static C library
        subprocess.run(words, check=True)
    os.mkfifo(pipe)
    file = os.open(pipe, os.O_RDWR)  # both ways: else it would end with the first job
    try:
        yield Stamps(program, pipe, file)
    finally:
        os.close(file)


def gaps(stamps: Sequence[Stamp], slots: int) -> list[float]:
    """Of each job but the first ones: how long its slot had been free before (seconds)."""
    ordered = sorted(stamps)
    found = []
    for i in range(slots, len(ordered)):
        free = sorted((one.ended for one in ordered[:i]), reverse=True)[slots - 1]
        found.append((ordered[i].began - free) / 1e9)
    return found
