"""What `labsched status` and its like cost, beside `python -c "import click"`, with an empty queue and with a long one;
and ten thousand blocks: queued in one go, and cancelled.

    python -m benchmarks.commands [--times 15] [--waiting 100000] [--ended 1000000] [--blocks 10000]

A daemon of its own for each queue. Each command runs as people run it, a new process each time, all in turns. Prints
medians of the time that passes and of processor time in milliseconds, and how many times an import of click each takes
(the median of the ratios of each turn): processor time is the steadier one where other programs run. labsched should be
compiled, as `make venv` does it. Of many blocks: the seconds that the command takes, the processor time of the daemon,
and the longest that somebody waited meanwhile who asks for the status, or queues one job.
"""

import argparse
import itertools
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.filled import fill
from labsched.core.spec import JobSpec, StageSpec
from labsched.wire.client import Client
from labsched.wire.messages import Status, Submitted
from labsched.wire.requests import Submit

LABSCHED = str(Path(sys.executable).with_name("labsched"))
FLOOR = "import click"
COMMANDS = {
    FLOOR: (sys.executable, "-c", "import click"),
    "status": (LABSCHED, "status"),
    "add": (LABSCHED, "add", "-q", "--need", "GPU=1", "--", "true"),
    "submit": (LABSCHED, "submit", "-q", "--no-check", "BLOCK"),
    "logs": (LABSCHED, "logs", "short"),
    "show": (LABSCHED, "show", "short"),
    "history": (LABSCHED, "history"),
}
PAUSE_S = 0.02  # between two questions of somebody who asks meanwhile
ONE = Submit((JobSpec("one", (StageSpec("run", ("true",), {"CPU": 1}, "/"),), hold=True),))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=15, help="of each command (default: 15)")
    parser.add_argument("--waiting", type=int, default=100_000, help="jobs that wait (default: 100000)")
    parser.add_argument("--ended", type=int, default=1_000_000, help="jobs that have ended (default: 1000000)")
    parser.add_argument("--blocks", type=int, default=10_000, help="of one submit (default: 10000)")
    given = parser.parse_args()
    for waiting, ended in ((0, 0), (given.waiting, given.ended)):
        print(f"{waiting} jobs wait, {ended} have ended")
        with queue(waiting, ended) as (folder, daemon):
            if given.times:
                tell(taken(given.times))
            if given.blocks:
                many(folder, daemon, given.blocks)
    return 0


@contextmanager
def queue(waiting: int, ended: int) -> Iterator[tuple[Path, int]]:
    """A daemon that has such a queue, and a job called short that has ended: its folder, and its process."""
    with tempfile.TemporaryDirectory(prefix="ls-") as scratch:
        folder = Path(scratch)
        (folder / "state").mkdir(mode=0o750)
        fill(folder / "state" / "queue.db", waiting, ended)
        os.environ["LABSCHED_SOCKET"] = f"{folder}/s"
        began = time.perf_counter()
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen([LABSCHED, "daemon", "--state", "state"], cwd=folder, stdout=log, stderr=log)
        try:
            while subprocess.run([LABSCHED, "status", "-q"], capture_output=True).returncode:
                if daemon.poll() is not None:
                    raise SystemExit((folder / "log").read_text())
            print(f"  the daemon answered after {time.perf_counter() - began:.1f} s")
            short = run(LABSCHED, "add", "-q", "--name", "short", "--need", "RAM=1", "--", "echo", "hello")
            run(LABSCHED, "pool", "resume", "RAM")
            run(LABSCHED, "wait", short)
            run(LABSCHED, "pool", "pause", "RAM")
            yield folder, daemon.pid
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)


def taken(count: int) -> dict[str, list[tuple[float, float]]]:
    """The seconds, and the seconds of processor time, that each command takes, `count` times."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    names = (f"block{number}" for number in itertools.count())
    for _ in range(count):
        for name, words in COMMANDS.items():
            words = [next(names) if word == "BLOCK" else word for word in words]
            began = time.perf_counter()
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            found[name].append((time.perf_counter() - began, used.ru_utime + used.ru_stime))
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"{' '.join(words)} failed")
    return found


def tell(found: dict[str, list[tuple[float, float]]]) -> None:
    """A line for each command."""
    print(f"  {'':<14}{'ms':>8}{'times':>8}{'CPU ms':>10}{'times':>8}")
    for name, times in found.items():
        cells = []
        for which in (0, 1):
            ratio = statistics.median(one[which] / base[which] for one, base in zip(times, found[FLOOR], strict=True))
            cells.append((1000 * statistics.median(one[which] for one in times), ratio))
        (wall, over), (used, more) = cells
        print(f"  {name:<14}{wall:>8.1f}{over:>8.2f}{used:>10.1f}{more:>8.2f}")


def many(folder: Path, daemon: int, blocks: int) -> None:
    """So many blocks of one file: queued, and cancelled."""
    table = folder / "blocks.tsv"
    table.write_text("".join(f"rat{i % 50}/block{i}\tPort_{i % 32},Port_20\n" for i in range(blocks)))
    words = ["submit", "--no-check", "--hold", "-q", "--from", str(table)]
    numbers = meanwhile(f"submit --from, {blocks} blocks", words, daemon).split()
    meanwhile(f"cancel of {len(numbers)} numbers", ["cancel", "-q", *numbers], daemon)


def meanwhile(what: str, words: list[str], daemon: int) -> str:
    """Run a command while others ask; tells how long it took, and they waited. Returns what it printed."""
    client, over = Client(os.environ["LABSCHED_SOCKET"]), threading.Event()
    asks: dict[str, Callable[[], object]] = {
        "a status": lambda: client.get("status", Status),
        "a small submit": lambda: client.post("jobs", ONE, Submitted),
    }
    took: dict[str, list[float]] = {name: [] for name in asks}
    threads = [threading.Thread(target=ask, args=(one, took[name], over)) for name, one in asks.items()]
    for thread in threads:
        thread.start()
    began, used = time.perf_counter(), processor_time(daemon)
    try:
        printed = run(LABSCHED, *words)
        seconds = time.perf_counter() - began
    finally:
        over.set()
        for thread in threads:
            thread.join()
    waited = ", ".join(f"{name} took {max(times):.2f} s at most" for name, times in took.items())
    print(f"  {what}: {seconds:.2f} s, {processor_time(daemon) - used:.2f} s of the daemon's CPU; {waited}")
    return printed


def ask(what: Callable[[], object], took: list[float], over: threading.Event) -> None:
    """Ask again and again."""
    while not over.wait(PAUSE_S):
        began = time.perf_counter()
        what()
        took.append(time.perf_counter() - began)


def processor_time(pid: int) -> float:
    """Seconds that a process has used so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
