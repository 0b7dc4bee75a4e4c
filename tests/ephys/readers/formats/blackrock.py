"""Blackrock: NSx 2.3 ("NEURALCD"), as their "NEV and NSx file format" describes it."""

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np

MICROVOLTS = 0.25


def write(
    folder: Path, data: np.ndarray, rate: float = 30000.0, name: str = "rec", number: int = 5,
    cuts: tuple[int, ...] = (),
) -> Path:  # fmt: skip
    """One data packet, or several with a pause of a second before each sample of `cuts`."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(data)
    head = struct.pack(
        "<8sBBI16s256sII8HI", b"NEURALCD", 2, 3, 314 + 66 * count, b"raw", b"", int(30000 / rate), 30000,
        2024, 1, 1, 1, 12, 0, 0, 0, count,
    )  # fmt: skip
    for k in range(count):
        head += struct.pack(
            "<2sH16sBBhhhh16sIIHIIH", b"CC", 1 + k, f"chan{1 + k}".encode(), 1, k, -32764, 32764, -8191, 8191, b"uV",
            300, 1, 1, 7500000, 3, 1,
        )  # fmt: skip
    edges = [0, *cuts, data.shape[1]]
    for index, (begin, end) in enumerate(pairwise(edges)):
        stamp = int(begin * 30000 / rate) + 30000 * index
        head += struct.pack("<BII", 1, stamp, end - begin) + data[:, begin:end].T.astype("<i2").tobytes()
    (folder / f"{name}.ns{number}").write_bytes(head)
    return folder
