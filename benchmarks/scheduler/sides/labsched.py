"""labsched itself."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.scheduler.ours import LABSCHED, Queue, job, queue
from benchmarks.scheduler.sides.base import CLIENTS, CPU, NOOP, NOOP_SLOTS, RAM, Bench, Side
from labsched import __version__

FEW = 100  # where each job is a process of its own
NEED = {"CPU": 1}


def batch(bench: Bench, count: int) -> float:
    """One client, one request with all of them."""
    with bench.scratch() as folder, _warm(folder, {"CPU": NOOP_SLOTS}) as it:
        jobs = [job([(NOOP, NEED)])] * count
        return _timed(it, lambda: it.submit(jobs))


def one_by_one(bench: Bench, count: int) -> float:
    """One client, a request for each job, one after the other."""
    with bench.scratch() as folder, _warm(folder, {"CPU": NOOP_SLOTS}) as it:
        one = [job([(NOOP, NEED)])]
        return _timed(it, lambda: [number for _ in range(count) for number in it.submit(one)])


def many(bench: Bench, count: int) -> float:
    """Many clients at once: processes, each with a connection and a request for each job."""
    with bench.scratch() as folder, _warm(folder, {"CPU": NOOP_SLOTS}) as it:
        words = [sys.executable, "-m", "benchmarks.scheduler.submitter", str(it.client.path), str(count // CLIENTS)]
        pipe = subprocess.PIPE
        clients = [subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) for _ in range(CLIENTS)]
        ready = [client.stdout.readline() for client in clients if client.stdout]
        assert ready == ["ready\n"] * CLIENTS

        def go() -> list[int]:
            for client in clients:
                assert client.stdin
                client.stdin.write("go\n")
                client.stdin.flush()
            answers = [client.communicate(timeout=300)[0] for client in clients]
            return sorted(int(word) for answer in answers for word in answer.split())

        return _timed(it, go)


def file(bench: Bench, count: int) -> float:
    """The command line, once: labsched add --from FILE."""
    with bench.scratch() as folder, _warm(folder, {"CPU": NOOP_SLOTS}) as it:
        (folder / "jobs.jsonl").write_text((json.dumps({"argv": NOOP}) + "\n") * count)
        return _timed(it, lambda: [int(word) for word in it.run("add", "-q", "--from", "jobs.jsonl").split()])


def command_line(bench: Bench, count: int) -> float:
    """The command line, once for each job."""
    with bench.scratch() as folder, _warm(folder, {"CPU": NOOP_SLOTS}) as it:
        env = {**os.environ, "LABSCHED_SOCKET": str(it.client.path)}
        words = [*LABSCHED, "add", "-q", "--", *NOOP]

        def go() -> list[int]:
            done = [subprocess.run(words, env=env, check=True, stdout=subprocess.PIPE) for _ in range(count)]
            return [int(one.stdout) for one in done]

        return _timed(it, go)


def pairs(bench: Bench, count: int, command: Sequence[str]) -> float:
    """Two-stage jobs in one request."""
    with bench.scratch() as folder, _warm(folder, {"RAM": RAM, "CPU": CPU}) as it:
        jobs = [job([(command, {"RAM": 1}), (command, {"CPU": 1})])] * count
        return _timed(it, lambda: it.submit(jobs))


@contextmanager
def _warm(folder: Path, pools: dict[str, int]) -> Iterator[Queue]:
    """A daemon that has worked before, as one that is always up."""
    with queue(folder, pools) as it:
        it.drained(it.submit([job([(NOOP, NEED)])] * 4))
        yield it


def _timed(it: Queue, submit: Callable[[], list[int]]) -> float:
    began = time.perf_counter()
    numbers = submit()
    it.drained(numbers[-8:])
    return time.perf_counter() - began


def version(_bench: Bench) -> str:
    return __version__


SIDE = Side(
    "labsched",
    "",
    version,
    noops={
        "labsched, one request": (1000, batch),
        "labsched, add --from": (1000, file),
        "labsched, a request each": (1000, one_by_one),
        f"labsched, {CLIENTS} clients": (1000, many),
        "labsched, add for each": (FEW, command_line),
    },
    pairs={"labsched": (500, pairs)},
)
