"""A finished block with as many units as wanted, written as both stages would: no klusta is needed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from labsched.ephys.klusta.params import write_prm
from labsched.ephys.probes import resolve

GAIN = 0.25
SHANK_UM = 300.0
COMPONENTS = 3


@dataclass(frozen=True)
class Finished:
    """Where it lies, where its raw recording is, and when each unit (shank, cluster) fired (samples)."""

    folder: Path
    name: str
    raw: Path
    trains: dict[tuple[int, int], np.ndarray]
    labels: tuple[str, ...]


def places(layout: str, sites: int) -> list[tuple[float, float]]:
    """Where the sites of a shank lie (µm): linear, tetrode, staggered or dense (four columns)."""
    if layout == "tetrode":
        return [(25.0 * (k % 2), 25.0 * (k // 2)) for k in range(sites)]
    if layout == "staggered":
        return [((-1) ** k * (8.0 + k), 20.0 * k) for k in range(sites)]
    if layout == "dense":
        return [((16.0, 48.0, 0.0, 32.0)[k % 4], 20.0 * (k // 2)) for k in range(sites)]
    return [(0.0, 25.0 * k) for k in range(sites)]


def finished(
    folder: Path,
    name: str = "b",
    *,
    shanks: int = 1,
    sites: int = 8,
    units: int = 3,
    seconds: float = 20.0,
    rate: float = 20_000.0,
    layout: str = "linear",
    labels: Sequence[str] = (),
    omitted: Sequence[str] = (),
    hz: float = 8.0,
    raw: bool = True,
) -> Finished:
    """Write it: `units` on each shank, cluster 0 (noise) beside them; the raw recording is a flat file with hum."""
    out = folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    draw = np.random.Generator(np.random.PCG64(5))
    channels, size = shanks * sites, int(seconds * rate)
    labels = tuple(labels or (f"Port_{k + 1}" for k in range(channels)))
    once = (draw.standard_normal((min(size, int(10 * rate)), channels), dtype=np.float32) * 8 / GAIN).astype("<i2")
    data = np.lib.format.open_memmap(folder / "data.npy", "w+", "<i2", (size, channels))
    for begin in range(0, size, len(once)):
        data[begin : begin + len(once)] = once[: size - begin]
    t = np.arange(-20, 30) / rate * 1e3
    shape = -np.exp(-0.5 * (t / 0.12) ** 2) + 0.4 * np.exp(-0.5 * ((t - 0.5) / 0.25) ** 2)
    trains: dict[tuple[int, int], np.ndarray] = {}
    geometry = places(layout, sites)
    waves = {}
    for shank in range(shanks):
        trains[shank, 0] = np.unique(draw.integers(200, size - 200, max(int(seconds / 3), 3)))
        for k in range(units):
            count = int(hz * seconds)
            gaps = 0.003 + draw.exponential(max(1 / hz - 0.003, 1e-4), count)
            at = (np.cumsum(gaps) * rate).astype(np.int64) + 200
            trains[shank, k + 2] = at[at < size - 200]
            centre = np.array(geometry[int((k + 0.5) / units * sites)])
            away = np.hypot(*(np.array(geometry) - centre).T)
            gains = (90 + 160 * ((k * 7) % 10) / 10) * np.exp(-away / 28)
            near = np.flatnonzero(gains > 2)
            wave = np.rint(shape[:, None] * gains[near] / GAIN).astype("<i2")
            waves[shank, k + 2] = gains
            for sample in trains[shank, k + 2].tolist():
                data[sample - 20 : sample + 30, shank * sites + near] += wave
    data.flush()
    file = folder / "raw" / "one.dat"
    notes = _stage_one(folder, out, name, data, labels, omitted, geometry, shanks, rate, file if raw else None)
    (out / f"{name}.denoise.json").write_text(json.dumps(notes))
    _stage_two(out, name, trains, waves, geometry, shanks, rate)
    (folder / "data.npy").unlink()
    return Finished(out, name, file.parent, trains, labels)


def _stage_one(
    folder: Path, out: Path, name: str, data: Any, labels: Sequence[str], omitted: Sequence[str],
    geometry: Sequence[tuple[float, float]], shanks: int, rate: float, file: Path | None,
) -> dict[str, Any]:  # fmt: skip
    size, channels = data.shape
    sites = len(geometry)
    with (out / f"{name}.dat").open("wb") as target:
        for begin in range(0, size, 1 << 20):
            target.write(np.ascontiguousarray(data[begin : begin + (1 << 20)]).tobytes())
    groups = {
        k: {
            "channels": list(range(sites * k, sites * k + sites)),
            "geometry": {sites * k + i: (SHANK_UM * k + x, y) for i, (x, y) in enumerate(geometry)},
        }
        for k in range(shanks)
    }
    (folder / "probe.prb").write_text(f"channel_groups = {groups!r}\n")
    resolve(folder / "probe.prb", [f"Port_{k}" for k in range(channels)]).write_prb(out / f"{name}.prb")
    write_prm(
        out / f"{name}.prm", name=name, prb_file=f"{name}.prb", raw_data_files=[f"{name}.dat"], sample_rate=rate,
        n_channels=channels, voltage_gain=GAIN,
    )  # fmt: skip
    inputs, segments = [], []
    if file is not None:
        file.parent.mkdir()
        hum = np.rint(60 / GAIN * np.sin(2 * np.pi * 50 * np.arange(size) / rate)).astype("<i2")
        every = np.concatenate([data + hum[:, None], np.repeat(hum[:, None] * 2, len(omitted), axis=1)], axis=1)
        every.tofile(file)
        described = {"channels": [*labels, *omitted], "rate": rate, "gain": GAIN}
        file.with_suffix(".toml").write_text("\n".join(f"{key} = {json.dumps(v)}" for key, v in described.items()))
        inputs = [{"file": file.name, "bytes": file.stat().st_size}]
        segments = [
            {"file": file.name, "file_first_sample": 0, "n_samples": size, "start_s": 0.0, "output_first_sample": 0}
        ]
    return {
        "name": name, "labels": list(labels), "omitted": list(omitted), "rate_hz": rate, "n_samples": size,
        "source": str(file.parent) if file else "", "source_format": "flat", "inputs": inputs, "segments": segments,
        "probe": "probe.prb", "gain_known": True, "microvolts_per_bit": GAIN, "parameters": {"reference": "ridge"},
        "omitted_sites": {
            label: {"site": str(k), "shank": 0, "x": geometry[-1][0], "y": geometry[-1][1] + 25.0 * (k + 1)}
            for k, label in enumerate(omitted)
        },
        "outputs": {f"{name}{end}": (out / f"{name}{end}").stat().st_size for end in (".dat", ".prb", ".prm")},
        "noise_uv": {"before": [40.0] * channels, "after": np.linspace(7.0, 9.0, channels).tolist()},
        "clipped": dict.fromkeys(labels, 0),
        "bad_channels": {"did": "warned", "found": [
            {"channel": labels[-1], "kind": "noisy", "reason": "41 µV of noise of its own, 4 times the median"},
        ]},
        "artefacts": [
            {"kind": "movement", "action": "referenced", "start_s": 3.0, "end_s": 3.5, "channels": list(labels),
             "output_first_sample": int(3 * rate), "n_samples": int(0.5 * rate)},
            {"kind": "saturation", "action": "blanked", "start_s": 6.0, "end_s": 6.1, "channels": [labels[0]],
             "output_first_sample": int(6 * rate), "n_samples": int(0.1 * rate)},
        ],
        "warnings": [], "wall_s": 1.5, "peak_rss_bytes": 210_000_000, "versions": {"labsched": "0.1.0"},
        "hum": {"hz": 50.0, "harmonics": [1, 3]}, "started": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip


def _stage_two(
    out: Path, name: str, trains: dict[tuple[int, int], np.ndarray], waves: dict[tuple[int, int], np.ndarray],
    geometry: Sequence[tuple[float, float]], shanks: int, rate: float,
) -> None:  # fmt: skip
    sites = len(geometry)
    draw = np.random.Generator(np.random.PCG64(6))
    with h5py.File(out / f"{name}.kwik", "w") as kwik, h5py.File(out / f"{name}.kwx", "w") as kwx:
        kwik.attrs["kwik_version"] = 2
        kwik.create_group("application_data/spikedetekt").attrs["n_features_per_channel"] = COMPONENTS
        kwik.create_group("recordings/0").attrs.update({"start_sample": 0, "sample_rate": rate, "start_time": 0.0})
        for shank in range(shanks):
            group = kwik.create_group(f"channel_groups/{shank}")
            columns = np.arange(sites * shank, sites * shank + sites)
            group.attrs["channel_order"] = columns.astype(np.int32)
            for column, (x, y) in zip(columns, geometry, strict=True):
                entry = group.create_group(f"channels/{column}")
                entry.attrs["position"] = np.array([SHANK_UM * shank + x, y], dtype=np.float32)
            mine = {k: train for (number, k), train in trains.items() if number == shank}
            samples = np.concatenate(list(mine.values()))
            clusters = np.concatenate([np.full(len(train), k) for k, train in mine.items()])
            order = np.argsort(samples, kind="stable")
            samples, clusters = samples[order], clusters[order]
            group["spikes/time_samples"] = samples.astype(np.uint64)
            group["spikes/recording"] = np.zeros(len(samples), dtype=np.int32)
            group["spikes/clusters/main"] = clusters.astype(np.int32)
            for k in np.unique(clusters):
                group.create_group(f"clusters/main/{k}").attrs["cluster_group"] = 3
            shape = (len(samples), sites * COMPONENTS, 2)
            both = kwx.create_dataset(f"channel_groups/{shank}/features_masks", shape, "f4", chunks=True)
            levels = np.stack([waves.get((shank, k), np.full(sites, 20.0)) for k in range(max(mine) + 1)])
            for begin in range(0, len(samples), 20_000):
                level = levels[clusters[begin : begin + 20_000]].repeat(COMPONENTS, axis=1)
                noisy = level + 8 * draw.standard_normal(level.shape)
                both[begin : begin + 20_000] = np.stack([noisy, level > 20], axis=2).astype(np.float32)
    said = {
        "format": "labsched sorting 1", "name": name, "seed": 1, "wall_s": 41.6, "peak_rss_bytes": 400_000_000,
        "finished": "2026-01-01T01:00:00+00:00", "versions": {"klusta": "3.0.16"}, "warnings": [],
        "parameters": {"spikedetekt": {"filter_low": 500.0}, "klustakwik2": {}},
    }  # fmt: skip
    (out / f"{name}.sorting.json").write_text(json.dumps(said))
