"""task-spooler (tsp). It has no pools: two-stage jobs go through one server with weights, or through two servers.

It is given the least to do: -n, no output is kept.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.scheduler.sides.base import CLIENTS, CPU, NOOP, NOOP_SLOTS, RAM, Bench, Side, said

LIMIT = 900  # that may wait: its server can hold about 995 connections
END_S = 300.0


class Server:
    """A task-spooler server of its own."""

    def __init__(self, tsp: str, folder: Path, name: str, slots: int) -> None:
        self.tsp = tsp
        self.env = {**os.environ, "TS_SOCKET": str(folder / name), "TMPDIR": str(folder), "TS_MAXFINISHED": "4"}
        self.env |= {"TSP": tsp, "TS_SLOTS": str(slots)}
        self.ask("-S", str(slots))

    def ask(self, *words: str, seconds: float = END_S) -> str:
        done = subprocess.run([self.tsp, *words], env=self.env, text=True, capture_output=True, timeout=seconds)
        return done.stdout

    def queue(self, *words: str) -> None:
        """Queue one command."""
        subprocess.run([self.tsp, "-n", *words], env=self.env, check=True, stdout=subprocess.DEVNULL)

    def shell(self, script: str) -> None:
        """Run a script of a shell that calls "$TSP"; a fast way to call it often."""
        subprocess.run(["sh", "-ec", script], env=self.env, check=True, stdout=subprocess.DEVNULL, timeout=END_S)

    def drained(self) -> None:
        """Return when nothing runs or waits."""
        self.ask("-w")  # the last one; others may still run
        deadline = time.monotonic() + END_S
        while any(word in self.ask("-l") for word in (" running ", " queued ", " allocating ")):
            if time.monotonic() > deadline:
                raise TimeoutError("task-spooler still runs jobs")
            time.sleep(0.002)


@contextmanager
def servers(bench: Bench, **slots: int) -> Iterator[list[Server]]:
    """Servers with so many slots each, by name."""
    tsp = bench.program("tsp")
    assert tsp
    with bench.scratch() as folder:
        up = [Server(tsp, folder, name, n) for name, n in slots.items()]
        try:
            yield up
        finally:
            for one in up:
                one.ask("-K")


def timed(work: Callable[[], object], *up: Server) -> float:
    began = time.perf_counter()
    work()
    for one in up:
        one.drained()
    return time.perf_counter() - began


def loop(bench: Bench, count: int) -> float:
    """One client: a shell that calls tsp in a loop."""
    with servers(bench, s=NOOP_SLOTS) as (it,):
        script = f'i=0; while [ $i -lt {count} ]; do "$TSP" -n {shlex.join(NOOP)}; i=$((i+1)); done'
        return timed(lambda: it.shell(script), it)


def many(bench: Bench, count: int) -> float:
    """Many clients at once: xargs -P."""
    with servers(bench, s=NOOP_SLOTS) as (it,):
        script = f'seq {count} | xargs -P {CLIENTS} -I@ "$TSP" -n {shlex.join(NOOP)}'
        return timed(lambda: it.shell(script), it)


def weighted(bench: Bench, count: int, command: Sequence[str]) -> float:
    """One server of CPU slots; the first stage takes as many as leave room for RAM of them; -d for the second."""
    with servers(bench, s=CPU) as (it,):
        words = shlex.join(command)
        script = (
            f"i=0; while [ $i -lt {count} ]; do "
            f'"$TSP" -n -N {CPU // RAM} {words}; "$TSP" -n -d {words}; i=$((i+1)); done'
        )
        return timed(lambda: it.shell(script), it)


def chained(bench: Bench, count: int, command: Sequence[str]) -> float:
    """Two servers; the first stage queues the second on the other one, when it has succeeded."""
    with servers(bench, ram=RAM, cpu=CPU) as (ram, cpu):
        words = shlex.join(command)
        then = f'{words} && TS_SOCKET={shlex.quote(cpu.env["TS_SOCKET"])} exec "$TSP" -n {words}'
        script = f'i=0; while [ $i -lt {count} ]; do "$TSP" -n sh -c {shlex.quote(then)}; i=$((i+1)); done'
        return timed(lambda: ram.shell(script), ram, cpu)


def version(bench: Bench) -> str | None:
    found = said(bench.program("tsp") or "tsp", "-V")
    return found and found.split(" - ")[0].removeprefix("Task Spooler v")


SIDE = Side(
    "task-spooler",
    "apt-get install task-spooler",
    version,
    noops={"task-spooler, one client": (LIMIT, loop), f"task-spooler, {CLIENTS} clients": (LIMIT, many)},
    pairs={"task-spooler, one server": (LIMIT // 2, weighted), "task-spooler, two servers": (LIMIT // 2, chained)},
)
