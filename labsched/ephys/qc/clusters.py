"""The spikes and clusters of a .kwik, with what people have made of them since: groups, merges and splits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EphysError
from ..klusta import result

#: The .kwik's numbers of groups, which klusta and phy share.
GROUPS = {0: "noise", 1: "mua", 2: "good", 3: "unsorted"}


@dataclass(frozen=True)
class Found:
    """A shank as the files have it: ``rows`` says where each spike (by time) stands in them. ``positions`` in µm."""

    number: int
    channels: tuple[int, ...]
    positions: NDArray[np.float32]
    samples: NDArray[np.int64] = field(repr=False)
    clusters: NDArray[np.int64] = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)
    groups: Mapping[int, str]
    special: Mapping[int, str]


def read(kwik: Path) -> tuple[Found, ...]:
    """Every shank of a .kwik with its .kwx; EphysError (see `result.read`) where they do not open or fit."""
    import h5py

    shanks = result.read(kwik)
    try:
        with h5py.File(kwik, "r") as file:
            starts = {int(k): int(entry.attrs.get("start_sample", 0)) for k, entry in file["recordings"].items()}
            special = _special(file)
            return tuple(_found(shank, file[f"channel_groups/{shank.number}"], starts, special) for shank in shanks)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise EphysError(f"{kwik} cannot be read ({said}): run the klusta stage again") from None


def _special(file: Any) -> dict[int, str]:
    """Which clusters klusta kept for noise and for multi-unit activity: 0 and 1, unless it was told otherwise."""
    path = "application_data/klustakwik2"
    said = file[path].attrs if path in file else {}
    keys = {"noise": "use_noise_cluster", "mua": "use_mua_cluster"}
    return dict(enumerate(kind for kind, key in keys.items() if said.get(key, True)))


def _found(shank: result.Shank, group: Any, starts: Mapping[int, int], special: Mapping[int, str]) -> Found:
    rows = np.arange(len(shank.samples))
    if len(rows):
        samples = np.asarray(group["spikes/time_samples"], dtype=np.int64)
        offsets = np.array([starts.get(k, 0) for k in range(max(starts, default=0) + 1)])
        samples += offsets[np.asarray(group["spikes/recording"], dtype=np.int64)]
        rows = np.argsort(samples, kind="stable")
    entries = group.get("clusters/main", {})
    groups = {int(k): GROUPS.get(int(entries[k].attrs.get("cluster_group", 3)), "unsorted") for k in entries}
    places = [
        np.asarray(group[f"channels/{k}"].attrs.get("position", (0, 0)), dtype=np.float32) for k in shank.channels
    ]
    return Found(
        shank.number,
        shank.channels,
        np.array(places, dtype=np.float32).reshape(-1, 2),
        shank.samples,
        shank.clusters,
        rows,
        groups,
        special,
    )
