"""The recordings that are sorted: units of known shapes in noise, as stage 1 leaves them; made once, and kept."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labsched.ephys.klusta.params import write_prm

RATE = 20_000
SPAN = np.arange(-12, 24)
SHAPE = -np.exp(-0.5 * (SPAN / 2.5) ** 2) + 0.4 * np.exp(-0.5 * ((SPAN - 9) / 5.0) ** 2)


@dataclass(frozen=True)
class World:
    """So many shanks of so many channels; `rate` spikes a second on each, of six units; bits of noise by channel."""

    name: str
    shanks: int = 4
    channels: int = 8
    seconds: float = 300.0
    rate: float = 32.0
    common: float = 0.0

    @property
    def n_bytes(self) -> int:
        return round(self.seconds * RATE) * self.shanks * self.channels * 2


def made(home: Path, world: World) -> Path:
    """The folder of a finished stage 1, named after what is in it."""
    folder = home / f"{world.shanks}x{world.channels}-{world.seconds:g}s-{world.rate:g}-{world.common:g}"
    if (folder / "b.denoise.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    draw, total = np.random.Generator(np.random.PCG64(7)), world.shanks * world.channels
    gains = np.abs(draw.normal(0, 1, (world.shanks, 6, 1))) * 150 + 250
    near = np.exp(
        -0.5 * ((np.arange(world.channels) - draw.uniform(0, world.channels, (world.shanks, 6, 1))) / 1.2) ** 2
    )
    with (folder / "b.dat").open("wb") as file:
        left = round(world.seconds * RATE)
        while left > 0:
            piece = min(left, 10 * RATE)
            data = 50 * draw.standard_normal((piece, total), np.float32)
            data += world.common * draw.standard_normal((piece, 1), np.float32)
            for shank in range(world.shanks):
                at = draw.integers(20, piece - 40, round(world.rate * piece / RATE))
                for moment, unit in zip(at, draw.integers(0, 6, len(at)), strict=True):
                    wave = np.outer(SHAPE, gains[shank, unit] * near[shank, unit]) * draw.normal(1, 0.08)
                    data[moment + SPAN[0] : moment + SPAN[-1] + 1, shank * world.channels :][:, : world.channels] += (
                        wave
                    )
            np.rint(data).astype("<i2").tofile(file)
            left -= piece
    groups = {}
    for shank in range(world.shanks):
        row = list(range(shank * world.channels, (shank + 1) * world.channels))
        pairs = [(a, b) for a in row for b in row if 0 < b - a <= 2]
        groups[shank] = {"channels": row, "graph": pairs, "geometry": {c: (200 * shank, 25 * c) for c in row}}
    (folder / "b.prb").write_text(f"channel_groups = {groups!r}\n")
    write_prm(
        folder / "b.prm", name="b", prb_file="b.prb", raw_data_files=["b.dat"], sample_rate=RATE, n_channels=total
    )
    sizes = {f"b{suffix}": (folder / f"b{suffix}").stat().st_size for suffix in (".dat", ".prb", ".prm")}
    (folder / "b.denoise.json").write_text(json.dumps({"outputs": sizes}))
    return folder
