"""Small recordings that are good to begin with, and what was seen of them."""

from pathlib import Path

import numpy as np

from labsched.ephys.inspect.measure import Measures, measure
from labsched.ephys.inspect.sample import Window, places
from labsched.ephys.inspect.verdict import judge

RATE = 20_000.0


def good(channels: int = 8, seconds: float = 4.0, seed: int = 1, common: float = 20.0) -> np.ndarray:
    """(channels, samples) µV: noise of its own, a common one of unequal share, a slow field, and hum."""
    random = np.random.default_rng(seed)
    n = int(seconds * RATE)
    gains = 1 + 0.4 * random.uniform(-1, 1, (channels, 1))
    shared = np.convolve(random.standard_normal(n), [0.3, 0.5, 0.3], mode="same") * common
    field = np.convolve(random.standard_normal(n + 3999), np.hanning(4000) / 40, mode="valid") * 80
    hum = 40 * np.sin(2 * np.pi * 50 * np.arange(n) / RATE)
    return random.standard_normal((channels, n)) * 8 + gains * (shared + hum) + field


def windows(raw: np.ndarray, rate: float = RATE) -> list[Window]:
    size, found = places([raw.shape[1]], rate, len(raw))
    return [Window(0, first, raw[:, first : first + size]) for _, first in found]


def measured(raw: np.ndarray, gain: float = 0.2, threads: int = 1) -> Measures:
    return measure(windows(raw), RATE, [[gain] * len(raw)], [[0.0] * len(raw)], threads)


def line(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Sites of one shank, 50 µm apart."""
    return np.stack([np.zeros(channels), 50.0 * np.arange(channels)], axis=1), np.zeros(channels, dtype=int)


def bits(data: np.ndarray, gain: float = 0.2) -> np.ndarray:
    return np.clip(np.rint(data / gain), -32768, 32767).astype(np.int16)


def kinds(raw: np.ndarray, gain: float = 0.2) -> dict[int, str]:
    """What the rule says of raw values on one shank."""
    return {each.channel: each.kind for each in judge(measured(raw, gain), *line(len(raw))).findings}


def flat_block(folder: Path, data: np.ndarray, gain: float = 0.2) -> Path:
    """A block in the flat format, channels Port_1 ..."""
    folder.mkdir(parents=True)
    bits(data, gain).T.astype("<i2").tofile(folder / "a.dat")
    (folder / "a.toml").write_text(f"rate = {RATE:g}\nn_channels = {len(data)}\ngain = {gain}\n")
    return folder
