"""phy's template format: the folder NAME.phy, which ``phy template-gui NAME.phy/params.py`` opens, wherever it lies.

The format is that of Kilosort's results as phy reads them (phylib.io.model). Clusters are numbered from 0 over all
shanks: phy knows no shanks of its own. klusta's features are the components, on the channels nearest to each unit's
peak; a template is a unit's mean waveform, in bits; amplitudes are of each spike's features, 1 for
the unit's typical one.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..qc.units import Shank, Sorted, Unit
from .place import at_hand

#: Templates and features are kept on so many channels at most.
CHANNELS = 16
#: So many numbers of the .kwx are read at once.
AT_ONCE = 4_000_000
#: Of the columns that phy shows, beside its own.
SHOWN = ("unit", "label", "snr", "isi_violations_ratio", "presence_ratio", "amplitude_cutoff", "isolation_distance")


def write(found: Sorted, rows: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Write it all into a new folder; returns what a person should know. Raises OSError, EphysError."""
    folder.mkdir()
    raw = found.data.raw[0]
    linked = at_hand(raw, folder / "recording.dat")
    shanks = [shank for shank in found.shanks if len(shank.columns)]
    _params(found, folder)
    _channels(shanks, folder)
    near = _near(found, shanks)
    _templates(found, shanks, near, folder)
    _spikes(found, shanks, near, folder)
    _tables(found, rows, folder)
    return "" if linked else f"the de-noised data were copied into it ({raw.stat().st_size / 1e9:.1f} GB)"


def _params(found: Sorted, folder: Path) -> None:
    words = {
        "dat_path": "recording.dat", "n_channels_dat": found.data.channels, "dtype": found.traces.data.dtype.name,
        "offset": found.traces.offset, "sample_rate": found.rate, "hp_filtered": False,
    }  # fmt: skip
    text = "".join(f"{key} = {value!r}\n" for key, value in words.items())
    (folder / "params.py").write_text(text, encoding="utf-8")


def _channels(shanks: Sequence[Shank], folder: Path) -> None:
    positions = np.concatenate([shank.positions for shank in shanks]).astype(np.float64)
    if len(np.unique(positions, axis=0)) < len(positions):
        # phy draws channels in a line where two lie at one place: shanks are drawn side by side instead
        step = 100.0 + np.ptp(positions[:, 0])
        positions = np.concatenate([shank.positions + np.array([k * step, 0.0]) for k, shank in enumerate(shanks)])
    np.save(folder / "channel_map.npy", np.concatenate([shank.columns for shank in shanks]).astype(np.int32))
    np.save(folder / "channel_positions.npy", positions)
    numbers = np.repeat([shank.number for shank in shanks], [len(shank.columns) for shank in shanks])
    np.save(folder / "channel_shanks.npy", numbers.astype(np.int32))


def _near(found: Sorted, shanks: Sequence[Shank]) -> list[NDArray[np.int64]]:
    """For each unit the channels (of its shank) that lie nearest to its peak."""
    by_number = {shank.number: shank for shank in shanks}
    near = []
    for unit in found.units:
        places = by_number[unit.shank].positions
        away = np.linalg.norm(places - places[unit.peak], axis=1)
        near.append(np.sort(np.argsort(away, kind="stable")[:CHANNELS]))
    return near


def _templates(found: Sorted, shanks: Sequence[Shank], near: list[NDArray[np.int64]], folder: Path) -> None:
    # phylib drops axes of length 1: there are always two of each
    count, width = max(len(found.units), 2), max(2, *(len(each) for each in near))
    first = dict(zip((s.number for s in shanks), np.cumsum([0, *(len(s.columns) for s in shanks)]), strict=False))
    channels = np.full((count, width), -1, dtype=np.int32)
    templates = np.zeros((count, len(found.units[0].mean), width), dtype=np.float32)
    similar = np.eye(count, dtype=np.float32)
    for k, (unit, columns) in enumerate(zip(found.units, near, strict=True)):
        channels[k, : len(columns)] = columns + first[unit.shank]
        templates[k, :, : len(columns)] = unit.mean[:, columns] / found.traces.gain
        for other, second in enumerate(found.units[:k]):
            if second.shank == unit.shank:
                similar[k, other] = similar[other, k] = _alike(unit, second)
    np.save(folder / "templates.npy", templates)
    np.save(folder / "template_ind.npy", channels)
    np.save(folder / "pc_feature_ind.npy", channels)
    np.save(folder / "similar_templates.npy", similar)
    every = sum(len(shank.columns) for shank in shanks)
    for name in ("whitening_mat.npy", "whitening_mat_inv.npy"):
        np.save(folder / name, np.eye(every))


def _alike(one: Unit, two: Unit) -> float:
    """The correlation of two mean waveforms."""
    a, b = one.mean.ravel().astype(np.float64), two.mean.ravel().astype(np.float64)
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0


def _spikes(found: Sorted, shanks: Sequence[Shank], near: list[NDArray[np.int64]], folder: Path) -> None:
    samples = np.concatenate([shank.samples for shank in shanks])
    begins = np.cumsum([0, *(len(shank.samples) for shank in shanks)])
    order = np.argsort(samples, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    ids = np.empty(len(samples), dtype=np.int32)
    start = dict(zip((shank.number for shank in shanks), begins, strict=False))
    for k, unit in enumerate(found.units):
        ids[start[unit.shank] + unit.spikes] = k
    np.save(folder / "spike_times.npy", samples[order].astype(np.uint64))
    for name in ("spike_clusters.npy", "spike_templates.npy"):
        np.save(folder / name, ids[order])
    _features(found, shanks, near, folder, begins, place, ids)


def _features(
    found: Sorted,
    shanks: Sequence[Shank],
    near: list[NDArray[np.int64]],
    folder: Path,
    begins: NDArray[np.int64],
    place: NDArray[np.int64],
    ids: NDArray[np.int32],
) -> None:
    """Features and amplitudes of all spikes, piece by piece, from the .kwx to files that are mapped."""
    import h5py

    components = max(shank.features.shape[2] for shank in shanks if len(shank.samples))
    width = max(2, *(len(each) for each in near))
    out = np.lib.format.open_memmap(
        folder / "pc_features.npy", mode="w+", dtype=np.float32, shape=(len(ids), components, width)
    )
    norms = np.zeros(len(ids), dtype=np.float32)
    columns = np.full((len(found.units), width), -1)
    for k, each in enumerate(near):
        columns[k, : len(each)] = each
    with h5py.File(found.folder / f"{found.name}.kwx", "r") as file:
        for shank, begin in zip(shanks, begins[:-1], strict=True):
            if not len(shank.samples):
                continue
            data = file[f"channel_groups/{shank.number}/features_masks"]
            # rows of the file, to spikes of the shank
            back = np.empty_like(shank.rows)
            back[shank.rows] = np.arange(len(shank.rows))
            batch = max(1, AT_ONCE // (2 * data.shape[1]))
            for first in range(0, len(back), batch):
                rows = data[first : first + batch, :, 0].reshape(-1, len(shank.columns), shank.features.shape[2])
                spikes = begin + back[first : first + len(rows)]
                wanted = columns[ids[spikes]]
                taken = np.take_along_axis(rows, np.maximum(wanted, 0)[:, :, None], axis=1)
                taken[wanted < 0] = 0
                out[place[spikes], : taken.shape[2]] = taken.transpose(0, 2, 1)
                norms[spikes] = np.linalg.norm(taken[:, :, 0], axis=1)
    out.flush()
    amplitudes = np.ones(len(ids), dtype=np.float64)
    for k in range(len(found.units)):
        own = ids == k
        typical = float(np.median(norms[own]))
        if typical > 0:
            amplitudes[own] = norms[own] / typical
    whole = np.empty_like(amplitudes)
    whole[place] = amplitudes
    np.save(folder / "amplitudes.npy", whole)


def _tables(found: Sorted, rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """cluster_group.tsv: what people said, and klusta's own noise and multi-unit; the rest in columns of its own."""
    groups = [unit.special if unit.group == "unsorted" and unit.special else unit.group for unit in found.units]
    _tsv(folder / "cluster_group.tsv", ("group",), [(group,) for group in groups])
    shanks = [(unit.shank, row["channel"]) for unit, row in zip(found.units, rows, strict=True)]
    _tsv(folder / "cluster_shank.tsv", ("shank", "channel"), shanks)
    _tsv(folder / "cluster_metrics.tsv", SHOWN, [tuple(row[key] for key in SHOWN) for row in rows])


def _tsv(path: Path, keys: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(("cluster_id", *keys))
        writer.writerows((k, *("" if value is None else value for value in row)) for k, row in enumerate(rows))
