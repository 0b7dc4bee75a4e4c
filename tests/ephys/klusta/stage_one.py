"""Small data for the sorter, written as stage 1 would have."""

import json
from pathlib import Path

import numpy as np

from labsched.ephys.klusta.params import write_prm
from labsched.ephys.probes import resolve

RATE = 20000.0
SHAPE = -np.exp(-0.5 * ((np.arange(-20, 30)) / 2.5) ** 2) + 0.4 * np.exp(-0.5 * ((np.arange(-20, 30) - 9) / 5.0) ** 2)


def stage_one(folder: Path, name: str = "b", *, spikes: tuple[int, ...] = (150, 150), seconds: float = 6.0) -> Path:
    """A finished stage 1 of ``len(spikes)`` tetrodes with that many spikes each, of two units; returns ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    channels, size = 4 * len(spikes), int(seconds * RATE)
    draw = np.random.Generator(np.random.PCG64(3))
    # a shank that is to be empty is quieter than the threshold, which all channels share
    noise = np.repeat([8.0 if count else 3.0 for count in spikes], 4)
    data = noise[:, None] * draw.standard_normal((channels, size))
    for shank, count in enumerate(spikes):
        at = np.sort(draw.choice(np.arange(200, size - 200, 120), count, replace=False)) if count else []
        for k, sample in enumerate(at):
            gains = np.array([200.0, 120.0, 60.0, 30.0]) if k % 2 else np.array([40.0, 60.0, 130.0, 190.0])
            data[4 * shank : 4 * shank + 4, sample - 20 : sample + 30] += gains[:, None] * SHAPE
    np.rint(data / 0.2).astype("<i2").T.tofile(folder / f"{name}.dat")
    labels = [f"Port_{k + 1}" for k in range(channels)]
    groups = {
        k: {"channels": list(range(4 * k, 4 * k + 4)), "geometry": {4 * k + i: (200 * k, 25 * i) for i in range(4)}}
        for k in range(len(spikes))
    }
    (folder / "probe.prb").write_text(f"channel_groups = {groups!r}\n")
    resolve(folder / "probe.prb", labels).write_prb(folder / f"{name}.prb")
    write_prm(
        folder / f"{name}.prm",
        name=name,
        prb_file=f"{name}.prb",
        raw_data_files=[f"{name}.dat"],
        sample_rate=RATE,
        n_channels=channels,
        voltage_gain=0.2,
    )
    sizes = {f"{name}{suffix}": (folder / f"{name}{suffix}").stat().st_size for suffix in (".dat", ".prb", ".prm")}
    (folder / f"{name}.denoise.json").write_text(json.dumps({"outputs": sizes}))
    return folder
