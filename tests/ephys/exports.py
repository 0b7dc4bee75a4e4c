"""Small exports for tests: what Spike2 writes, of either kind, with whatever is to be wrong about it."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

RATE = 20000.0


def channel(values: Any, *, start: float = 0.0, times: bool = False, rate: float = RATE, **fields: Any) -> dict:
    """The fields of a waveform's struct; ``scale=None`` and the like leave a field out."""
    values = np.asarray(values)
    struct: dict[str, Any] = {"interval": 1 / rate, "start": start, "scale": 0.5, "offset": 0.0, "units": "uV"}
    struct |= {"length": float(len(values)), **fields, "values": values.reshape(-1, 1)}
    if times:
        struct["times"] = (start + np.arange(len(values)) / rate).reshape(-1, 1)
    return {key: value for key, value in struct.items() if value is not None}


def write73(path: Path, structs: dict[str, dict], **options: Any) -> Path:
    """MATLAB v7.3; `options` are for the long datasets (chunks, compression)."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, fields in structs.items():
            group = file.create_group(name)
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for key, value in fields.items():
                if isinstance(value, str):
                    codes = np.array([ord(each) for each in value], dtype=np.uint16).reshape(-1, 1)
                    group.create_dataset(key, data=codes).attrs["MATLAB_class"] = np.bytes_("char")
                elif isinstance(value, np.ndarray):
                    data = group.create_dataset(key, data=value.T, **(options if value.size > 100 else {}))
                    kind = {"float64": "double", "float32": "single"}.get(value.dtype.name, value.dtype.name)
                    data.attrs["MATLAB_class"] = np.bytes_(kind)
                else:
                    group[key] = np.array([[float(value)]])
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def write5(path: Path, structs: dict[str, dict], compressed: bool = False) -> Path:
    """MATLAB v5, as scipy writes it."""
    scipy.io.savemat(path, structs, do_compression=compressed, oned_as="column", long_field_names=True)
    return path


WRITERS = {
    "v7.3": write73,
    "v7.3 compressed": lambda path, structs: write73(path, structs, chunks=(1, 200), compression="gzip"),
    "v5": write5,
    "v5 compressed": lambda path, structs: write5(path, structs, compressed=True),
}


def noise(samples: int, channels: int, seed: int = 0, common: float = 60.0, own: float = 20.0) -> np.ndarray:
    """(channels, samples) of int16 with an unequal share of one common noise, and an offset."""
    random = np.random.default_rng(seed)
    shared = np.convolve(random.standard_normal(samples), [0.2, 0.5, 0.2], mode="same") * common
    gains = 0.6 + 0.8 * np.arange(channels) / max(channels - 1, 1)
    data = gains[:, None] * shared + random.standard_normal((channels, samples)) * own
    return np.round(data + 7 * np.arange(channels)[:, None]).astype(np.int16)


def block(folder: Path, samples: int = 6000, channels: int = 4, *, kind: str = "v7.3", stagger: bool = False) -> Path:
    """A folder with one export of channels Port_1 ...; `stagger`: sampled one after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    late = 1 / RATE / channels if stagger else 0.0
    data = noise(samples, channels)
    structs = {f"Port_{1 + i}": channel(row, start=i * late, times=stagger) for i, row in enumerate(data)}
    WRITERS[kind](folder / "one.mat", structs)
    return folder
