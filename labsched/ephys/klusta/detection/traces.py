"""The samples as klusta strings them together, read piece by piece from whatever process asks."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Part:
    """One recording: a file of samples in C order from `offset` on; or a dataset that is not laid out like that, by
    its name in the file; or samples in memory."""

    file: str
    offset: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    dataset: str = ""
    held: NDArray | None = None

    def read(self, start: int, stop: int) -> NDArray:
        """Rows from `start` to `stop`."""
        if self.held is not None:
            return self.held[start:stop]
        if self.dataset:
            return _opened(self.file, os.getpid())[self.dataset][start:stop]
        row = self.shape[1] * self.dtype.itemsize
        count = (stop - start) * self.shape[1]
        found = np.fromfile(self.file, self.dtype, count, offset=self.offset + start * row)
        if len(found) < count:
            raise OSError(f"{self.file} ends before its {self.shape[0]:,} samples: run the denoise stage again")
        return found.reshape(-1, self.shape[1])


@dataclass(frozen=True)
class Traces:
    """All recordings, one after the other."""

    parts: tuple[Part, ...]

    @property
    def n_samples(self) -> int:
        """Samples of each channel."""
        return sum(part.shape[0] for part in self.parts)

    @property
    def n_channels(self) -> int:
        """Channels in the files, those outside of the probe included."""
        return self.parts[0].shape[1]

    def read(self, start: int, stop: int) -> NDArray:
        """(samples, channels) from `start` to `stop`, or to the end where that comes before; of the files' own type."""
        found, first = [], 0
        for part in self.parts:
            low, high = max(start - first, 0), min(stop - first, part.shape[0])
            if low < high:
                found.append(part.read(low, high))
            first += part.shape[0]
        return found[0] if len(found) == 1 else np.concatenate(found)


def traces(arrays: Sequence[Any]) -> Traces:
    """The recordings behind numpy's memory maps and h5py's datasets."""
    return Traces(tuple(_part(array) for array in arrays))


def _part(array: Any) -> Part:
    if isinstance(array, np.memmap):
        return Part(str(array.filename), int(array.offset), array.shape, array.dtype)
    plain = array.chunks is None and array.external is None and not array.is_virtual
    offset = array.id.get_offset() if plain else None
    if offset is None:
        return Part(array.file.filename, 0, array.shape, array.dtype, array.name)
    return Part(array.file.filename, int(offset), array.shape, array.dtype)


@cache
def _opened(file: str, process: int) -> Any:
    """Each process has a handle of its own."""
    import h5py

    return h5py.File(file, "r")
