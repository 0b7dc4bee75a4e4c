"""Slurm, where one is up: `sbatch` is on PATH, and its controller answers. It is used as it is, with its own limits.

Its slots cannot be set from here; RAM and CPU are licences, where it has them.
"""

import re
import shlex
import subprocess
import time
from collections.abc import Sequence

from benchmarks.scheduler.sides.base import CPU, NOOP, NOOP_SLOTS, RAM, Bench, Side

END_S = 600.0
QUIET = ("-o", "/dev/null", "-e", "/dev/null")


def noops(_bench: Bench, count: int) -> float:
    """One array of jobs, so many at a time."""
    began = time.perf_counter()
    number = _sbatch(f"--array=1-{count}%{NOOP_SLOTS}", "--wrap", shlex.join(NOOP))
    _wait([number])
    return time.perf_counter() - began


def pairs(_bench: Bench, count: int, command: Sequence[str]) -> float:
    """Jobs with licences RAM and CPU, and --dependency=afterok."""
    words = shlex.join(command)
    began = time.perf_counter()
    numbers = []
    for _ in range(count):
        first = _sbatch("-L", "RAM:1", "--wrap", words)
        numbers += [first, _sbatch("-L", "CPU:1", f"--dependency=afterok:{first}", "--wrap", words)]
    _wait(numbers)
    return time.perf_counter() - began


def _sbatch(*words: str) -> str:
    done = subprocess.run(["sbatch", "--parsable", *QUIET, *words], check=True, capture_output=True, text=True, cwd="/")
    return done.stdout.split(";")[0].strip()


def _wait(numbers: Sequence[str]) -> None:
    deadline = time.monotonic() + END_S
    wanted = set(numbers)
    while True:
        done = subprocess.run(["squeue", "-h", "-o", "%F"], check=True, capture_output=True, text=True)
        if not wanted & set(done.stdout.split()):
            return
        if time.monotonic() > deadline:
            subprocess.run(["scancel", *numbers], capture_output=True)
            raise TimeoutError(f"Slurm has not run {len(numbers)} jobs within {END_S:g} s")
        time.sleep(0.05)


def no_pairs() -> str | None:
    """Why it cannot run two-stage jobs, in words."""
    done = subprocess.run(["scontrol", "-o", "show", "licenses"], capture_output=True, text=True)
    licences = {name: int(n) for name, n in re.findall(r"LicenseName=(\S+) Total=(\d+)", done.stdout)}
    if licences.get("RAM") == RAM and licences.get("CPU") == CPU:
        return None
    return f"Slurm has other pools (set Licenses=RAM:{RAM},CPU:{CPU} in its slurm.conf)"


def version(_bench: Bench) -> str | None:
    """None where there is none, or its controller does not answer."""
    try:
        ping = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=20)
        done = subprocess.run(["sbatch", "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    up = ping.returncode == 0 and " is UP" in ping.stdout and done.stdout.startswith("slurm")
    return done.stdout.split()[-1] if up else None


SIDE = Side(
    "Slurm",
    "apt-get install slurm-wlm, and a controller that answers, with Licenses=RAM:2,CPU:4",
    version,
    noops={"Slurm, one array": (20, noops)},
    pairs={"Slurm, licences": (10, pairs)},
    no_pairs=no_pairs,
)
