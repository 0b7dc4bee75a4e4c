"""Neuralynx: a .ncs for each channel, a header of 16 KiB of text and records of 512 samples."""

from pathlib import Path

import numpy as np

#: V a bit, as the header says it; µV.
BIT_VOLTS = 0.000000061035156250
MICROVOLTS = BIT_VOLTS * 1e6
RECORD = np.dtype([("time", "<u8"), ("channel", "<u4"), ("rate", "<u4"), ("valid", "<u4"), ("samples", "<i2", (512,))])


def write(
    folder: Path, data: np.ndarray, rate: float = 32000.0, name: str = "CSC", gap_after: int | None = None,
    first: int = 0,
) -> Path:  # fmt: skip
    """Whole records of 512; one second is missing after record `gap_after`. Files are NAME1.ncs, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    records = data.shape[1] // 512
    times = np.round(1_000_000 + np.arange(records) * 512 * 1e6 / rate).astype("<u8")
    if gap_after is not None:
        times[gap_after:] += 1_000_000
    for k, row in enumerate(data):
        head = "\r\n".join(
            [
                "######## Neuralynx Data File Header", r"## File Name C:\CheetahData\CSC1.ncs",
                "## Time Opened (m/d/y): 1/1/2024  (h:m:s.ms) 12:0:0.0",
                "## Time Closed (m/d/y): 1/1/2024  (h:m:s.ms) 12:1:0.0",
                "-FileType CSC", "-FileVersion 3.4", "-RecordSize 1044", "-CheetahRev 5.7.4", "",
                "-HardwareSubSystemName AcqSystem1", "-HardwareSubSystemType DigitalLynxSX",
                f"-SamplingFrequency {rate:g}", "-ADMaxValue 32767", f"-ADBitVolts {BIT_VOLTS:.24f}", "",
                f"-AcqEntName {name}{1 + k}", "-NumADChannels 1", f"-ADChannel {first + k}", "-InputRange 2000",
                "-InputInverted False", "", "-DSPLowCutFilterEnabled True", "-DspLowCutFrequency 0.1",
                "-DspHighCutFrequency 8000", "",
            ]
        )  # fmt: skip
        body = np.zeros(records, RECORD)
        body["time"], body["channel"], body["rate"], body["valid"] = times, first + k, int(rate), 512
        body["samples"] = row[: records * 512].reshape(records, 512)
        (folder / f"{name}{1 + k}.ncs").write_bytes(head.encode().ljust(16384, b"\0") + body.tobytes())
    return folder
