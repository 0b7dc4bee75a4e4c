"""A sorting of any sorter as klusta's files: what reads .kwik and .kwx (metrics, report, exports, phy) reads it.

Spikes and clusters are the sorter's; features and masks are made here, as klusta makes them: principal components of
each channel's band-passed waveforms, and masks from 0 at the weak threshold to 1 at the strong one. Clusters are
numbered from 2 on, for 0 and 1 are klusta's own noise and multi-unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..klusta.stage import Input
from ..qc.traces import Traces, open_traces

Floats = NDArray[np.float32]
FIRST = 2
GROUPS = ("Noise", "MUA", "Good", "Unsorted")
UNSORTED = 3


@dataclass(frozen=True)
class Found:
    """A shank and what a sorter found on it: columns of the data, places (µm), edges, spikes (samples, rising) and the
    unit of each, from 0."""

    number: int
    channels: tuple[int, ...]
    positions: tuple[tuple[float, float], ...]
    edges: tuple[tuple[int, int], ...]
    samples: NDArray[np.int64] = field(repr=False)
    units: NDArray[np.int64] = field(repr=False)


def write(work: Path, data: Input, found: Sequence[Found], sorter: str) -> None:
    """NAME.kwik and NAME.kwx in ``work``, whole; raises OSError, and EphysError where the data cannot be read."""
    import h5py

    traces = open_traces(data)
    for suffix in (".kwik", ".kwx"):
        with h5py.File(work / f"{data.name}{suffix}", "w") as file:
            file.attrs.update(
                {"creator_version": _text(f"labsched {sorter}"), "kwik_version": 2,
                 "name": np.bytes_(str(data.folder / data.name))}
            )  # fmt: skip
            for shank in found:
                group = file.create_group(f"channel_groups/{shank.number}")
                if suffix == ".kwx":
                    _features(group, shank, data, traces)
                else:
                    _shank(group, shank)
            if suffix == ".kwik":
                _around(file, data)


def _around(file: Any, data: Input) -> None:
    """What stands beside the shanks: the one recording, and what klusta says of how it detects."""
    recording = file.create_group("recordings/0")
    recording.attrs.update(
        {"name": _text("recording_0"), "sample_rate": data.rate, "start_sample": 0, "start_time": 0.0}
    )
    raw = recording.create_group("raw")
    if data.raw[0].name.endswith(".kwd"):
        raw.attrs["hdf5_path"] = _text(str(data.raw[0]))
    else:
        raw.attrs["dat_path"] = _text(str(data.raw[0]))
    said = data.params.table()["spikedetekt"] | {
        "experiment_name": f"{data.name}.kwik", "prb_file": str(data.prb), "raw_data_files": str(data.raw[0]),
        "sample_rate": data.rate, "n_channels": data.channels, "dtype": data.dtype, "voltage_gain": data.gain or 1.0,
    }  # fmt: skip
    attributes = file.create_group("application_data/spikedetekt").attrs
    for key, value in said.items():
        attributes[key] = _text(value) if isinstance(value, str) else int(value) if isinstance(value, bool) else value


def _shank(group: Any, shank: Found) -> None:
    group.attrs["channel_order"] = np.array(shank.channels, dtype=np.int32)
    group.attrs["adjacency_graph"] = np.array(shank.edges, dtype=np.int32).reshape(-1, 2)
    for channel, place in zip(shank.channels, shank.positions, strict=True):
        attributes = group.create_group(f"channels/{channel}").attrs
        attributes.update({"name": _text(str(channel)), "position": np.array(place, dtype=np.float32)})
    clusters = (shank.units + FIRST).astype(np.int32)
    for clustering in ("main", "original"):
        for k, name in enumerate(GROUPS):
            entry = group.create_group(f"cluster_groups/{clustering}/{k}")
            entry.attrs["name"] = _text(name)
            entry.create_group("application_data/klustaviewa").attrs["color"] = k + 1
        group.create_group(f"clusters/{clustering}")
        for cluster in np.unique(clusters):
            entry = group.create_group(f"clusters/{clustering}/{cluster}")
            entry.attrs["cluster_group"] = UNSORTED
            entry.create_group("application_data/klustaviewa").attrs["color"] = int(cluster) % 10 + 1
    if not len(clusters):
        return
    spikes = group.create_group("spikes")
    spikes["time_samples"] = shank.samples.astype(np.uint64)
    spikes["time_fractional"] = np.zeros(len(clusters), dtype=np.uint8)
    spikes["recording"] = np.zeros(len(clusters), dtype=np.int32)
    spikes["clusters/main"] = clusters
    spikes["clusters/original"] = clusters


def _features(group: Any, shank: Found, data: Input, traces: Traces) -> None:
    n = len(shank.samples)
    if not n:
        return
    detect = data.params.spikedetekt
    columns = np.array(shank.channels, dtype=np.int64)
    before, after = detect.extract_s_before, detect.extract_s_after
    count = min(detect.n_features_per_channel, before + after)
    sign = {"negative": -1.0, "positive": 1.0}.get(detect.detect_spikes, 0.0)
    noise = np.maximum(traces.noise(columns)[0], np.float32(1e-6))
    weak, strong = detect.threshold_weak_std_factor * noise, detect.threshold_strong_std_factor * noise

    def masks(waves: Floats) -> Floats:
        peak = (np.abs(waves) if not sign else sign * waves).max(axis=2)
        return np.clip((peak - weak) / np.maximum(strong - weak, 1e-6), 0, 1).astype(np.float32)

    some = np.linspace(0, n - 1, min(n, detect.pca_n_waveforms_max)).astype(np.int64)
    pieces = [waves for _, waves in traces.snippets(shank.samples[some], columns, before, after)]
    principal = components(np.concatenate(pieces), np.concatenate([masks(waves) for waves in pieces]), count)
    out = group.create_dataset("features_masks", (n, len(columns) * count, 2), np.float32)
    for which, waves in traces.snippets(shank.samples, columns, before, after):
        features = np.einsum("nct,ckt->nck", waves, principal).reshape(len(waves), -1)
        out[which] = np.stack([features, np.repeat(masks(waves), count, axis=1)], axis=2)


def components(waves: Floats, masks: Floats, count: int) -> Floats:
    """The first principal components (channels × count × time) of each channel's waveforms (spikes × channels × time)
    that are not masked, as klusta.traces.pca finds them."""
    n, channels, width = waves.shape
    found = np.empty((channels, count, width), dtype=np.float32)
    for c in range(channels):
        kept = waves[masks[:, c] > 0, c].astype(np.float64)
        covariance = np.eye(width) / n
        if len(kept) > 1:
            covariance += np.cov(kept, rowvar=False)
        found[c] = np.linalg.eigh(covariance)[1][:, ::-1][:, :count].T
    return found


def _text(word: str) -> NDArray[np.bytes_]:
    return np.array([word.encode()])
