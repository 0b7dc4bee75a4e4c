"""Ten thousand rows at once: queued, and cancelled."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.scheduler.figures import Found, Table
from benchmarks.scheduler.ours import Queue, queue
from benchmarks.scheduler.parts.base import Part
from benchmarks.scheduler.sides.base import CPU, RAM, Bench
from labsched.errors import LabschedError

ROWS = 10_000
ABOUT = f"""
A table of {ROWS:,} blocks, each of two stages: `labsched submit --from blocks.tsv --no-check` as a person runs it (the
recordings are not looked at: that is work on {ROWS:,} files), and `labsched cancel` of all their numbers. Nothing runs
meanwhile: the pools are paused. "All or none": the same table with one block twice, in its last line, and with one that
is queued already; nothing of it may be queued.
"""


def measure(bench: Bench) -> Found:
    """The median of a few times."""
    rows = ROWS // 10 if bench.quick else ROWS
    submits, cancels = [], []
    with bench.scratch() as folder:
        _rig(folder)
        (folder / "blocks.tsv").write_text(_table(0, rows))
        sort = (
            f'[sort]\nsource = "{folder}/{{block}}"\ntarget = "{folder}/phy/{{block}}"\nprobe = "{folder}/rig.toml"\n'
        )
        with queue(folder, {"RAM": RAM, "CPU": CPU}, sort) as it:
            for pool in ("RAM", "CPU"):
                it.pool(pool, paused=True)
            for _ in range(bench.rounds(5)):
                numbers: list[str] = []
                words = ("submit", "-q", "--no-check", "--from", "blocks.tsv")
                submits.append(_seconds(lambda: numbers.extend(it.run(*words).split())))  # noqa: B023
                cancels.append(_seconds(lambda: it.run("cancel", *numbers)))  # noqa: B023
                if len(numbers) != rows or it.status().counts.waiting:
                    raise RuntimeError(f"{len(numbers)} of {rows} jobs were queued, or not all were cancelled")
            _all_or_none(it, folder, rows)
    found = [
        (name, f"{rows:,}", f"{statistics.median(values):.2f}", f"{max(values):.2f}")
        for name, values in (("submit --from", submits), ("cancel", cancels))
    ]
    return Found([("", Table(("", "rows", "median, s", "most, s"), found))])


def _all_or_none(it: Queue, folder: Path, rows: int) -> None:
    it.run("submit", "-q", "--no-check", "rows/queued")
    for bad in ("rows/0", "rows/queued"):
        (folder / "bad.tsv").write_text(_table(0, rows - 1) + f"{bad}\n")
        try:
            it.run("submit", "-q", "--no-check", "--from", "bad.tsv")
        except (RuntimeError, LabschedError):
            if (waiting := it.status().counts.waiting) == 1:
                continue
            raise RuntimeError(f"{waiting - 1} jobs of a refused table were queued") from None
        raise RuntimeError(f"a table with {bad} twice was not refused")


def _table(first: int, count: int) -> str:
    return "".join(f"rows/{i}\n" for i in range(first, first + count))


def _rig(folder: Path) -> None:
    ports = "".join(f"Port_{i + 1} = {i + 1}\n" for i in range(4))
    (folder / "rig.toml").write_text(f'probe = "tetrode4"\n[ports]\n{ports}')


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


PART = Part("batch", "Ten thousand rows at once", ABOUT, measure)
