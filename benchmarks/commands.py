"""What `labsched status` and its like cost, beside `python -c "import click"`, with an empty queue and with a long one.

    python -m benchmarks.commands [--times 15] [--waiting 100000] [--ended 1000000]

A daemon of its own for each queue. Each command runs as people run it, a new process each time, all in turns. Prints
medians in milliseconds, and how many times an import of click each takes (the median of the ratios of each turn).
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.filled import fill

PYTHON = sys.executable
LABSCHED = (PYTHON, "-m", "labsched")
FLOOR = "import click"
COMMANDS = {
    FLOOR: (PYTHON, "-c", "import click"),
    "status": (*LABSCHED, "status"),
    "add": (*LABSCHED, "add", "-q", "--need", "GPU=1", "--", "true"),
    "logs": (*LABSCHED, "logs", "short"),
    "show": (*LABSCHED, "show", "short"),
    "history": (*LABSCHED, "history"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=15, help="of each command (default: 15)")
    parser.add_argument("--waiting", type=int, default=100_000, help="jobs that wait (default: 100000)")
    parser.add_argument("--ended", type=int, default=1_000_000, help="jobs that have ended (default: 1000000)")
    given = parser.parse_args()
    print("waiting   ended     " + "".join(f"{name:>16}" for name in COMMANDS) + "   ms, times import click")
    for waiting, ended in ((0, 0), (given.waiting, given.ended)):
        times = measured(waiting, ended, given.times)
        floor = times[FLOOR]
        cells = []
        for name, found in times.items():
            ratio = statistics.median(one / base for one, base in zip(found, floor, strict=True))
            cells.append(f"{1000 * statistics.median(found):>9.1f} {'' if name == FLOOR else f'{ratio:.2f}':>6}")
        print(f"{waiting:<10}{ended:<10}" + "".join(cells))
    return 0


def measured(waiting: int, ended: int, count: int) -> dict[str, list[float]]:
    """The seconds that each command takes, `count` times."""
    with tempfile.TemporaryDirectory(prefix="ls-") as scratch:
        folder = Path(scratch)
        (folder / "state").mkdir(mode=0o750)
        fill(folder / "state" / "queue.db", waiting, ended)
        os.environ["LABSCHED_SOCKET"] = f"{folder}/s"
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen([*LABSCHED, "daemon", "--state", "state"], cwd=folder, stdout=log, stderr=log)
        try:
            while subprocess.run([*LABSCHED, "status", "-q"], capture_output=True).returncode:
                if daemon.poll() is not None:
                    raise SystemExit((folder / "log").read_text())
                time.sleep(0.1)
            short = run(*LABSCHED, "add", "-q", "--name", "short", "--need", "RAM=1", "--", "echo", "hello")
            run(*LABSCHED, "pool", "resume", "RAM")
            run(*LABSCHED, "wait", short)
            found: dict[str, list[float]] = {name: [] for name in COMMANDS}
            for _ in range(count):
                for name, words in COMMANDS.items():
                    began = time.perf_counter()
                    run(*words)
                    found[name].append(time.perf_counter() - began)
            return found
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
