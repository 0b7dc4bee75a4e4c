"""How well a sorting found the units that are known to be there.

The comparison is the standard one of Magland et al. 2020 (SpikeForest, eLife 9:e55167) and Buccino et al. 2020
(SpikeInterface, eLife 9:e61834): spikes agree when they are no farther apart than a tolerance, each is used once;
accuracy = TP / (TP + FN + FP), precision = TP / (TP + FP), recall = TP / (TP + FN); each known unit is matched with at
most one sorted unit so that the sum of the accuracies is greatest (Hungarian method), shank by shank. klusta's
clusters 0 (noise) and 1 (multi-unit activity) are not units, and are not compared.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import EphysError
from .klusta.result import Shank, read
from .synth.truth import Truth, load

FOUND = 0.8
TOLERANCE_MS = 0.4
SHARED = 0.1


@dataclass(frozen=True)
class Match:
    """One known unit: ``amplitude`` in µV on its best kept channel, its spikes, and the cluster that it matched.

    ``cluster`` is None, and the three measures 0, where nothing agrees with it.
    """

    unit: str
    shank: int
    amplitude: float
    spikes: int
    cluster: int | None
    accuracy: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Comparison:
    """The whole of it. ``false`` are sorted units (shank, cluster, spikes) of which no known unit has a tenth."""

    matches: tuple[Match, ...]
    false: tuple[tuple[int, int, int], ...]
    sorted_units: int
    tolerance_ms: float

    @property
    def found(self) -> int:
        """How many known units have an accuracy of 0.8 or more."""
        return sum(match.accuracy >= FOUND for match in self.matches)


def agreeing(known: NDArray[np.float64], sorted_: NDArray[np.float64], tolerance: float) -> int:
    """How many spikes of two rising trains (same unit of time) can be paired within ``tolerance``, each used once.

    Pairing the earliest first gives the greatest number of pairs.
    """
    i = j = pairs = 0
    a, b = known.tolist(), sorted_.tolist()
    while i < len(a) and j < len(b):
        if abs(a[i] - b[j]) <= tolerance:
            pairs, i, j = pairs + 1, i + 1, j + 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return pairs


def compare(truth: Truth, sorting: Sequence[Shank], tolerance_ms: float = TOLERANCE_MS) -> Comparison:
    """Compare the known units with the sorted ones, shank by shank. Both count samples over all files from 0."""
    from scipy.optimize import linear_sum_assignment

    tolerance = tolerance_ms * 1e-3 * truth.rate
    shanks = {shank.number: shank for shank in sorting}
    matches: dict[str, Match] = {}
    false = []
    for number in sorted({unit.shank for unit in truth.units} | set(shanks)):
        units = [unit for unit in truth.units if unit.shank == number]
        shank = shanks.get(number)
        clusters = shank.units if shank is not None else ()
        trains = [np.sort(shank.samples[shank.clusters == k]).astype(float) for k in clusters if shank is not None]
        pairs = np.array(
            [[agreeing(np.sort(unit.samples), train, tolerance) for train in trains] for unit in units], dtype=float
        ).reshape(len(units), len(trains))
        had = np.array([len(unit.samples) for unit in units], dtype=float).reshape(-1, 1)
        got = np.array([len(train) for train in trains], dtype=float).reshape(1, -1)
        accuracy = pairs / np.maximum(had + got - pairs, 1.0)
        best = zip(*linear_sum_assignment(-accuracy), strict=True) if accuracy.size else ()
        partner = {int(row): int(column) for row, column in best}
        for row, unit in enumerate(units):
            column = partner.get(row, -1)
            hit = column >= 0 and pairs[row, column] > 0
            matches[unit.name] = Match(
                unit=unit.name,
                shank=number,
                amplitude=round(unit.amplitude, 1),
                spikes=len(unit.samples),
                cluster=int(clusters[column]) if hit else None,
                accuracy=round(float(accuracy[row, column]), 4) if hit else 0.0,
                precision=round(float(pairs[row, column] / got[0, column]), 4) if hit else 0.0,
                recall=round(float(pairs[row, column] / had[row, 0]), 4) if hit else 0.0,
            )
        for column, cluster in enumerate(clusters):
            if not len(units) or pairs[:, column].max() < SHARED * got[0, column]:
                false.append((number, int(cluster), len(trains[column])))
    return Comparison(
        tuple(matches[unit.name] for unit in truth.units),
        tuple(false),
        sum(len(shank.units) for shank in sorting),
        tolerance_ms,
    )


def table(comparison: Comparison) -> str:
    """The comparison as a table for people."""
    lines = [" unit   shank   µV   spikes   cluster   accuracy   precision   recall"]
    for m in comparison.matches:
        cluster = "–" if m.cluster is None else str(m.cluster)
        mark = "✓" if m.accuracy >= FOUND else " "
        lines.append(
            f" {m.unit:<6} {m.shank:>5} {m.amplitude:>5.0f} {m.spikes:>7,} {cluster:>9}   {m.accuracy:>6.2f} {mark}"
            f"   {m.precision:>7.2f}   {m.recall:>8.2f}"
        )
    lines.append(
        f"found {comparison.found} of {len(comparison.matches)} known units at {FOUND} accuracy; "
        f"{comparison.sorted_units} sorted units, {len(comparison.false)} of them false"
    )
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    """``python -m labsched.ephys evaluate``: print the comparison of a sorting with its ground truth."""
    parser = argparse.ArgumentParser(
        prog="python -m labsched.ephys evaluate",
        description="Compare a sorting with the ground truth of a synthetic block.",
        epilog="example: python -m labsched.ephys evaluate --target data/phy/demo --name demo "
        "--truth data/mat/demo.truth.h5",
    )
    parser.add_argument("--target", required=True, metavar="DIR", help="the folder with NAME.kwik")
    parser.add_argument("--name", required=True, help="name of the block")
    parser.add_argument("--truth", required=True, metavar="FILE", help="NAME.truth.h5, which synth wrote")
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE_MS, metavar="MS",
        help=f"spikes agree when they are this close, ms (default: {TOLERANCE_MS})",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(list(words))
    if not 0 < asked.tolerance < 100:
        raise EphysError(f"a tolerance of {asked.tolerance:g} ms makes no sense: give one such as {TOLERANCE_MS}")
    folder = Path(asked.target)
    truth = load(asked.truth)
    kwik = folder / f"{asked.name}.kwik"
    comparison = compare(truth, read(kwik), asked.tolerance)
    paths = [kwik, kwik.with_suffix(".kwx"), folder / f"{asked.name}.sorting.json"]
    if asked.json:
        print(
            json.dumps(
                {
                    "units": [asdict(match) for match in comparison.matches],
                    "found": comparison.found,
                    "known_units": len(comparison.matches),
                    "sorted_units": comparison.sorted_units,
                    "false_units": [
                        dict(zip(("shank", "cluster", "spikes"), f, strict=True)) for f in comparison.false
                    ],
                    "tolerance_ms": comparison.tolerance_ms,
                    "paths": [str(path) for path in paths],
                }
            )
        )
        return 0
    print(table(comparison))
    for path in paths:
        print(f"  {path}")
    return 0
