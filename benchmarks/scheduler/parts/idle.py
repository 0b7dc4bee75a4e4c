"""What labsched takes while nothing happens."""

import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.filled import POOLS, fill
from benchmarks.scheduler.figures import Found, Table
from benchmarks.scheduler.ours import Queue, job, queue
from benchmarks.scheduler.parts.base import Part
from benchmarks.scheduler.sides.base import Bench

WAITING, RUNNING = 100_000, 20
SETTLE_S, MINUTE_S = 20.0, 60.0
MIB = 2**20
ABOUT = f"""
For a minute in which nobody asks anything, of the daemon and of its helper that launches stages: processor time,
wake-ups (voluntary context switches of all threads), and memory (PSS: what is shared is divided among those who share
it). "By a running stage": {RUNNING} stages that sleep; PSS of the parents of their commands, a stage; their processor
time and wake-ups count with the daemon's. With {WAITING:,} waiting: behind a pause of their pool; the daemon has
answered `labsched status` once.
"""


@dataclass(frozen=True)
class Taken:
    """By some processes, until now: seconds of processor time, wake-ups, and bytes."""

    cpu: float
    wakes: int
    pss: int


def measure(bench: Bench) -> Found:
    """Empty, with stages that run, and with a long queue."""
    waiting = 1_000 if bench.quick else WAITING
    with bench.scratch() as folder, queue(folder, POOLS) as it:
        empty = _row("nothing to do", it, bench)
    with bench.scratch() as folder, queue(folder, {"CPU": RUNNING}) as it:
        numbers = it.submit([job([(("sleep", "10000"), {"CPU": 1})])] * RUNNING)
        _until_running(it)
        running = _row(f"{RUNNING} stages run", it, bench)
        it.cancel(numbers)
    with bench.scratch() as folder:
        (folder / "state").mkdir(mode=0o750)
        fill(folder / "state" / "queue.db", waiting, 0)
        with queue(folder, POOLS) as it:
            it.run("status")
            long = _row(f"{waiting:,} wait", it, bench)
    head = ("", "CPU s a minute", "wake-ups a minute", "daemon, MiB", "helper, MiB", "by a running stage, MiB")
    return Found([("", Table(head, [empty, running, long]))])


def _row(label: str, it: Queue, bench: Bench) -> tuple[str, ...]:
    length = 5.0 if bench.quick else MINUTE_S
    time.sleep(min(SETTLE_S, length))
    daemon = psutil.Process(it.process.pid)
    commands = [one for one in daemon.children(recursive=True) if one.name() == "sleep"]
    stands = [psutil.Process(pid) for pid in {one.ppid() for one in commands} - {daemon.pid}]
    helpers = [one for one in daemon.children() if one not in stands and one not in commands]
    before = taken([daemon, *helpers, *stands])
    time.sleep(length)
    after = taken([daemon, *helpers, *stands])
    times = 60.0 / length
    memory = (taken([daemon]).pss, taken(helpers).pss)
    wakes = (after.wakes - before.wakes) * times
    return (
        *(label, f"{(after.cpu - before.cpu) * times:.3f}", f"{wakes:.0f}"),
        *(f"{one / MIB:.1f}" for one in memory),
        f"{taken(stands).pss / len(commands) / MIB:.2f}" if commands else "",
    )


def taken(processes: list[psutil.Process]) -> Taken:
    """What these have taken until now. Their processor time is read in nanoseconds, where the kernel tells it."""
    cpu, wakes, pss = 0.0, 0, 0
    for process in processes:
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            cpu += int((task / "schedstat").read_text().split()[0]) / 1e9
            status = (task / "status").read_text()
            wakes += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
        pss += process.memory_full_info().pss
    return Taken(cpu, wakes, pss)


def _until_running(it: Queue) -> None:
    deadline = time.monotonic() + 60
    while it.status().counts.running < RUNNING or any(row.state != "running" for row in it.status().jobs):
        if time.monotonic() > deadline:
            raise TimeoutError("the stages do not start")
        time.sleep(0.1)


PART = Part("idle", "Idle", ABOUT, measure)
