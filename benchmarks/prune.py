"""A million jobs that have ended are pruned, while people ask for the status and queue jobs: how long does each take?

    python -m benchmarks.prune [--ended 1000000] [--waiting 1000] [--logs 100000] [--queue FILE]

A daemon of its own. Prints jobs removed in a second, milliseconds of the others' requests, the daemon's memory, and the
sizes of the queue's file and of its write-ahead log.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.filled import fill
from labsched.core.model import JobSpec, StageSpec
from labsched.errors import NoDaemon
from labsched.wire.client import Client
from labsched.wire.messages import Daemon, Pruned, Status, Submitted
from labsched.wire.requests import Prune, Submit

MB = 1e6
FILES = ("record", "log")
PAUSE_S = 0.05  # between two requests


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ended", type=int, default=1_000_000, help="jobs that have ended (default: 1000000)")
    parser.add_argument("--waiting", type=int, default=1_000, help="jobs that wait (default: 1000)")
    parser.add_argument("--logs", type=int, default=100_000, help="attempts that have a folder (default: 100000)")
    parser.add_argument("--queue", type=Path, help="made by filled.py before, to be copied")
    parser.add_argument("--seconds", type=float, help="end it after so many")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ls-") as scratch:
        state = Path(scratch) / "state"
        state.mkdir(0o750)
        if given.queue is None:
            fill(state / "queue.db", given.waiting, given.ended)
        else:
            shutil.copy(given.queue, state / "queue.db")
        for number in range(1, given.logs + 1):
            (folder := state / f"attempts/{number}/run.1").mkdir(parents=True)
            for name in FILES:
                (folder / name).write_text("{}")
        measure(Path(scratch), state, given.seconds)
    return 0


def measure(scratch: Path, state: Path, seconds: float | None) -> None:
    with (scratch / "log").open("wb") as log:
        words = [sys.executable, "-m", "labsched", "daemon", "--state", "state", "--socket", "s"]
        daemon = subprocess.Popen(words, cwd=scratch, stdout=log, stderr=log)
    client = Client(scratch / "s", timeout=600)
    most = {"memory": 0, "wal": 0}
    try:
        ready(client, daemon)
        before, memory = (state / "queue.db").stat().st_size, resident(daemon.pid)
        with asking(scratch) as took:
            time.sleep(BEFORE_S)
        tell("before", took)
        over = threading.Event()
        watch = threading.Thread(target=sizes, args=(state, daemon.pid, most, over))
        watch.start()
        began = time.monotonic()
        last = Pruned()
        try:
            with asking(scratch) as took:
                for so_far in client.post_lines("prune", Prune(before=0.0), Pruned, timeout=600):
                    last = so_far
                    if seconds is not None and time.monotonic() > began + seconds:
                        break
        finally:
            over.set()
            watch.join()
        length = time.monotonic() - began
        print(f"{last.jobs} jobs in {length:.0f} s: {last.jobs / length:.0f} a second, {len(last.errors)} errors")
        tell("meanwhile", took)
        print(f"memory of the daemon: {memory / MB:.0f} MB before, {most['memory'] / MB:.0f} MB at most")
        after, wal = (state / "queue.db").stat().st_size, (state / "queue.db-wal").stat().st_size
        print(f"queue.db: {before / MB:.0f} MB before, {after / MB:.0f} MB after")
        print(f"its write-ahead log: {most['wal'] / MB:.0f} MB at most, {wal / MB:.0f} MB after")
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)
        sys.stdout.write((scratch / "log").read_text())


BEFORE_S = 10.0
PARTS = (("median", 0.5), ("99 %", 0.99), ("max", 1.0))


@contextmanager
def asking(scratch: Path) -> Iterator[dict[str, list[float]]]:
    """Ask as others do, all the while; the seconds that each answer took, by question."""
    took: dict[str, list[float]] = {"status": [], "submit": []}
    over = threading.Event()
    others = threading.Thread(target=ask, args=(Client(scratch / "s", timeout=60), took, over))
    others.start()
    try:
        yield took
    finally:
        over.set()
        others.join()


def tell(when: str, took: dict[str, list[float]]) -> None:
    for what, all_of_it in took.items():
        ms = sorted(1000 * one for one in all_of_it)
        parts = ", ".join(f"{name} {ms[int(part * (len(ms) - 1))]:.1f}" for name, part in PARTS)
        print(f"{what}, {when}: {len(ms)} times, ms: {parts}")


def ready(client: Client, daemon: "subprocess.Popen[bytes]") -> None:
    while daemon.poll() is None:
        try:
            client.get("daemon", Daemon)
            return
        except NoDaemon:
            time.sleep(0.05)
    raise SystemExit("the daemon did not start")


def ask(client: Client, took: dict[str, list[float]], over: threading.Event) -> None:
    job = JobSpec("new", (StageSpec("run", ("true",), {"CPU": 1}, "/"),), hold=True)
    questions: dict[str, Callable[[], object]] = {
        "status": lambda: client.get("status", Status),
        "submit": lambda: client.post("jobs", Submit((job,)), Submitted),
    }
    while not over.wait(PAUSE_S):
        for what, question in questions.items():
            since = time.monotonic()
            question()
            took[what].append(time.monotonic() - since)


def sizes(state: Path, pid: int, most: dict[str, int], over: threading.Event) -> None:
    while not over.wait(0.2):
        most["memory"] = max(most["memory"], resident(pid))
        most["wal"] = max(most["wal"], (state / "queue.db-wal").stat().st_size)


def resident(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    raise SystemExit(main())
