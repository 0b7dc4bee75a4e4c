"""From what was found in all chunks to what klusta writes: principal components, features, masks and times."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .chunks import Chunk, Found
from .segments import Segment, read
from .settings import Settings


@dataclass
class Kept:
    """The segments in their files, gone through from the first to the last."""

    folder: Path
    fingerprint: str
    segments: Sequence[Segment]
    settings: Settings
    components: int = 0
    spikes: Counter[int] = field(default_factory=Counter)

    def chunks(self) -> Iterator[tuple[Chunk, Found]]:
        """Each chunk and what is in it."""
        for segment in self.segments:
            found = read(self.folder, self.fingerprint, segment, check=False)
            yield from zip(segment.chunks, found, strict=True)

    def times(self) -> dict[int, NDArray[np.float64] | None]:
        """The times of each shank's spikes over all recordings, None without one; counts them on the way."""
        found: dict[int, list[NDArray[np.float64]]] = {group: [] for group in self.settings.groups}
        for chunk, each in self.chunks():
            self.components += len(each.times)
            for number, group in each.groups.items():
                found[number].append(each.times[group.components] + chunk.start)
                self.spikes[number] += len(group.components)
        return {number: np.concatenate(times) if times else None for number, times in found.items()}

    def principal(self) -> dict[int, Any]:
        """Each shank's principal components, of every n-th component of each chunk; after `times`."""
        from klusta.traces.pca import PCA

        step = int(self.components / float(self.settings.waveforms_max))
        waveforms: dict[int, list[NDArray]] = {group: [] for group in self.settings.groups}
        masks: dict[int, list[NDArray]] = {group: [] for group in self.settings.groups}
        for chunk, found in self.chunks():
            for number, rows in _subset(chunk, found, step).items():
                waveforms[number].append(found.groups[number].waveforms[rows])
                masks[number].append(found.groups[number].masks[rows])
        pca = PCA(n_pcs=self.settings.features)
        return {
            number: pca.fit(np.concatenate(waveforms[number]), np.concatenate(masks[number])) if waves else None
            for number, waves in waveforms.items()
        }

    def masks(self, number: int) -> Iterator[NDArray]:
        """The masks of a shank, chunk by chunk."""
        for _, found in self.chunks():
            if number in found.groups:
                yield found.groups[number].masks

    def features(self, number: int, principal: Any) -> Iterator[NDArray]:
        """The features of a shank, chunk by chunk: (spikes, channels, features)."""
        from klusta.traces.pca import PCA

        pca = PCA(n_pcs=self.settings.features)
        for _, found in self.chunks():
            if number in found.groups:
                if principal is None:
                    raise ValueError(
                        f"shank {number} has too few spikes to find its principal components on: "
                        "raise spikedetekt.pca_n_waveforms_max"
                    )
                yield pca.transform(found.groups[number].waveforms, pcs=principal)


def _subset(chunk: Chunk, found: Found, step: int) -> dict[int, NDArray[np.intp]]:
    """Of every `step`-th component of a chunk, the kept ones by shank: rows of what is known of its spikes."""
    if not len(found.times):
        return {}
    some = np.arange(0, len(found.times), int(np.clip(step, 1, len(found.times))))
    some = some[np.argsort(found.times[some])]
    some = some[chunk.keeps(found.times[some])]
    chosen = {}
    for number in np.unique(found.group_of[some]):
        group = found.groups[int(number)]
        row = np.empty(len(found.times), np.intp)
        row[group.components] = np.arange(len(group.components))
        chosen[int(number)] = row[some[found.group_of[some] == number]]
    return chosen
