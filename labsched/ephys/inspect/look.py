"""Looking at a recording: which of its channels are bad, from a bounded sample, with what a picture needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.inspect.measure import Floats, Measures, measure
from labsched.ephys.inspect.sample import LEAST, windows
from labsched.ephys.inspect.verdict import Finding, Verdict, judge
from labsched.ephys.probes import Layout
from labsched.ephys.recording import Recording, natural


@dataclass(frozen=True)
class Look:
    """What was seen: `labels` (c,) of the kept channels, where they lie (µm, shank numbers), measures and verdict."""

    labels: tuple[str, ...]
    positions: Floats
    shanks: NDArray[np.int64]
    measures: Measures
    verdict: Verdict

    @property
    def bad(self) -> tuple[str, ...]:
        """The labels of the bad channels, in natural order."""
        return tuple(sorted((self.labels[each.channel] for each in self.verdict.findings), key=natural))

    def said(self, finding: Finding) -> str:
        """A finding as a sentence: ``Port_3 is noisy: ...``."""
        return f"{self.labels[finding.channel]} {words(finding.kind)}: {finding.reason}"

    def told(self) -> list[dict[str, str]]:
        """The findings, for JSON."""
        return [
            {"channel": self.labels[each.channel], "kind": each.kind, "reason": each.reason}
            for each in self.verdict.findings
        ]


def words(kind: str) -> str:
    """A kind within a sentence."""
    return {"not a number": "has no numbers", "outside": "is out of the brain"}.get(kind, f"is {kind}")


def enough(recording: Recording) -> bool:
    """Whether there is anything to look at."""
    return max(segment.n_samples for segment in recording.segments) >= LEAST


def look(recording: Recording, layout: Layout, seconds: float | None = None, threads: int = 1) -> Look:
    """Look at an open recording; with `seconds`, at less of it where more time than that has passed.

    What is seen does not depend on `threads`.
    """
    positions, shanks = places(layout)
    segments = recording.segments
    measures = measure(
        windows(recording, seconds),
        recording.rate,
        [segment.gains for segment in segments],
        [segment.shifts for segment in segments],
        threads,
    )
    return Look(recording.labels, positions, shanks, measures, judge(measures, positions, shanks, recording.gain_known))


def places(layout: Layout) -> tuple[Floats, NDArray[np.int64]]:
    """Where each kept channel lies: (c, 2) µm, and the number of its shank (c,)."""
    positions = np.zeros((len(layout.labels), 2))
    shanks = np.zeros(len(layout.labels), dtype=np.int64)
    for group in layout.groups:
        positions[list(group.channels)] = group.geometry
        shanks[list(group.channels)] = group.number
    return positions, shanks
