"""A finished sorting of known spikes, written as both stages write one: no klusta is needed."""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from labsched.ephys.klusta.params import write_prm
from labsched.ephys.probes import resolve

RATE = 10_000.0
SECONDS = 130.0
GAIN = 0.25
T = np.arange(-10, 20) / RATE * 1e3
SHAPE = -np.exp(-0.5 * (T / 0.15) ** 2) + 0.35 * np.exp(-0.5 * ((T - 0.55) / 0.25) ** 2)
#: Per unit of a shank: µV on each of its channels, spikes a second, the least interval (ms).
UNITS = {
    2: ((220.0, 90.0, 30.0, 10.0), 8.0, 3.0),
    3: ((20.0, 160.0, 110.0, 30.0), 5.0, 0.7),
    7: ((5.0, 15.0, 60.0, 75.0), 11.0, 2.0),
}


@dataclass(frozen=True)
class Block:
    """Where it lies, and when each cluster of each shank fired (samples)."""

    folder: Path
    name: str
    trains: dict[tuple[int, int], np.ndarray]


def block(folder: Path, name: str = "b", *, shanks: int = 2, seconds: float = SECONDS, kwd: bool = False) -> Block:
    """Write it; cluster 0 of each shank (noise) has some spikes of nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.Generator(np.random.PCG64(11))
    size, channels = int(seconds * RATE), 4 * shanks
    data = draw.standard_normal((size, channels), dtype=np.float32) * 10.0
    trains = {}
    for shank in range(shanks):
        trains[shank, 0] = np.sort(draw.integers(100, size - 100, 12))
        for cluster, (gains, rate, least) in UNITS.items():
            gaps = least * 1e-3 + draw.exponential(1 / rate - least * 1e-3, int(rate * seconds))
            at = (np.cumsum(gaps) * RATE).astype(np.int64) + 50
            at = at[at < size - 50]
            trains[shank, cluster] = at
            wave = SHAPE[:, None] * np.array(gains)[None, :]
            scale = (1 + 0.12 * draw.standard_normal(len(at))).astype(np.float32)
            for sample, factor in zip(at, scale, strict=True):
                data[sample - 10 : sample + 20, 4 * shank : 4 * shank + 4] += factor * wave
    raw = np.rint(data / GAIN).astype("<i2")
    labels = [f"Port_{k + 1}" for k in range(channels)]
    _stage_one(folder, name, raw, labels, shanks, kwd)
    _stage_two(folder, name, raw * np.float32(GAIN), trains, shanks)
    return Block(folder, name, trains)


def _stage_one(folder: Path, name: str, raw: np.ndarray, labels: list[str], shanks: int, kwd: bool) -> None:
    if kwd:
        from labsched.ephys.writers import data

        path = folder / f"{name}.raw.kwd"
        with data.kwd(path, len(raw), len(labels), rate=RATE, uv_per_bit=GAIN, name=name, labels=labels) as sink:
            sink.put(0, raw)
    else:
        path = folder / f"{name}.dat"
        raw.tofile(path)
    groups = {
        k: {"channels": list(range(4 * k, 4 * k + 4)), "geometry": {4 * k + i: (200 * k, 25 * i) for i in range(4)}}
        for k in range(shanks)
    }
    (folder / "probe.prb").write_text(f"channel_groups = {groups!r}\n")
    resolve(folder / "probe.prb", labels).write_prb(folder / f"{name}.prb")
    write_prm(
        folder / f"{name}.prm",
        name=name,
        prb_file=f"{name}.prb",
        raw_data_files=path.name if kwd else [path.name],
        sample_rate=RATE,
        n_channels=len(labels),
        voltage_gain=GAIN,
    )
    sizes = {each.name: each.stat().st_size for each in (path, folder / f"{name}.prb", folder / f"{name}.prm")}
    note = {"outputs": sizes, "labels": labels, "rate_hz": RATE, "gain_known": True}
    (folder / f"{name}.denoise.json").write_text(json.dumps(note))


def _stage_two(folder: Path, name: str, data: np.ndarray, trains: dict, shanks: int) -> None:
    with h5py.File(folder / f"{name}.kwik", "w") as kwik, h5py.File(folder / f"{name}.kwx", "w") as kwx:
        kwik.attrs["name"] = np.bytes_(str(folder / name))
        kwik.attrs["kwik_version"] = 2
        kwik.create_group("application_data/spikedetekt").attrs["n_features_per_channel"] = 3
        kwik.create_group("recordings/0").attrs.update({"start_sample": 0, "sample_rate": RATE, "start_time": 0.0})
        for shank in range(shanks):
            group = kwik.create_group(f"channel_groups/{shank}")
            columns = np.arange(4 * shank, 4 * shank + 4)
            group.attrs["channel_order"] = columns.astype(np.int32)
            for i, column in enumerate(columns):
                entry = group.create_group(f"channels/{column}")
                entry.attrs["name"] = np.bytes_(str(column))
                entry.attrs["position"] = np.array([200 * shank, 25 * i], dtype=np.float32)
            pairs = sorted((int(at), k) for (number, k), train in trains.items() if number == shank for at in train)
            samples, clusters = (np.array(each) for each in zip(*pairs, strict=True))
            group["spikes/time_samples"] = samples.astype(np.uint64)
            group["spikes/recording"] = np.zeros(len(samples), dtype=np.int32)
            group["spikes/time_fractional"] = np.zeros(len(samples), dtype=np.uint8)
            for which in ("main", "original"):
                group[f"spikes/clusters/{which}"] = clusters.astype(np.int32)
                for k in np.unique(clusters):
                    group.create_group(f"clusters/{which}/{k}").attrs["cluster_group"] = 3
                for k, said in enumerate(("Noise", "MUA", "Good", "Unsorted")):
                    group.create_group(f"cluster_groups/{which}/{k}").attrs["name"] = np.bytes_(said)
            # three numbers a channel that say as much as components do: trough, what follows, and what came before
            near = np.stack([data[samples + lag][:, columns] for lag in (0, 5, -2)], axis=2).reshape(len(samples), -1)
            masks = (np.abs(near.reshape(len(samples), 4, 3)[..., :1]) > 25).repeat(3, axis=2).reshape(near.shape)
            kwx[f"channel_groups/{shank}/features_masks"] = np.stack([near, masks], axis=2).astype(np.float32)
    (folder / f"{name}.sorting.json").write_text(json.dumps({"format": "labsched sorting 1", "name": name}))
