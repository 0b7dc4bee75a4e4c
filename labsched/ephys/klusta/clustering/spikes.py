"""The spikes of a shank as KlustaKwik2 has them: scaled features, those that are not masked only."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import mixture

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
ROWS = 10_000


@dataclass(frozen=True)
class Spikes:
    """Sparse spikes. Those of spike p are ``values[vstart[p]:]``, of the features ``unmasked[ustart[p]:uend[p]]``.

    Spikes with the same features unmasked share their place in ``unmasked``. ``terms`` are the correction terms,
    ``sizes`` (spikes) how many features are unmasked, in parts, and the noise's moments are by feature.
    """

    noise_mean: Reals
    noise_variance: Reals
    values: Reals
    masks: Reals
    terms: Reals
    unmasked: Whole
    ustart: Whole
    uend: Whole
    vstart: Whole
    sizes: Reals
    signed: bool
    c: mixture.Sparse = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = ("unmasked", "ustart", "uend", "vstart", "values", "masks", "terms", "noise_mean", "noise_variance")
        addresses = [getattr(self, name).ctypes.data for name in names]
        object.__setattr__(self, "c", mixture.Sparse(len(self.vstart), len(self.noise_mean), *addresses))

    def __len__(self) -> int:
        return len(self.vstart)

    @property
    def features(self) -> int:
        """How many features a spike has, the masked ones included."""
        return len(self.noise_mean)

    @property
    def kinds(self) -> int:
        """How many sets of unmasked features there are."""
        return len(np.unique(self.ustart))

    def subset(self, which: Whole) -> "Spikes":
        """Some of the spikes, in that order; they share their values."""
        return Spikes(
            self.noise_mean, self.noise_variance, self.values, self.masks, self.terms, self.unmasked,
            self.ustart[which], self.uend[which], self.vstart[which], self.sizes[which], self.signed,
        )  # fmt: skip


def sparse(both: NDArray[Any]) -> Spikes:
    """Spikes from klusta's features_masks (spikes, features, 2), float32, read by and by."""
    n, features, _ = both.shape
    low, high = np.full(features, np.inf), np.full(features, -np.inf)
    total = 0
    for first in range(0, n, ROWS):
        part = both[first : first + ROWS]
        low, high = np.minimum(part[..., 0].min(axis=0), low), np.maximum(part[..., 0].max(axis=0), high)
        total += int((part[..., 1] > 0).sum())
    span = high - low
    span[span == 0] = 1
    sums = (np.zeros(features), np.zeros(features), np.zeros(features))
    values, masks, which = np.empty(total), np.empty(total), np.empty(total, dtype=np.int64)
    offsets, at = np.zeros(n + 1, dtype=np.int64), 0
    for first in range(0, n, ROWS):
        part = np.ascontiguousarray(both[first : first + ROWS], dtype=np.float32)
        own = np.empty(len(part) + 1, dtype=np.int64)
        found = mixture.sparse(part, low, span, sums, values[at:], masks[at:], which[at:], own)
        offsets[first : first + len(part) + 1] = own + at
        at += found
    count = sums[2]
    count[count == 0] = 1
    noise_mean = sums[0] / count
    noise_variance = sums[1] / count - noise_mean**2
    nu, rest = noise_mean[which], 1 - masks
    blended = masks * values + rest * nu
    terms = masks * values * values + rest * (nu * nu + noise_variance[which])
    terms -= blended * blended
    unmasked, ustart, uend = shared(which, offsets)
    return Spikes(
        noise_mean, noise_variance, blended, masks, terms, unmasked, ustart, uend, offsets[:-1].copy(),
        sizes(masks, offsets), bool((terms < 0).any() or (noise_variance < 0).any()),
    )  # fmt: skip


def shared(which: Whole, offsets: Whole) -> tuple[Whole, Whole, Whole]:
    """Each set of unmasked features once, in the order of its bytes, and where each spike's begins and ends."""
    known: dict[bytes, int] = {}
    each = np.empty(len(offsets) - 1, dtype=np.int64)
    raw, at = memoryview(which.tobytes()), (offsets * which.itemsize).tolist()
    for p in range(len(each)):
        each[p] = known.setdefault(bytes(raw[at[p] : at[p + 1]]), len(known))
    keys = sorted(known)
    lengths = np.array([len(key) // which.itemsize for key in keys], dtype=np.int64)
    ends = np.cumsum(lengths)
    rank = np.empty(len(keys), dtype=np.int64)
    rank[[known[key] for key in keys]] = np.arange(len(keys))
    order = rank[each]
    unmasked = np.frombuffer(b"".join(keys), dtype=np.int64).copy()
    return unmasked, (ends - lengths)[order], ends[order]


def sizes(masks: Reals, offsets: Whole) -> Reals:
    """The sums of each spike's masks. KlustaKwik2 leaves out the last spike that has any, and so must we."""
    starts = offsets[:-1]
    n = int(np.searchsorted(starts, len(masks), side="left")) - 1
    return np.hstack((np.add.reduceat(masks, starts[:n]), np.zeros(len(starts) - n)))
