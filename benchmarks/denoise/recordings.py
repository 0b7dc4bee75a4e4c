"""The recordings that are de-noised: made once, and kept; noise that is common and noise that is not, and spikes."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 25_000
#: Ten seconds are made; the rest is the same, shifted.
SECONDS = 10
GAIN = 0.195


@dataclass(frozen=True)
class Recording:
    """A block's folder, its one file of samples, and how many bytes of int16 it is."""

    folder: Path
    file: Path
    channels: int
    seconds: float

    @property
    def n_bytes(self) -> int:
        return round(self.seconds * RATE) * self.channels * 2


def dat(home: Path, seconds: float, channels: int) -> Recording:
    """A flat file, sampled at once."""
    made = _recording(home / f"dat-{channels}-{seconds:g}", "a.dat", channels, seconds)
    if not made.file.exists():
        made.folder.mkdir(parents=True, exist_ok=True)
        made.file.with_suffix(".toml").write_text(f"rate = {RATE}\nn_channels = {channels}\ngain = {GAIN}\n")
        with _named(made.file).open("wb") as file:
            for piece in _pieces(seconds, channels):
                piece.tofile(file)
        _named(made.file).replace(made.file)
    return made


def mat(home: Path, seconds: float, channels: int) -> Recording:
    """A MATLAB v7.3 file as Spike2 exports it, int16, channels sampled one after the other."""
    import h5py

    made = _recording(home / f"mat-{channels}-{seconds:g}", "a.mat", channels, seconds)
    if made.file.exists():
        return made
    made.folder.mkdir(parents=True, exist_ok=True)
    count = round(seconds * RATE)
    with h5py.File(_named(made.file), "w", userblock_size=512) as file:
        for channel in range(channels):
            group = file.create_group(f"Port_{channel + 1}")
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            fields = {"interval": 1 / RATE, "start": channel / RATE / channels, "scale": GAIN, "offset": 0.0}
            for name, value in {**fields, "length": float(count)}.items():
                group[name] = np.array([[value]])
            units = group.create_dataset("units", data=np.array([[ord(c)] for c in "uV"], dtype=np.uint16))
            units.attrs["MATLAB_class"] = np.bytes_("char")
            group.create_dataset("values", (1, count), dtype="i2").attrs["MATLAB_class"] = np.bytes_("int16")
        at = 0
        for piece in _pieces(seconds, channels):
            for channel in range(channels):
                file[f"Port_{channel + 1}/values"][0, at : at + len(piece)] = piece[:, channel]
            at += len(piece)
    with _named(made.file).open("r+b") as head:
        head.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    _named(made.file).replace(made.file)
    return made


def _recording(folder: Path, name: str, channels: int, seconds: float) -> Recording:
    return Recording(folder, folder / name, channels, seconds)


def _named(file: Path) -> Path:
    return file.with_name(f".{file.name}.{os.getpid()}")


def _pieces(seconds: float, channels: int):  # type: ignore[no-untyped-def]
    """(samples, channels) int16, one after the other."""
    base, left, turn = _noise(channels), round(seconds * RATE), 0
    while left > 0:
        piece = np.roll(base, 1009 * turn, axis=0)[:left]
        yield piece
        left, turn = left - len(piece), turn + 1


def _noise(channels: int) -> NDArray[np.int16]:
    random, count = np.random.default_rng(1), SECONDS * RATE
    slow = np.cumsum(random.standard_normal((count, 1)), axis=0)
    slow -= np.linspace(0, 1, count)[:, None] * slow[-1]  # the end fits the beginning
    common = slow / np.abs(slow).max() * 300 + random.standard_normal((count, 1)) * 80
    data = common * random.uniform(0.6, 1.4, channels) + random.standard_normal((count, channels)) * 40
    wave = -500 * np.sin(np.linspace(0, 2 * np.pi, 24)) * np.hanning(24)
    for channel in range(channels):
        for start in random.integers(0, count - 24, 20 * SECONDS):
            data[start : start + 24, channel] += wave
    return np.rint(data).astype("<i2")
