"""The table of accuracies, and the verdict on labsched's default."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

from benchmarks import page
from benchmarks.scheduler import machine
from benchmarks.scheduler.figures import Table

from . import families, rows

ABOUT = """\
## How well klusta sorts what each de-noiser leaves

Synthetic recordings whose spikes are known, by families: a probe, how unequal the channels' shares of the common noise
are (per cent), artefacts (movements and saturations), mains hum. klusta sorts what each de-noiser leaves, with its
defaults and a fixed seed; the figure is the mean accuracy of the known units of 60 µV or more. "Clean" has no common
noise, hum or artefacts at all; it is no ceiling, since klusta's clustering fails in ways of its own, and a regression
takes away more than the common noise. "Best of each" is the mean of the best peer of every single recording.
"""

#: Mean accuracy by row, for each family and seed.
Found = dict[tuple[families.Family, int], dict[str, float]]
#: So much worse than the best peer may the default be on a family.
SLACK = 0.01


@dataclass(frozen=True)
class Verdict:
    """Whether the default keeps what is promised of it, and the sentences that say so."""

    good: bool
    lines: tuple[str, ...]


def _mean(found: Found, row: str, of: Sequence[tuple[families.Family, int]]) -> float:
    return statistics.mean(found[each][row] for each in of)


def _best(values: Mapping[str, float]) -> str:
    return max((row for row in rows.PEERS if row in values), key=lambda row: values[row])


def table(found: Found, names: Sequence[str]) -> Table:
    """A line a family: each row's mean over the seeds, the best peer of the family, and how far ahead of it we are."""
    head = ["family", "recordings", *names, "best peer", "ours less it", "best of each", "ours less that"]
    lines = []
    groups = {family.name: [each for each in found if each[0] == family] for family, _ in found}
    for probe in dict.fromkeys(family.probe for family, _ in found):
        those = [each for each in found if each[0].probe == probe]
        if len({family for family, _ in those}) > 1:
            groups[f"all {probe}"] = those
    groups["all"] = list(found)
    for name, those in groups.items():
        means = {row: _mean(found, row, those) for row in names}
        line = [name, str(len(those)), *(f"{means[row]:.3f}" for row in names)]
        if "labsched" in means and any(row in rows.PEERS for row in names):
            best, each = _best(means), statistics.mean(found[one][_best(found[one])] for one in those)
            line += [f"{best} {means[best]:.3f}", f"{means['labsched'] - means[best]:+.3f}"]
            line += [f"{each:.3f}", f"{means['labsched'] - each:+.3f}"]
        else:
            line += ["", "", "", ""]
        lines.append(line)
    return Table(head, lines)


def text(found: Found, names: Sequence[str]) -> str:
    """The table for the terminal."""
    return table(found, names).markdown()


def verdict(found: Found) -> Verdict:
    """Never worse than a family's best peer by more than .01, and in the mean above each recording's best peer."""
    if not all("labsched" in one and any(row in rows.PEERS for row in one) for one in found.values()):
        return Verdict(True, ("no verdict: it takes labsched's row and a peer's",))
    bad = []
    for family in dict.fromkeys(family for family, _ in found):
        those = [each for each in found if each[0] == family]
        means = {row: _mean(found, row, those) for row in found[those[0]]}
        best = _best(means)
        if means["labsched"] < means[best] - SLACK:
            bad.append(f"{family.name}: {means['labsched']:.3f}, {best} {means[best]:.3f}")
    ours = _mean(found, "labsched", list(found))
    each = statistics.mean(one[_best(one)] for one in found.values())
    first = f"worse than the best peer by more than {SLACK} on {len(bad)} families" + (": " if bad else "")
    above = "above" if ours > each else "not above"
    second = f"in the mean {ours:.3f}, the best peer of each recording {each:.3f}: {above} it"
    return Verdict(not bad and ours > each, (first + "; ".join(bad), second))


def write(
    found: Found, names: Sequence[str], seconds: float, words: Sequence[str], page_file: Path = page.PAGE
) -> None:
    """Put table and verdict into docs/performance.md."""
    seeds = sorted({seed for _, seed in found})
    says = [f"{row}: {rows.TITLES[row].split(': ', 1)[-1]}" for row in names]
    command = f"make bench-accuracy SEEDS={','.join(map(str, seeds))}" + (
        f' FAMILIES="{" ".join(words)}"' if words else ""
    )
    versions = [f"{package} {metadata.version(package)}" for package in ("klusta", "klustakwik2", "numpy", "scipy")]
    lines = [
        ABOUT.strip(), f"Recordings of {seconds:g} s at 20 kHz. " + "; ".join(says) + ".", text(found, names),
        *(f"{line[0].upper()}{line[1:]}." for line in verdict(found).lines),
        f"`{command}` · {date.today()} · {machine.versions()}, {', '.join(versions)}",
    ]  # fmt: skip
    page.write(page_file, "", (), {"accuracy": "\n\n".join(lines)})
