"""Backups as people make them: through the daemon, without one, and never half of one."""

import os
import pty
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from labsched.core.model import JobSpec
from labsched.store.health import broken, damage
from labsched.wire.messages import Status
from tests.end_to_end.typed import labsched
from tests.worlds import World, command, world


@pytest.fixture(scope="module")
def it() -> Iterator[World]:
    with world() as made:
        made.wait(*made.submit(command("true")))
        yield made


def test_a_backup_while_jobs_come_and_go(it: World) -> None:
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            it.wait(*it.submit(*(command("true") for _ in range(5))))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for number in range(5):
            labsched(it, "backup", f"{number}.db")
            assert broken(it.folder / f"{number}.db") == damage(it.folder / f"{number}.db", full=True) == []
    finally:
        stop.set()
        thread.join()
    assert stat.S_IMODE((it.folder / "0.db").stat().st_mode) == 0o600
    assert list((it.folder / "state/backups").iterdir()) == []


def test_a_file_that_is_there_stays_unless_it_is_said(it: World) -> None:
    (it.folder / "there.db").write_text("mine")
    assert "is there already" in labsched(it, "backup", "there.db", code=5)
    assert (it.folder / "there.db").read_text() == "mine"
    labsched(it, "backup", "there.db", "--force")
    assert damage(it.folder / "there.db") == []


@pytest.mark.parametrize(
    ("name", "why", "code"),
    [
        ("state", "is a folder", 2),
        ("gone/b.db", "there is no folder", 2),
        ("config.toml/b.db", "is no folder", 2),
        ("state/queue.db", "is a queue itself", 5),
        ("/dev/null", "is no ordinary file", 5),
    ],
)
def test_what_cannot_be_a_backup_is_refused(it: World, name: str, why: str, code: int) -> None:
    assert why in labsched(it, "backup", name, "--force", code=code)
    assert not list(it.folder.glob(".*.part"))


def test_a_backup_on_the_standard_output(it: World) -> None:
    words = [sys.executable, "-m", "labsched", "--socket", str(it.folder / "s"), "backup", "-"]
    done = subprocess.run(words, capture_output=True, check=True, timeout=60)
    (it.folder / "out.db").write_bytes(done.stdout)
    assert damage(it.folder / "out.db", full=True) == []
    ours, theirs = pty.openpty()
    try:
        refused = subprocess.run(words, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=60)
    finally:
        os.close(theirs)
        os.close(ours)
    assert (refused.returncode, "no text for a terminal" in refused.stderr) == (2, True)


def test_without_a_daemon_it_is_read_from_the_state_folder() -> None:
    with world() as it:
        [one] = it.submit(command("true", hold=True))
        labsched(it, "backup", "direct.db", "--state", "state")  # beside a daemon, too
        assert damage(it.folder / "direct.db", full=True) == []
        it.stop()
        labsched(it, "backup", "b.db")
        assert damage(it.folder / "b.db", full=True) == []
        assert "there is no queue" in labsched(it, "backup", "c.db", "--state", "elsewhere", code=4)
        it.kill()
        it.start()
        assert it.job(one).state == "waiting"


def test_a_backup_that_is_cut_off_gets_no_name(tmp_path: Path) -> None:
    with half_an_answer(tmp_path / "s"):
        words = [sys.executable, "-m", "labsched", "--socket", str(tmp_path / "s"), "backup", str(tmp_path / "b.db")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "went away in the middle" in done.stderr) == (3, True)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@contextmanager
def half_an_answer(path: Path) -> Iterator[None]:
    """A daemon that dies in the middle of its answer."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 5000)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def large(word: str) -> JobSpec:
    """A job with an environment of its own, of 100 kB."""
    return replace(command("true", hold=True), env={"WORD": word, **{f"V{n}": "x" * 1000 for n in range(100)}})


def test_nobody_waits_while_a_large_queue_is_copied() -> None:
    with world() as it:
        for number in range(6):  # 60 MB
            it.submit(*(large(f"{number}.{n}") for n in range(100)))
        done = threading.Event()
        thread = threading.Thread(target=lambda: (labsched(it, "backup", "b.db"), done.set()))
        thread.start()
        slowest = 0.0
        while not done.is_set():
            since = time.monotonic()
            it.submit(command("true", hold=True))
            it.client.get("status", Status, limit=5)
            slowest = max(slowest, time.monotonic() - since)
        thread.join()
        assert (it.folder / "b.db").stat().st_size > 50_000_000
        assert slowest < 1.0, slowest
