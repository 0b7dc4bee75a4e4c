"""What the .kwx says of each spike: its features, and from them where on the shank it was."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import EphysError
from .clusters import Found

Floats = NDArray[np.float32]
#: So many numbers are read at once.
AT_ONCE = 8_000_000


def read(kwx: Path, found: Found, picked: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """(Where each spike was (n × 2, µm), the features of the spikes ``picked`` (m × channels × components)).

    A spike's place is the mean of its channels' positions, weighed with the square of the first component there: the
    centre of mass that phy's depth is (phylib.io.model, get_depths), masked channels left out.
    """
    import h5py

    n, channels = len(found.samples), len(found.channels)
    if not n:
        return np.empty((0, 2), dtype=np.float32), np.empty((0, channels, 1), dtype=np.float32)
    try:
        with h5py.File(kwx, "r") as file:
            data = file[f"channel_groups/{found.number}/features_masks"]
            if len(data.shape) != 3 or data.shape[1] % channels:
                raise ValueError(f"shank {found.number} has {data.shape[1]} features for {channels} channels")
            components = data.shape[1] // channels
            places = np.empty((n, 2), dtype=np.float32)
            features = np.empty((len(picked), channels, components), dtype=np.float32)
            order = np.argsort(found.rows[picked])
            wanted = found.rows[picked][order]
            batch = max(1, AT_ONCE // (2 * data.shape[1]))
            for begin in range(0, n, batch):
                both = data[begin : begin + batch]
                first = both[:, ::components, :]
                weights = np.square(first[..., 0]) * (first[..., 1] > 0)
                lone = weights.sum(axis=1) <= 0
                weights[lone] = np.square(first[lone, :, 0]) + 1e-12
                places[begin : begin + len(both)] = weights @ found.positions / weights.sum(axis=1, keepdims=True)
                low, high = np.searchsorted(wanted, (begin, begin + len(both)))
                features[order[low:high]] = both[wanted[low:high] - begin, :, 0].reshape(-1, channels, components)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise EphysError(f"{kwx} cannot be read ({said}): run the klusta stage again") from None
    return places[found.rows], features
