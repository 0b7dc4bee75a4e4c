"""What runs jobs and is no queue: xargs and make. Nothing that starts a process for each job is much faster."""

import shlex
import subprocess
import time
from collections.abc import Sequence

from benchmarks.scheduler.sides.base import CPU, NOOP, NOOP_SLOTS, Bench, Side, said


def xargs(_bench: Bench, count: int) -> float:
    """xargs -P2"""
    return _timed("xargs", "-P", str(NOOP_SLOTS), "-I@", *NOOP, text="\n".join(map(str, range(count))))


def make(bench: Bench, count: int) -> float:
    """make -j2"""
    with bench.scratch() as folder:
        names = [f"j{i}" for i in range(count)]
        rules = "".join(f"{name}:\n\t@{shlex.join(NOOP)};\n" for name in names)
        (folder / "Makefile").write_text(f".PHONY: all {' '.join(names)}\nall: {' '.join(names)}\n{rules}")
        return _timed("make", "-s", "-C", str(folder), f"-j{NOOP_SLOTS}")


def pairs(bench: Bench, count: int, command: Sequence[str]) -> float:
    """make -j4: it has no pools, so any four at a time."""
    with bench.scratch() as folder:
        words = shlex.join(command)
        rules = "".join(f"b{i}: a{i}\n\t@{words};\na{i}:\n\t@{words};\n" for i in range(count))
        names = [f"b{i}" for i in range(count)]
        (folder / "Makefile").write_text(f".PHONY: all {' '.join(names)}\nall: {' '.join(names)}\n{rules}")
        return _timed("make", "-s", "-C", str(folder), f"-j{CPU}")


def _timed(*words: str, text: str = "") -> float:
    began = time.perf_counter()
    subprocess.run(words, input=text, text=True, check=True, timeout=300)
    return time.perf_counter() - began


def _make_version(bench: Bench) -> str | None:
    found = said(bench.program("make") or "make", "--version")
    return found and found.split()[-1]


def _xargs_version(bench: Bench) -> str | None:
    found = said(bench.program("xargs") or "xargs", "--version")
    return found and found.split()[-1]


XARGS = Side("xargs", "apt-get install findutils", _xargs_version, noops={f"xargs -P{NOOP_SLOTS}": (1000, xargs)})
MAKE = Side(
    "make",
    "apt-get install make",
    _make_version,
    noops={f"make -j{NOOP_SLOTS}": (1000, make)},
    pairs={f"make -j{CPU}, no pools": (500, pairs)},
    pools=False,
)
