"""Open Ephys: the binary format of version 0.6 (structure.oebin), and the older one of a file for each channel."""

import json
from pathlib import Path

import numpy as np

MICROVOLTS = 0.195


def write(
    folder: Path, data: np.ndarray, rate: float = 30000.0, recording: int = 1, first: int = 0,
    numbers: np.ndarray | None = None,
) -> Path:  # fmt: skip
    """Record Node 104/experiment1/recordingN; `numbers` are those of the samples (default: from `first` on)."""
    home = folder / "Record Node 104" / "experiment1" / f"recording{recording}"
    stream = home / "continuous" / "Acquisition_Board-100.Rhythm Data"
    stream.mkdir(parents=True)
    numbers = np.arange(first, first + data.shape[1]) if numbers is None else numbers
    (stream / "continuous.dat").write_bytes(data.T.astype("<i2").tobytes())
    np.save(stream / "sample_numbers.npy", numbers.astype(np.int64))
    np.save(stream / "timestamps.npy", numbers / rate)
    channels = [
        {"channel_name": f"CH{1 + k}", "description": "", "identifier": "", "history": "", "bit_volts": MICROVOLTS,
         "units": "uV"} for k in range(len(data))
    ]  # fmt: skip
    about = {
        "folder_name": f"{stream.name}/", "sample_rate": rate, "source_processor_name": "Acquisition Board",
        "source_processor_id": 100, "stream_name": "Rhythm Data", "recorded_processor": "Record Node",
        "recorded_processor_id": 104, "num_channels": len(data), "channels": channels,
    }  # fmt: skip
    text = json.dumps({"GUI version": "0.6.4", "continuous": [about], "events": [], "spikes": []})
    (home / "structure.oebin").write_text(text)
    return folder


RECORD = np.dtype(
    [("stamp", "<i8"), ("n", "<u2"), ("number", "<u2"), ("samples", ">i2", (1024,)), ("end", "u1", (10,))]
)


def write_legacy(folder: Path, data: np.ndarray, rate: float = 30000.0, gap_after: int | None = None) -> Path:
    """100_CHn.continuous in whole records of 1024; 2048 samples are missing after record `gap_after`."""
    folder.mkdir(parents=True, exist_ok=True)
    records = data.shape[1] // 1024
    stamps = np.arange(records) * 1024 + 5000
    if gap_after is not None:
        stamps[gap_after:] += 2048
    for k, row in enumerate(data):
        head = (
            "header.format = 'Open Ephys Data Format'; \nheader.version = 0.4; \nheader.header_bytes = 1024; \n"
            "header.description = 'each record contains one 64-bit timestamp'; \n"
            f"header.date_created = '1-Jan-2024 120000'; \nheader.channel = 'CH{1 + k}'; \n"
            f"header.channelType = 'Continuous'; \nheader.sampleRate = {rate:g};\nheader.blockLength = 1024;\n"
            f"header.bufferSize = 1024;\nheader.bitVolts = {MICROVOLTS};\n"
        )
        body = np.zeros(records, RECORD)
        body["stamp"], body["n"] = stamps, 1024
        body["samples"] = row[: records * 1024].reshape(records, 1024)
        body["end"] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 255]
        (folder / f"100_CH{1 + k}.continuous").write_bytes(head.encode().ljust(1024) + body.tobytes())
    return folder
