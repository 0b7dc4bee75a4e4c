"""What SpikeInterface and pynwb save, written by hand: folders of raw files with their JSON, Zarr, and NWB."""

import json
from pathlib import Path

import h5py
import numpy as np

RATE = 25000.0
GAINS = [0.1, 0.2, 0.3, 0.4]


def write_binary(folder: Path, data: np.ndarray, **kwargs: object) -> Path:
    """One segment, channels a, b, ...; `kwargs` on top of those of the extractor."""
    folder.mkdir(parents=True)
    (folder / "traces_cached_seg0.raw").write_bytes(data.T.tobytes())
    about = {
        "file_paths": ["traces_cached_seg0.raw"], "sampling_frequency": RATE, "num_channels": len(data),
        "dtype": data.dtype.str, "channel_ids": [chr(97 + k) for k in range(len(data))], "time_axis": 0,
        "file_offset": 0, "gain_to_uV": GAINS[: len(data)], "offset_to_uV": [0.0] * len(data), **kwargs,
    }  # fmt: skip
    kind = "spikeinterface.core.binaryrecordingextractor.BinaryRecordingExtractor"
    (folder / "binary.json").write_text(json.dumps({"class": kind, "kwargs": about, "relative_paths": True}))
    return folder


def write_zarr(folder: Path, data: np.ndarray, step: int = 2000) -> Path:
    import zarr

    root = zarr.open_group(str(folder), mode="w", zarr_format=2)
    root.attrs.update({"sampling_frequency": RATE, "num_segments": 1})
    ids = np.array([chr(97 + k) for k in range(len(data))])
    root.create_array("channel_ids", data=ids)
    root.create_array("traces_seg0", data=np.ascontiguousarray(data.T), chunks=(step, len(data)))
    root.create_array("properties/gain_to_uV", data=np.array(GAINS[: len(data)]))
    root.create_array("properties/offset_to_uV", data=np.zeros(len(data)))
    return folder


def write_nwb(path: Path, data: np.ndarray, stamps: np.ndarray | None = None, names: bool = True) -> Path:
    """acquisition/Wide of channels with names AD0 ..., 0.2 µV a bit, in two groups of 30 µm between sites."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(data)
    with h5py.File(path, "w") as file:
        series = file.create_group("acquisition/Wide")
        series.attrs["neurodata_type"] = "ElectricalSeries"
        values = series.create_dataset("data", data=data.T, chunks=(1000, count), compression="gzip")
        values.attrs["conversion"], values.attrs["offset"], values.attrs["unit"] = 0.2e-6, 1e-6, "volts"
        series["electrodes"] = np.arange(count)
        if stamps is None:
            series["starting_time"] = 2.0
            series["starting_time"].attrs["rate"] = RATE
        else:
            series["timestamps"] = stamps
        table = file.create_group("general/extracellular_ephys/electrodes")
        table["id"] = np.arange(count)
        table["rel_x"], table["rel_y"] = np.zeros(count), 30.0 * np.arange(count)
        table["group_name"] = [f"shank{k // 2}" for k in range(count)]
        if names:
            table["channel_name"] = [f"AD{k}" for k in range(count)]
    return path
