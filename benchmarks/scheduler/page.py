"""docs/performance.md: a section for each part, each with its own date; a part that is run again replaces its own."""

import os
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from benchmarks.scheduler import machine
from benchmarks.scheduler.figures import Found
from benchmarks.scheduler.parts.base import Part, named

PAGE = Path(__file__).parents[2] / "docs/performance.md"
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
    sections = {**_sections(page.read_text() if page.exists() else ""), **new}
    names = [name for name in order if name in sections]
    blocks = [f"<!-- part: {name} -->\n\n{sections[name].strip()}\n\n<!-- end: {name} -->" for name in names]
    text = "\n\n".join((INTRODUCTION.strip(), *blocks)) + "\n"
    beside = page.with_name(f".{page.name}.{os.getpid()}")
    beside.write_text(text)
    beside.replace(page)


def _sections(text: str) -> dict[str, str]:
    found = re.finditer(r"^<!-- part: (\w+) -->\n(.*?)^<!-- end: \1 -->$", text, re.MULTILINE | re.DOTALL)
    return {one[1]: one[2] for one in found}
