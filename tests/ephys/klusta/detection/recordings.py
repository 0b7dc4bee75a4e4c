"""Recordings to find spikes in, as stage 1 leaves them: noise, spikes at awkward places, probes of all kinds."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from labsched.ephys.klusta.params import parse_settings, write_prm

RATE = 20000.0
SHAPE = -np.exp(-0.5 * (np.arange(-8, 16) / 2.0) ** 2) + 0.4 * np.exp(-0.5 * ((np.arange(-8, 16) - 7) / 4.0) ** 2)


def probe(path: Path, groups: Mapping[int, Sequence[int]], edges: Sequence[tuple[int, int]] | None) -> None:
    """A .prb: each shank's channels in a row, or joined by `edges`."""
    every = {}
    for number, channels in groups.items():
        row = list(pairwise(channels))
        graph = row if edges is None else [edge for edge in edges if edge[0] in channels]
        every[number] = {"channels": list(channels), "graph": graph, "geometry": {c: (number, c) for c in channels}}
    path.write_text(f"channel_groups = {every!r}\n")


def recording(
    folder: Path,
    *,
    groups: Mapping[int, Sequence[int]] | None = None,
    edges: Sequence[tuple[int, int]] | None = None,
    channels: int = 8,
    samples: Sequence[int] = (26_000,),
    rate: float = 60.0,
    settings: Sequence[str] = (),
    kwd: bool = False,
    seed: int = 1,
) -> Path:
    """One with `rate` spikes a second and group, of both signs, some at its ends and at those of chunks; its .prm."""
    folder.mkdir(parents=True)
    groups = groups or {0: range(channels // 2), 1: range(channels // 2, channels)}
    draw = np.random.Generator(np.random.PCG64(seed))
    size = sum(samples)
    data = 40 * draw.standard_normal((size, channels))
    for members in groups.values():
        at = draw.integers(0, size, int(rate * size / RATE))
        for edge in (0, 9, 12, 19_850, 19_851, 20_000, size - 3, size - 20):
            at = np.append(at, edge)
        for moment in at:
            gains = draw.uniform(0, 900, len(members)) * draw.choice([1, 1, -1])
            rows = np.arange(moment - 8, moment + 16)
            seen = (rows >= 0) & (rows < size)
            data[np.ix_(rows[seen], list(members))] += np.outer(SHAPE, gains)[seen]
    parts = np.split(np.rint(data).astype("<i2"), np.cumsum(samples)[:-1])
    names: Any = _kwd(folder, parts) if kwd else _flat(folder, parts)
    probe(folder / "b.prb", groups, edges)
    write_prm(
        folder / "b.prm",
        name="b",
        prb_file=str(folder / "b.prb"),
        raw_data_files=names,
        sample_rate=RATE,
        n_channels=channels,
        params=parse_settings(["pca_n_waveforms_max=100", *settings]),
    )
    return folder / "b.prm"


def _flat(folder: Path, parts: Sequence[np.ndarray]) -> list[str]:
    for k, part in enumerate(parts):
        part.tofile(folder / f"{k}.dat")
    return [str(folder / f"{k}.dat") for k in range(len(parts))]


def _kwd(folder: Path, parts: Sequence[np.ndarray]) -> str:
    """The first recording is laid out in one piece, the others in chunks."""
    with h5py.File(folder / "b.raw.kwd", "w") as file:
        for k, part in enumerate(parts):
            file.create_dataset(f"recordings/{k}/data", data=part, chunks=(1000, part.shape[1]) if k else None)
            file[f"recordings/{k}"].attrs["sample_rate"] = RATE
    return str(folder / "b.raw.kwd")
