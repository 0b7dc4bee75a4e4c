"""Plexon's .plx, version 106, after Plexon.h: headers, then blocks of samples of one slow channel each."""

import struct
from pathlib import Path

import numpy as np

#: µV a bit: 5000 mV over 12 bits, the amplifiers' gains 1 and 1000.
MICROVOLTS = 5000 / 2048 / 1000 * 1e3
BLOCK = 150


def write(folder: Path, data: np.ndarray, rate: float = 40000.0, gap_after: int | None = None) -> Path:
    """Wide-band channels WB01 ...; a second is missing after block `gap_after`."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(data)
    head = struct.pack("<Ii128s", 0x58454C50, 106, b"")
    head += struct.pack("<14i", int(rate), 0, 0, count, 32, 8, 2024, 1, 1, 12, 0, 0, 0, int(rate))
    head += struct.pack("<d4B3H", float(data.shape[1]), 1, 1, 12, 12, 3000, 5000, 1000)
    head = head.ljust(256, b"\0") + bytes(4 * (650 + 650 + 512))
    for k in range(count):
        name = f"WB{1 + k:02d}".encode()
        head += struct.pack("<32s6i128s", name, k, int(rate), 1, 1, 1000, 0, b"").ljust(296, b"\0")
    parts = [head]
    for begin in range(0, data.shape[1], BLOCK):
        late = int(rate) if gap_after is not None and begin >= gap_after * BLOCK else 0
        for k, row in enumerate(data):
            piece = row[begin : begin + BLOCK].astype("<i2")
            parts.append(struct.pack("<2HI4H", 5, 0, begin + late, k, 0, 1, len(piece)) + piece.tobytes())
    (folder / "rec.plx").write_bytes(b"".join(parts))
    return folder
