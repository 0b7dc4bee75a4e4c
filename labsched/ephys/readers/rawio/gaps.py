"""Gaps that a format tells of and neo does not make segments of: found in the samples' own numbers."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import times
from labsched.ephys.readers.rawio import mapped, plexon
from labsched.ephys.readers.rawio.header import unreadable
from labsched.ephys.readers.rawio.kinds import Kind

LUMP = 1 << 24  # bytes


def runs(
    kind: Kind, reader: Any, path: Path, where: tuple[int, int], stream: int, size: int, start_s: float, rate: float
) -> list[times.Run]:
    """The runs without a gap of a segment of neo's, `where` = (block, segment), that has `size` samples.

    Raises EphysError where the numbers go back, or there are not as many as samples.
    """
    whole = [times.Run(0, size, start_s)]
    if kind.name == "Intan":
        stamps = getattr(reader, "_raw_data", {})["timestamp"]
        stamps = stamps[0] if isinstance(stamps, list) else stamps
        return _of_numbers(kind, path, _pieces(stamps), 1, size, rate)
    if kind.name == "Open Ephys (legacy)":
        maps = getattr(reader, "_sigs_memmap", {}).get(where[1], {})
        found = [_of_records(kind, path, each["timestamp"], rate) for each in maps.values()]
        if any(each != found[0] for each in found):
            raise unreadable(path, kind.name, "its channels do not have the same gaps")
        return found[0] if found else whole
    if kind.name == "Plexon":
        plexon.check(reader, path, stream)
        return plexon.runs(reader, stream, start_s, rate)
    if kind.name == "Open Ephys (binary)":
        numbers = _sample_numbers(kind, reader, where, stream)
        if numbers is not None:
            first = int(numbers[0]) if len(numbers) else 0
            made = _of_numbers(kind, path, _pieces(numbers), 1, size, rate)
            return [times.Run(run.first, run.count, run.start_s - first / rate + start_s) for run in made]
    return whole


def _pieces(stamps: Any) -> Iterator[NDArray]:
    # Stamps may lie apart, between samples: what counts is the stretch of the file.
    step = max(LUMP // max(abs(stamps.strides[0]), 1), 1)
    for begin in range(0, len(stamps), step):
        yield np.asarray(stamps[begin : begin + step]).ravel().astype(np.float64)
        mapped.forget()


def _of_numbers(
    kind: Kind, path: Path, pieces: Iterator[NDArray], interval: int, size: int, rate: float
) -> list[times.Run]:
    try:
        found = times.runs_of_stream(pieces, float(interval))
    except times.Backwards as error:
        raise unreadable(path, kind.name, f"the numbers of its samples go back at sample {error.args[0]}") from None
    count = sum(run.count for run in found)
    if count != size:
        raise unreadable(path, kind.name, f"it has {size} samples but {count} times: it was cut short")
    return [times.Run(run.first, run.count, run.start_s / rate) for run in found]


def _of_records(kind: Kind, path: Path, stamps: NDArray, rate: float) -> list[times.Run]:
    """Records of 1024 samples each; neo counts samples by their numbers, so that what is missing counts too."""
    numbers = np.asarray(stamps, dtype=np.float64)
    cuts = [0, *(np.flatnonzero(np.diff(numbers) != 1024) + 1).tolist(), len(numbers)]
    return [
        times.Run(int(numbers[a] - numbers[0]), (b - a) * 1024, float(numbers[a]) / rate) for a, b in pairwise(cuts)
    ]


def _sample_numbers(kind: Kind, reader: Any, where: tuple[int, int], stream: int) -> NDArray | None:
    """What lies beside continuous.dat; versions before 0.6 called it timestamps.npy, and later ones mean seconds."""
    buffer = str(reader.header["signal_streams"][stream]["buffer_id"])
    data = Path(reader.get_analogsignal_buffer_description(*where, buffer)["file_path"])
    for name in ("sample_numbers.npy", "timestamps.npy"):
        beside = data.parent / name
        if not beside.is_file():
            continue
        try:
            numbers = np.load(beside, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise EphysError(
                f"cannot read {beside}: it is damaged or cut short ({error}): copy it here again"
            ) from None
        if numbers.ndim == 1 and numbers.dtype.kind in "iu":
            return numbers
    return None
