"""Stage 2 as a process, and what becomes of it."""

import os
import subprocess
import sys
import time
from pathlib import Path


def quiet(line: str) -> None:
    pass


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


GIVEN = {"b.dat", "b.prb", "b.prm", "b.denoise.json", "probe.prb"}
MADE = {"b.kwik", "b.kwx", "b.sorting.json", "b.metrics.csv", "b.metrics.json", "b.report.html"}


def command(folder, *more: str, **environment: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "labsched.ephys", "klusta", "--target", str(folder), "--name", "b", *more]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )


def until(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return value


def child_of(pid: int) -> int | None:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()
    return int(listed[0]) if listed else None


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
