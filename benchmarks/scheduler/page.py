"""The scheduler's sections of docs/performance.md."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from benchmarks import page as shared
from benchmarks.scheduler import machine
from benchmarks.scheduler.figures import Found
from benchmarks.scheduler.parts.base import Part, named

PAGE = shared.PAGE
INTRODUCTION = """\
# Performance

What the scheduler itself costs, beside its peers. `make bench-scheduler` measures all of it again and writes this page;
`make bench-scheduler PARTS="noop latency"` measures some sections, and leaves the others as they are, with their dates.
`QUICK=1` has a short look at everything, and writes nothing. `make soak` is a day of a lab's traffic in 20 minutes.

The figures of one section were taken on one machine, all sides in turns; it is the ratios that carry over to another
one. Peers are used where they are installed: `apt-get install task-spooler tmux`; a Slurm that answers `sbatch`; from
PyPI, in a virtual environment of their own, `python3 -m venv peers && peers/bin/pip install distributed hyperqueue
runqd`, named with `PEERS=peers`. labsched keeps everything that it promises: each submit is on disk before it is
answered, and each start before anything is launched.
"""


def section(part: Part, found: Found, folder: Path, load: float) -> str:
    """A part's section, with what it was measured on: `folder` is where its files lay, `load` the machine's before."""
    where = f"{date.today()} · {machine.machine(folder)} · load {load:.1f} before the start"
    versions = ", ".join(
        filter(None, (machine.versions(), named({k: v for k, v in found.versions.items() if k != "labsched"})))
    )
    lines = [f"## {part.title}", part.about.strip()]
    for text, table in found.blocks:
        lines += [text, table.markdown()] if text else [table.markdown()]
    lines += [f"{sentence}." for sentence in found.missing]
    lines.append(f"`make bench-scheduler PARTS={part.name}` · {where} · {versions}")
    return "\n\n".join(lines)


def write(page: Path, order: Sequence[str], new: dict[str, str]) -> None:
    """Put the sections, by the names of their parts, into the page; the others stay as they are."""
    shared.write(page, INTRODUCTION, order, new)
