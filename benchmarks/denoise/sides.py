"""Who is compared: each side is a command that reads a recording and leaves a de-noised one."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from .recordings import GAIN, RATE, Recording

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Side:
    """A command; `quick` ones are run again beside each slow one."""

    name: str
    argv: Sequence[str]
    n_bytes: int
    quick: bool = True


@dataclass(frozen=True)
class Run:
    """Wall time, processor time of all its processes (s), and the most memory that they held together (bytes)."""

    wall: float
    cpu: float
    rss: int


def labsched(name: str, recording: Recording, out: Path, *options: str) -> Side:
    """Stage 1, as the daemon would start it."""
    argv = (sys.executable, "-m", "labsched.ephys", "denoise", "--source", str(recording.folder), "--target", str(out))
    return Side(name, (*argv, "--name", "b", *options), recording.n_bytes)


def copy(name: str, recording: Recording, out: Path, *options: str) -> Side:
    """Reading and writing, and nothing else."""
    script = (sys.executable, "-I", "-S", str(HERE / "plain_copy.py"), str(recording.file), str(out / "copy"))
    return Side(name, (*script, *options), recording.n_bytes)


def foreign(name: str, python: Path, recording: Recording, out: Path, *words: str) -> Side:
    """A peer, in its own interpreter, from the flat file."""
    about = (str(recording.file), str(recording.channels), str(RATE), str(GAIN), str(out / "foreign"))
    return Side(name, (str(python), str(HERE / "foreign.py"), *words, *about), recording.n_bytes, quick=False)


def run(side: Side) -> Run:
    """Run it once. Raises RuntimeError, with what it said, where it fails."""
    began, most = time.monotonic(), 0
    process = subprocess.Popen(side.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    seen = psutil.Process(process.pid)
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        most = max(most, _held(seen))
        time.sleep(0.02)
    wall = time.monotonic() - began
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if code:
        raise RuntimeError(f"{side.name} ended with exit code {code}: {' '.join(side.argv)}")
    return Run(wall, usage.ru_utime + usage.ru_stime, most)


def _held(process: psutil.Process) -> int:
    """Memory of a process and those below it; what they share counts for each."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.Error:
        pass
    return total
