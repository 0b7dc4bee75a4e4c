"""What klusta wrote, read with h5py alone: usable or not, and the spikes and clusters of each shank."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import EphysError


@dataclass(frozen=True)
class Shank:
    """One sorted shank. ``samples`` counts over all recordings; ``clusters`` is klusta's cluster of each spike.

    ``special`` are the cluster numbers that are no units: 0 is noise and 1 is multi-unit activity, as far as
    KlustaKwik2 was told to keep them (it is, by default).
    """

    number: int
    channels: tuple[int, ...]
    samples: NDArray[np.int64] = field(repr=False)
    clusters: NDArray[np.int64] = field(repr=False)
    special: tuple[int, ...] = (0, 1)

    @property
    def units(self) -> tuple[int, ...]:
        """The clusters that may be units, rising."""
        return tuple(int(k) for k in np.unique(self.clusters) if int(k) not in self.special)


def read(kwik: str | Path) -> tuple[Shank, ...]:
    """The shanks in a .kwik with its .kwx beside it, as its clustering ``main`` says.

    Raises EphysError where either does not open, or where spikes, clusters and features do not go together.
    """
    import h5py

    kwik = Path(kwik)
    kwx = kwik.with_suffix(".kwx")
    for path in (kwik, kwx):
        if not path.is_file():
            raise EphysError(f"there is no {path}: run the klusta stage (again)")
    try:
        with h5py.File(kwik, "r") as spikes, h5py.File(kwx, "r") as features:
            starts = _starts(spikes)
            numbers = sorted(int(number) for number in spikes.get("channel_groups", {}))
            return tuple(_shank(kwik, spikes, features, number, starts) for number in numbers)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise EphysError(f"{kwik} and its .kwx cannot be read ({said}): run the klusta stage again") from None


def complete(kwik: Path) -> bool:
    """Whether a .kwik is a sorting that came to its end: every shank that has spikes has clusters."""
    try:
        shanks = read(kwik)
    except EphysError:
        return False
    return any(len(shank.samples) for shank in shanks)


def settle(work: Path, name: str, target: Path) -> None:
    """Make the files in ``work`` ready to be moved: the name that klusta wrote into them becomes the final one."""
    import h5py

    for suffix in (".kwik", ".kwx"):
        with h5py.File(work / f"{name}{suffix}", "r+") as file:
            file.attrs["name"] = np.bytes_(str(target / name))


def _starts(spikes: object) -> dict[int, int]:
    recordings = spikes.get("recordings", {})  # type: ignore[attr-defined]
    return {int(key): int(entry.attrs.get("start_sample", 0)) for key, entry in recordings.items()}


def _shank(kwik: Path, spikes: object, features: object, number: int, starts: dict[int, int]) -> Shank:
    group = spikes[f"channel_groups/{number}"]  # type: ignore[index]
    channels = tuple(int(k) for k in np.atleast_1d(group.attrs.get("channel_order", ())))
    if "spikes/time_samples" not in group:
        return Shank(number, channels, np.empty(0, np.int64), np.empty(0, np.int64))
    samples = np.asarray(group["spikes/time_samples"], dtype=np.int64)
    recordings = np.asarray(group["spikes/recording"], dtype=np.int64)
    if "spikes/clusters/main" not in group:
        if len(samples):
            raise EphysError(f"{kwik}: shank {number} has {len(samples):,} spikes but no clusters: sort it again")
        return Shank(number, channels, samples, np.empty(0, np.int64))
    clusters = np.asarray(group["spikes/clusters/main"], dtype=np.int64)
    path = f"channel_groups/{number}/features_masks"
    rows = features[path].shape[0] if path in features else 0  # type: ignore[index, operator]
    if not len(samples) == len(recordings) == len(clusters) == rows:
        raise EphysError(
            f"{kwik}: shank {number} has {len(samples):,} spikes, {len(clusters):,} clustered and {rows:,} with "
            "features: sort it again"
        )
    samples = samples + np.array([starts.get(int(k), 0) for k in range(max(starts, default=0) + 1)])[recordings]
    order = np.argsort(samples, kind="stable")
    return Shank(number, channels, samples[order], clusters[order], _special(spikes))


def _special(spikes: object) -> tuple[int, ...]:
    path = "application_data/klustakwik2"
    attributes = spikes[path].attrs if path in spikes else {}  # type: ignore[index, operator]
    kept = [bool(attributes.get(key, True)) for key in ("use_noise_cluster", "use_mua_cluster")]
    return tuple(range(sum(kept)))


def empty(shanks: Sequence[Shank]) -> list[int]:
    """The numbers of the shanks without a spike."""
    return [shank.number for shank in shanks if not len(shank.samples)]
