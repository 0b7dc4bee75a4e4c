"""Recordings with planted bad channels: a probe, a lab and a day drawn from a seed, and which channels are spoilt.

They share nothing with labsched's own synthetic blocks, so that the rule is not tried on what it was made with.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Floats = NDArray[np.float64]
KINDS = ("dead", "flat", "noisy", "clipped", "uncorrelated", "outside")


@dataclass(frozen=True)
class Case:
    """A recording: `bits` (channels, samples) int16, µV a bit, positions (channels, 2) µm, the shank of each channel.

    `bad` says which channels are spoilt and how; `about` says in a few words what was drawn.
    """

    seed: int
    family: str
    bits: NDArray[np.int16]
    gain: float
    rate: float
    positions: Floats
    shanks: NDArray[np.int64]
    bad: dict[int, str]
    about: str


def _line(sites: int, pitch: float) -> Floats:
    return np.stack([np.zeros(sites), pitch * np.arange(sites)], axis=1)


def _columns(rows: int, pitch: float) -> Floats:
    at = np.arange(2 * rows)
    return np.stack([40.0 * (at % 2), pitch * (at // 2) + pitch / 2 * (at % 2)], axis=1)


def _diamond() -> Floats:
    return np.array([[0.0, 0.0], [12.5, 12.5], [-12.5, 12.5], [0.0, 25.0]])


def _shanks(shank: Floats, count: int) -> tuple[Floats, NDArray[np.int64]]:
    each = [shank + np.array([250.0 * k, 0.0]) for k in range(count)]
    return np.concatenate(each), np.repeat(np.arange(count), len(shank))


FAMILIES: dict[str, Callable[[], tuple[Floats, NDArray[np.int64]]]] = {
    "linear": lambda: _shanks(_line(16, 50.0), 1),
    "long": lambda: _shanks(_line(32, 100.0), 1),
    "dense": lambda: _shanks(_line(32, 20.0), 1),
    "tetrode": lambda: _shanks(_diamond(), 1),
    "tetrodes": lambda: _shanks(_diamond(), 4),
    "two columns": lambda: _shanks(_columns(16, 25.0), 1),
    "many": lambda: _shanks(_columns(64, 20.0), 1),
    "four shanks": lambda: _shanks(_line(8, 20.0), 4),
}


def draw(seed: int, family: str | None = None, seconds: float = 12.0) -> Case:
    """A case; the seed decides everything that is not given."""
    random = np.random.default_rng([seed, 20260])
    families = sorted(set(FAMILIES) - {"many"})
    family = family or families[seed % len(families)]
    positions, shanks = FAMILIES[family]()
    n, rate = len(positions), float(random.choice([20000.0, 24414.0625, 25000.0, 30000.0]))
    samples = int(seconds * rate)
    lab = {
        "spread": float(random.choice([0.05, 0.1, 0.2, 0.4, 0.5])),
        "common": float(random.choice([4.0, 10.0, 22.0, 35.0])),
        "own": float(random.uniform(4.0, 10.0)),
        "hum": float(random.choice([0.0, 10.0, 60.0, 120.0])),
        "lfp": float(random.choice([40.0, 90.0, 200.0])),
        "units": int(random.choice([0, 1, 3, 6])),
        "artefacts": float(random.choice([0.0, 0.05, 0.3])),
    }
    bad = _chosen(random, family, shanks)
    low = [k for k in random.permutation(n)[: n // 6] if k not in bad] if random.random() < 0.5 else []
    data = _signal(random, rate, samples, positions, shanks, lab, bad, low)
    _spoil(random, rate, data, lab, bad)
    gain = float(random.choice([0.1, 0.195, 0.5]))
    bits = np.clip(np.rint(data / gain), -32768, 32767).astype(np.int16)
    about = ", ".join(f"{key} {value:g}" for key, value in lab.items())
    return Case(seed, family, bits, gain, rate, positions, shanks, bad, f"{about}; low gain {sorted(map(int, low))}")


def _chosen(random: np.random.Generator, family: str, shanks: NDArray[np.int64]) -> dict[int, str]:
    n = len(shanks)
    most = 1 if n < 8 else max(n // 5, 2)
    count = 0 if random.random() < 0.2 else int(random.integers(1, most + 1))
    kinds = [str(random.choice(KINDS[:-1])) for _ in range(count)]
    bad: dict[int, str] = {}
    if count > 1 and not family.startswith("tetrode") and random.random() < 0.5:
        # Sites leave the brain from one end of a shank on.
        of = np.flatnonzero(shanks == random.integers(shanks.max() + 1))
        run = int(random.integers(1, min(count, len(of) // 4) + 1))
        bad.update(dict.fromkeys(map(int, of[-run:]), "outside"))
    left = [k for k in random.permutation(n) if k not in bad]
    bad.update(zip(map(int, left), kinds[len(bad) :], strict=False))
    return bad


def _band(random: np.random.Generator, shape: tuple[int, ...], low: float, high: float, rate: float) -> Floats:
    """Noise of unit variance within a band."""
    sos = signal.butter(2, [low, min(high, 0.45 * rate)], "bandpass", fs=rate, output="sos")
    made = signal.sosfilt(sos, random.standard_normal(shape, dtype=np.float32), axis=-1)
    return made / made.std(axis=-1, keepdims=True)


def _pink(random: np.random.Generator, count: int, samples: int, rate: float) -> Floats:
    """Field potential of unit variance: power falls as 1/f² from 2 Hz on."""
    step = max(int(rate // 1000), 1)
    slow = signal.lfilter([1.0], [1.0, -np.exp(-2 * np.pi * 2.0 * step / rate)],
                          random.standard_normal((count, samples // step + 2 + 5000)))[:, 5000:]  # fmt: skip
    fast = np.stack([np.interp(np.arange(samples) / step, np.arange(row.size), row) for row in slow])
    return fast / fast.std(axis=1, keepdims=True)


def _signal(
    random: np.random.Generator,
    rate: float,
    samples: int,
    positions: Floats,
    shanks: NDArray[np.int64],
    lab: dict[str, float],
    bad: dict[int, str],
    low: list[int],
) -> Floats:
    n = len(positions)
    gains = 1 + lab["spread"] * random.uniform(-1, 1, n)
    outside = np.array([bad.get(k) == "outside" for k in range(n)])
    apart = np.hypot(*(positions[:, None] - positions[None]).transpose(2, 0, 1))
    own = random.standard_normal((n, samples)) * (lab["own"] * np.exp(random.normal(0, 0.12, n)))[:, None]
    near = np.linalg.cholesky(np.exp(-apart / 40.0) + 1e-9 * np.eye(n))
    crowd = near @ _band(random, (n, samples), 300, 4000, rate) * lab["own"] * 0.6
    shared = _band(random, (1, samples), 200, 4000, rate) * lab["common"]
    # The field changes along the probe, and with a little of its own here and there.
    field = _pink(random, 2, samples, rate)
    depth = positions[:, 1] / max(positions[:, 1].max(), 1.0)
    turns = random.uniform(0, 6, 2)
    share = np.stack([1 + 0.3 * np.sin(3 * depth + turns[0]), 0.4 * np.cos(2 * depth + turns[1])])
    lfp = share.T @ field * lab["lfp"]
    inside = np.where(outside, random.uniform(0.03, 0.25, n), 1.0)[:, None]
    data = own + np.where(outside[:, None], 0.0, crowd) + gains[:, None] * shared
    data += lfp * inside * (0.9 + 0.1 * gains)[:, None]
    t = np.arange(samples) / rate
    mains = float(random.choice([50.0, 60.0]))
    for harmonic, part in ((1, 1.0), (2, 0.3), (3, 0.5), (5, 0.2), (7, 0.1), (11, 0.05)):
        turn = random.normal(0, 0.2, n)[:, None]
        data += lab["hum"] * part * gains[:, None] * np.sin(2 * np.pi * mains * harmonic * t + turn)
    for _ in range(random.poisson(lab["artefacts"] * samples / rate)):
        begin, long = int(random.uniform(0, samples)), int(random.uniform(0.05, 0.6) * rate)
        wide = np.hanning(long)[: samples - begin]
        swing = np.sin(2 * np.pi * random.uniform(3, 40) * t[: wide.size] + random.uniform(0, 6)) * wide
        data[:, begin : begin + wide.size] += gains[:, None] * swing * random.uniform(300, 3000)
    _units(random, rate, data, positions, shanks, int(lab["units"]), outside)
    data[low] *= random.uniform(0.3, 0.6, len(low))[:, None]
    return data


def _units(
    random: np.random.Generator, rate: float, data: Floats, positions: Floats, shanks: NDArray[np.int64], count: int,
    outside: NDArray[np.bool_],
) -> None:  # fmt: skip
    """`count` units a shank, 60 to 250 µV on the nearest site."""
    t = np.arange(int(-0.0008 * rate), int(0.0016 * rate)) / rate * 1e3
    for shank in range(int(shanks.max()) + 1):
        of = np.flatnonzero((shanks == shank) & ~outside)
        for _ in range(count):
            at = positions[random.choice(of)] + random.normal(0, 10, 2)
            fall = np.exp(-np.hypot(*(positions[of] - at).T) / 28.0)
            width = random.uniform(0.08, 0.14)
            wave = -np.exp(-0.5 * (t / width) ** 2) + 0.35 * np.exp(-0.5 * ((t - 0.45) / 0.2) ** 2)
            shape = np.outer(fall / fall.max() * random.uniform(60, 250), wave)
            gaps = 0.003 + random.exponential(1 / random.uniform(1, 20), int(25 * data.shape[1] / rate) + 5)
            for spike in (np.cumsum(gaps) * rate).astype(int):
                if spike + t.size >= data.shape[1]:
                    break
                data[of[:, None], np.arange(spike, spike + t.size)] += shape * random.normal(1, 0.08)


def _spoil(random: np.random.Generator, rate: float, data: Floats, lab: dict[str, float], bad: dict[int, str]) -> None:
    """Spoil the channels in place."""
    samples = data.shape[1]
    for k, kind in bad.items():
        row = data[k]
        if kind == "dead":
            row[:] = random.standard_normal(samples) * random.uniform(0.4, 3.0)
            if random.random() < 0.5:
                row += random.uniform(1, 20) * np.sin(2 * np.pi * 50 * np.arange(samples) / rate)
        elif kind == "flat":
            row[:] = random.uniform(-300, 300)
            if random.random() < 0.5:
                row += 0.3 * (random.random(samples) < 0.01)
        elif kind == "noisy":
            row += random.standard_normal(samples) * lab["own"] * random.uniform(6, 20)
        elif kind == "clipped":
            most = 1.4826 * np.median(np.abs(row - np.median(row))) * random.uniform(1.0, 2.2)
            row[:] = np.clip(row, -most, most if random.random() < 0.7 else np.inf)
        elif kind == "uncorrelated":
            other = _band(random, (1, samples), 200, 4000, rate)[0] * max(lab["common"], 8.0)
            other += random.standard_normal(samples) * lab["own"]
            other += _pink(random, 1, samples, rate)[0] * lab["lfp"]
            if random.random() < 0.5:
                other += lab["hum"] * np.sin(2 * np.pi * 50 * np.arange(samples) / rate + 1)
            row[:] = other
