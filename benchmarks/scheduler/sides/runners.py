"""Dask and HyperQueue: libraries, each used by a small program in the interpreter that has it."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.scheduler.sides.base import CPU, NOOP, NOOP_SLOTS, RAM, Bench, Side, quiet_env

HERE = Path(__file__).parent
END_S = 300.0


def dask_noops(bench: Bench, count: int) -> float:
    """All in one map()."""
    return _seconds(bench, "distributed", "dask_runner.py", "noops", str(count), str(NOOP_SLOTS), *NOOP)


def dask_pairs(bench: Bench, count: int, command: Sequence[str]) -> float:
    """A worker with resources RAM and CPU."""
    return _seconds(bench, "distributed", "dask_runner.py", "pairs", str(count), f"RAM={RAM},CPU={CPU}", *command)


def hq_batch(bench: Bench, count: int) -> float:
    """One job of many tasks."""
    return _hyperqueue(bench, "batch", count, NOOP_SLOTS, NOOP)


def hq_each(bench: Bench, count: int) -> float:
    """A job each."""
    return _hyperqueue(bench, "each", count, NOOP_SLOTS, NOOP)


def hq_pairs(bench: Bench, count: int, command: Sequence[str]) -> float:
    """One job of tasks that depend on each other; it knows cores only."""
    return _hyperqueue(bench, "pairs", count, CPU, command)


def _hyperqueue(bench: Bench, what: str, count: int, cores: int, command: Sequence[str]) -> float:
    with bench.scratch() as folder:
        return _seconds(
            bench, "hyperqueue", "hyperqueue_runner.py", what, str(count), str(cores), str(folder), *command
        )


def _seconds(bench: Bench, package: str, script: str, *words: str) -> float:
    python = bench.python(package)
    assert python
    with bench.scratch() as folder:
        done = subprocess.run(
            [python, str(HERE / script), *words],
            env=quiet_env(folder),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=END_S,
        )
    if done.returncode:
        raise RuntimeError(f"{script} failed: {done.stderr.strip()[-2000:]}")
    return float(done.stdout.split()[-1])


def _version(package: str) -> Callable[[Bench], str | None]:
    def version(bench: Bench) -> str | None:
        python = bench.python(package)
        if python is None:
            return None
        words = [python, "-c", f"import importlib.metadata as m; print(m.version({package!r}))"]
        return subprocess.run(words, check=True, capture_output=True, text=True, cwd="/").stdout.strip()

    return version


DASK = Side(
    "Dask",
    "pip install distributed, into PEERS",
    _version("distributed"),
    noops={"Dask, one map": (1000, dask_noops)},
    pairs={"Dask, resources": (500, dask_pairs)},
)
HYPERQUEUE = Side(
    "HyperQueue",
    "pip install hyperqueue, into PEERS",
    _version("hyperqueue"),
    noops={"HyperQueue, one job": (1000, hq_batch), "HyperQueue, a job each": (20, hq_each)},
    pairs={"HyperQueue, weighted cores": (300, hq_pairs)},
)
