import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from tests.cli.canned import answering
from tests.cli.conftest import environment, eventually
from tests.cli.samples import ROWS, STATUS

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"

# A signal may come between opening a socket and taking charge of it: that it is then closed by the end is no error.
SCREEN = {"TERM": "xterm", "COLUMNS": "110", "LINES": "12", "PYTHONWARNINGS": "error,ignore::ResourceWarning"}


@dataclass
class Terminal:
    """A command on a terminal of its own, and all that it has written there."""

    process: "subprocess.Popen[bytes]"
    written: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        return self.written.decode(errors="replace")


@contextmanager
def watching(scratch: Path, *words: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "labsched", "status", "-w", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(scratch, **SCREEN),
    )
    os.close(theirs)
    terminal = Terminal(process)

    def read() -> None:
        try:
            while piece := os.read(ours, 65_536):
                terminal.written += piece
        except OSError:  # how a terminal says that nobody is left on it
            pass

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield terminal
    finally:
        process.kill()
        process.wait()
        thread.join()
        os.close(ours)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_screen_is_given_back_however_it_ends(number: signal.Signals, scratch: Path) -> None:
    with answering(scratch / "socket", {"status": STATUS}), watching(scratch) as terminal:
        eventually(lambda: "rat12/2024-03-10" in terminal.text)
        terminal.process.send_signal(number)
        assert terminal.process.wait(10) == 128 + number
        eventually(lambda: LEAVE in terminal.text)
    assert terminal.text.startswith(ENTER) and terminal.text.endswith(LEAVE)


def test_it_waits_for_a_daemon_that_is_restarted(scratch: Path) -> None:
    later = msgspec.structs.replace(STATUS, host="sorter02")
    with answering(scratch / "socket", {"status": STATUS}):
        process = watching(scratch)
        terminal = process.__enter__()
        eventually(lambda: "sorter01" in terminal.text)
    try:
        eventually(lambda: "no daemon, retrying" in terminal.text)
        assert terminal.process.poll() is None
        with answering(scratch / "socket", {"status": later}):
            eventually(lambda: "sorter02" in terminal.text)
    finally:
        process.__exit__(None, None, None)


def test_more_jobs_than_the_screen_has_lines_leave_room_for_what_failed(scratch: Path) -> None:
    many = msgspec.structs.replace(STATUS, jobs=ROWS * 10)
    with answering(scratch / "socket", {"status": many}), watching(scratch) as terminal:
        eventually(lambda: "labsched retry 428" in terminal.text)
        assert "more than this screen holds" in terminal.text
        assert terminal.text.partition("retry 428")[0].count("\r\n") < 12


def test_without_a_terminal_it_prints_one_status_after_the_other(scratch: Path) -> None:
    words = [sys.executable, "-m", "labsched", "status", "-w", "--json"]
    with (
        answering(scratch / "socket", {"status": STATUS}),
        subprocess.Popen(words, stdout=subprocess.PIPE, env=environment(scratch, **SCREEN)) as process,
    ):
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 128 + signal.SIGINT
    assert all(msgspec.json.decode(line)["host"] == "sorter01" for line in lines)
