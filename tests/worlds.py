"""Small worlds to try things in: a real daemon, its socket and real processes, in a temporary folder."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from labsched.core.model import JobSpec, StageSpec
from labsched.errors import NoDaemon, Refused
from labsched.store.upgrade import upgrade
from labsched.wire.client import Client
from labsched.wire.messages import Daemon, Job, Jobs, Status, Submitted, Waited
from labsched.wire.requests import Submit, Verb

QUICK = "[daemon]\nstop_grace = 1.0\n"


def eventually(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until it is true; fail where that takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)


@cache
def empty_queue() -> bytes:
    """The file of an empty queue: made once, since its making takes longer than most of what is tried with it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "queue.db"
        upgrade(path)
        return path.read_bytes()


def new_state(folder: Path) -> None:
    """A state folder that has an empty queue, unless it has one already."""
    folder.mkdir(mode=0o750, exist_ok=True)
    if not (folder / "queue.db").exists():
        (folder / "queue.db").write_bytes(empty_queue())


@dataclass
class World:
    """A folder with a daemon that can be started, stopped and killed."""

    folder: Path
    config: str = QUICK
    process: "subprocess.Popen[bytes] | None" = None
    shims: list[int] = field(default_factory=list)

    @property
    def client(self) -> Client:
        return Client(self.folder / "s", timeout=30)

    @property
    def log(self) -> str:
        return (self.folder / "daemon.log").read_text()

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        (self.folder / "config.toml").write_text(self.config)
        new_state(self.folder / "state")
        words = ["daemon", "--state", "state", "--socket", "s", "--config", "config.toml"]
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "labsched", *words], cwd=self.folder, stdout=log, stderr=log
            )
        eventually(self._answers)

    def kill(self) -> None:
        """kill -9"""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> int:
        """TERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def submit(self, *jobs: JobSpec) -> list[int]:
        """Queue jobs, and return their numbers."""
        return [ref.id for ref in self.client.post("jobs", Submit(jobs), Submitted).jobs]

    def job(self, ref: int | str) -> Job:
        return self.client.get("job", Job, ref=ref)

    def status(self, **query: object) -> Status:
        return self.client.get("status", Status, **query)

    def verb(self, what: str, *refs: int | str, **more: object) -> Jobs:
        return self.client.post(f"jobs/{what}", Verb(jobs=tuple(map(str, refs)), **more), Jobs)  # type: ignore[arg-type]

    def wait(self, *numbers: int, seconds: float = 60.0) -> list[Job]:
        """Wait until these jobs have ended, and return them."""
        deadline = time.monotonic() + seconds
        while not self.client.get("wait", Waited, jobs=",".join(map(str, numbers)), within=5).done:
            assert time.monotonic() < deadline, [self.job(n) for n in numbers]
        return [self.job(n) for n in numbers]

    def read_log(self, ref: int) -> str:
        return b"".join(self.client.stream("log", ref=ref, timeout=30)).decode()

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            return self.client.get("daemon", Daemon).pid == self.process.pid
        except NoDaemon:
            return False


W = TypeVar("W", bound=World)


@contextmanager
def world(config: str = QUICK, kind: type[W] = World) -> Iterator[W]:  # type: ignore[assignment]
    """A world with its daemon running; at the end everything that still runs in it is ended."""
    with TemporaryDirectory(prefix="ls-") as folder:
        it = kind(Path(folder), config)
        it.start()
        try:
            yield it
        finally:
            if it.process is None or it.process.poll() is not None:
                it.start()
            for row in it.status(limit=1000).jobs:
                if row.state != "ended":
                    with suppress(Refused):  # it has ended by now
                        it.verb("cancel", row.id)
            it.stop()
        assert "Traceback" not in it.log, it.log


def command(*argv: str, name: str = "job", cwd: str = "/", **more: object) -> JobSpec:
    """A job of one stage, `run`, that needs one CPU."""
    return chain(argv, name=name, cwd=cwd, **more)


def chain(
    *commands: Sequence[str],
    name: str = "job",
    cwd: str = "/",
    needs: Sequence[dict[str, int]] = ({"CPU": 1},),
    time_limit: float | None = None,
    outputs: tuple[str, ...] = (),
    **more: object,
) -> JobSpec:
    """A job of stages one after the other: `run`, or `one`, `two` and so on; the last of `needs` holds for the rest."""
    names = ["run"] if len(commands) == 1 else ["one", "two", "three", "four"][: len(commands)]
    stages = tuple(
        StageSpec(stage, tuple(argv), needs[min(i, len(needs) - 1)], cwd, outputs, time_limit)
        for i, (stage, argv) in enumerate(zip(names, commands, strict=True))
    )
    return JobSpec(name=name, stages=stages, env={"PATH": os.environ["PATH"]}, **more)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
