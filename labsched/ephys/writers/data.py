"""The int16 samples of the result: klusta's .raw.kwd, or a flat .dat."""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sink:
    """An open file of `width` int16 a sample whose samples begin at byte `begin`."""

    fd: int
    begin: int
    width: int

    def put(self, sample: int, values: NDArray[np.int16]) -> None:
        """Write values (n, width), C order, from sample index `sample` on; from any thread. Raises OSError."""
        data = np.ascontiguousarray(values).data.cast("B")
        at = self.begin + sample * self.width * 2
        while data:
            done = os.pwrite(self.fd, data, at)
            data, at = data[done:], at + done


@contextmanager
def dat(path: Path, n_samples: int, width: int) -> Iterator[Sink]:
    """A flat .dat: nothing but int16, little-endian, sample by sample."""
    with path.open("wb") as file:
        yield Sink(file.fileno(), 0, width)


@contextmanager
def kwd(
    path: Path, n_samples: int, width: int, *, rate: float, uv_per_bit: float, name: str, labels: Sequence[str]
) -> Iterator[Sink]:
    """klusta's .raw.kwd: HDF5 with everything in ``recordings/0/data`` (samples × channels, int16).

    One recording, whatever the gaps: klusta 3 takes its recordings in the order of their names as text (0, 1, 10, 2),
    so that more than ten would be mixed up; and it concatenates them anyway. The JSON says which sample is of when.

    HDF5 only lays out the file. The samples go to their place by ourselves: several threads can write at once, and a
    full disk is an ordinary error instead of one while HDF5 closes the file.
    """
    try:
        begin = _laid_out(path, (n_samples, width), rate, uv_per_bit, name, labels)
    except RuntimeError as error:
        # HDF5 grows the file when it closes it, and says why it could not only in words.
        found = re.search(r"errno = (\d+)", str(error))
        raise OSError(
            int(found[1]) if found else errno.EIO, os.strerror(int(found[1])) if found else str(error)
        ) from None
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield Sink(fd, begin, width)
    finally:
        os.close(fd)


def _laid_out(
    path: Path, shape: tuple[int, int], rate: float, uv_per_bit: float, name: str, labels: Sequence[str]
) -> int:
    """Write all of the .kwd but its samples; where in the file these begin (bytes)."""
    import h5py

    with h5py.File(path, "w", locking="best-effort", libver=("earliest", "v110")) as file:
        file.attrs["kwik_version"] = 2
        recording = file.create_group("recordings/0")
        recording.attrs["name"] = name
        recording.attrs["start_time"] = 0.0
        recording.attrs["start_sample"] = 0
        recording.attrs["sample_rate"] = rate
        recording.attrs["bit_depth"] = 16
        about = recording.create_group("application_data")
        about.attrs["channel_bit_volts"] = np.full(shape[1], uv_per_bit * 1e-6)
        about.attrs["labels"] = " ".join(labels)
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_layout(h5py.h5d.CONTIGUOUS)
        create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        create.set_obj_track_times(False)  # the same data give the same file, to the bit
        create.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(recording.id, b"data", h5py.h5t.STD_I16LE, space, create)
        return int(dataset.get_offset())
