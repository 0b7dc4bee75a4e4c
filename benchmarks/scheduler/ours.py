"""labsched, for a benchmark: a daemon in a folder, with a queue of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from labsched.core.model import JobSpec, StageSpec
from labsched.errors import NoDaemon
from labsched.wire.client import Client
from labsched.wire.messages import Daemon, Jobs, Pools, Status, Submitted, Waited
from labsched.wire.requests import PoolSet, Submit, Verb

LABSCHED = (sys.executable, "-m", "labsched")
MANY = 1_000_000
START_S = 60.0
STOP_S = 60.0
Stages = Sequence[tuple[Sequence[str], Mapping[str, int]]]
ENV = {"PATH": os.defpath}


@dataclass
class Queue:
    """A daemon that runs, and what one asks of it."""

    folder: Path
    process: "subprocess.Popen[bytes]"
    client: Client

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def database(self) -> Path:
        return self.state / "queue.db"

    def submit(self, jobs: Sequence[JobSpec]) -> list[int]:
        """Queue jobs in one request; their numbers."""
        return [ref.id for ref in self.client.post("jobs", Submit(tuple(jobs), ENV), Submitted).jobs]

    def wait(self, numbers: Sequence[int], seconds: float = 300.0) -> None:
        """Return when they have ended. Raises TimeoutError, and RuntimeError where one did not succeed."""
        deadline = time.monotonic() + seconds
        words = ",".join(map(str, numbers))
        while True:
            found = self.client.get("wait", Waited, jobs=words, within=5)
            if found.done:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(numbers)} jobs have not ended within {seconds:g} s")
        if bad := [row for row in found.jobs if row.outcome != "succeeded"]:
            raise RuntimeError(f"job {bad[0].id} {bad[0].outcome}: {bad[0].why}")

    def drained(self, last: Sequence[int], seconds: float = 300.0) -> None:
        """Return when nothing runs or waits; `last` are the numbers that are likely to be the last."""
        self.wait(last, seconds)
        deadline = time.monotonic() + seconds
        while (counts := self.status().counts).running or counts.waiting:
            if time.monotonic() > deadline:
                raise TimeoutError(f"jobs still run after {seconds:g} s")
            time.sleep(0.002)

    def status(self) -> Status:
        return self.client.get("status", Status, limit=1)

    def cancel(self, numbers: Sequence[int]) -> None:
        self.client.post("jobs/cancel", Verb(jobs=tuple(map(str, numbers))), Jobs)

    def pool(self, name: str, slots: int | None = None, paused: bool | None = None) -> None:
        self.client.post(f"pools/{name}", PoolSet(slots=slots, paused=paused), Pools)

    def run(self, *words: str, seconds: float = 300.0) -> str:
        """A command line, as a person types it; what it prints."""
        env = {**os.environ, "LABSCHED_SOCKET": str(self.client.path)}
        done = subprocess.run(
            [*LABSCHED, *words], env=env, cwd=self.folder, text=True, capture_output=True, timeout=seconds
        )
        if done.returncode:
            raise RuntimeError(f"labsched {words[0]} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def job(stages: Stages, name: str = "job") -> JobSpec:
    """A job of stages, one after the other: a command and the slots that it needs each."""
    names = ("run",) if len(stages) == 1 else ("one", "two", "three", "four")
    return JobSpec(
        name=name,
        stages=tuple(
            StageSpec(title, tuple(argv), dict(needs), "/") for title, (argv, needs) in zip(names, stages, strict=False)
        ),
    )


@contextmanager
def queue(folder: Path, pools: Mapping[str, int], more: str = "") -> Iterator[Queue]:
    """A daemon on the queue in `folder` (made where there is none), until the end. `more`: of its configuration.

    Raises RuntimeError with its log where it does not start.
    """
    folder.mkdir(exist_ok=True)
    slots = "".join(f"{name} = {n}\n" for name, n in pools.items())
    limits = f"[limits]\nqueued_jobs_per_user = {MANY}\nrequest_size = {2**30}\n"
    (folder / "config.toml").write_text(f"[pools]\n{slots}{limits}{more}")
    words = ["daemon", "--state", "state", "--socket", "s", "--config", "config.toml"]
    with (folder / "daemon.log").open("ab") as log:
        # A session of its own: what Ctrl-C ends is the benchmark, and that ends the daemon.
        process = subprocess.Popen([*LABSCHED, *words], cwd=folder, stdout=log, stderr=log, start_new_session=True)
    it = Queue(folder, process, Client(folder / "s", timeout=120))
    try:
        _answers(it)
        yield it
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(it: Queue) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with suppress(NoDaemon):
            it.client.get("daemon", Daemon)
            return
        if it.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the daemon did not start: {(it.folder / 'daemon.log').read_text()}")
        time.sleep(0.01)
