"""The tables of stage 1's speed and memory."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.scheduler.figures import Table

from .sides import Run

COPY, OURS = "plain copy, 8 MB blocks", "labsched, 2 threads"
BAND, MATLAB = "labsched, 2 threads, band-pass 300 to 6000 Hz", "labsched, 2 threads, MATLAB v7.3, realigned"
SI, SHIFTED = "SpikeInterface, {} job(s)", "SpikeInterface, 2 jobs, realigned"

ABOUT = """\
## Stage 1

{seconds:g} s of 32 channels at 25 kHz, {size:.2f} GB of int16, each from the start of a process to its end; MB of int16
input a second, medians. labsched references by regression; it hashes what it reads, and flushes what it writes to
disk. SpikeInterface: band-pass and common median, from and to a flat file; realigned: its `phase_shift` before that.
IBL's destripe: high-pass and k-filter, from and to a flat file. The quick ones ran once more beside each slow one. All
of it is in the page cache, as it is for the copy.
"""


@dataclass(frozen=True)
class Held:
    """Peak memory (bytes) by length (s)."""

    channels: int
    kind: str
    found: Sequence[tuple[float, int]]


def section(
    found: Mapping[str, Sequence[Run]], sizes: Mapping[str, int], memory: Sequence[Held], seconds: float, where: str
) -> str:
    """The section of the page: speed, ratios, memory, and what it was measured on."""
    walls = {name: statistics.median(run.wall for run in runs) for name, runs in found.items()}
    cpus = {name: statistics.median(run.cpu for run in runs) for name, runs in found.items()}
    rows = [
        [
            name, f"{sizes[name] / 1e6 / walls[name]:.0f}", f"{walls[COPY] / walls[name]:.2f}", f"{walls[name]:.1f}",
            f"{cpus[name]:.1f}", f"{max(run.rss for run in runs) / 1e6:.0f}",
        ]
        for name, runs in found.items()
    ]  # fmt: skip
    lines = [ABOUT.format(seconds=seconds, size=sizes[COPY] / 1e9).strip()]
    lines.append(Table(["", "MB/s", "of the copy", "wall, s", "CPU, s", "peak MB"], rows).markdown())
    lines += [f"{sentence}." for sentence in ratios(walls, cpus)]
    if memory:
        head = ["channels, from", *(f"{word} recording" for word in ("short", "long"))]
        held = [
            [f"{each.channels}, {each.kind}", *(f"{rss / 1e6:.0f} MB ({length:g} s)" for length, rss in each.found)]
            for each in memory
        ]
        lines += ["Peak memory, 2 threads, band-pass, as `.raw.kwd`:", Table(head, held).markdown()]
    return "\n\n".join([*lines, f"`make bench-denoise` · {where}"])


def ratios(walls: Mapping[str, float], cpus: Mapping[str, float]) -> list[str]:
    """What is to be reached, in sentences."""
    said = [
        f"labsched reaches {walls[COPY] / walls[OURS]:.2f} of the plain copy, {walls[COPY] / walls[BAND]:.2f} with a "
        "band-pass (to be reached: 0.5)"
    ]
    plain = [SI.format(jobs) for jobs in (1, 2) if SI.format(jobs) in walls]
    if plain:
        best = min(plain, key=lambda name: walls[name])
        said.append(
            f"It is {walls[best] / walls[OURS]:.1f} times as fast as {best} ({walls[best] / walls[BAND]:.1f} times "
            f"with the same band-pass; to be reached: 10), in {cpus[OURS] / cpus[best]:.3f} of its processor time"
        )
        said.append(
            f"From MATLAB v7.3 with realignment it is {walls[best] / walls[MATLAB]:.1f} times as fast as {best} is "
            "from a flat file without (to be reached: 3)"
        )
    if SHIFTED in walls:
        said[-1] += f", and {walls[SHIFTED] / walls[MATLAB]:.1f} times as fast as SpikeInterface with realignment"
    return said
