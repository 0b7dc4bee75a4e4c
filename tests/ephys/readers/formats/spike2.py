"""Spike2's .smr of version 9 (or 6), after CED's Son.h: a header, 140 bytes a channel, chains of blocks."""

import struct
from pathlib import Path
from typing import Any

import numpy as np

#: A tick, µs; the channels' rate must divide 1 / TICK.
TICK = 1.0


def _pascal(text: str, size: int) -> bytes:
    return (bytes([len(text)]) + text.encode("latin-1")).ljust(size, b"\0")


def write(
    folder: Path, data: np.ndarray, rate: float = 20000.0, name: str = "rec.smr", late: float = 0.0,
    scale: Any = 1.0, offset: Any = 0.0, units: str = "mV", titles: list[str] | None = None, items: int = 500,
    gap_after: int | None = None, version: int = 9, real: bool = False, events: bool = True,
) -> Path:  # fmt: skip
    """Channels Port_1 ..., each `late` s after the one before, in blocks of `items` samples.

    A second is missing after block `gap_after`. ``value in units = raw * scale / 6553.6 + offset``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count, unit = len(data), 512 if version == 9 else 1
    scales, offsets = np.broadcast_to(scale, count), np.broadcast_to(offset, count)
    titles = titles or [f"Port_{1 + k}" for k in range(count)]
    ticks = round(1e6 / rate / TICK)
    size = 4 if real else 2
    channels = 32
    begin = -(-(512 + 140 * channels) // 512) * 512
    length = -(-(20 + items * size) // 512) * 512
    blocks = -(-data.shape[1] // items)
    body, rows = [], []
    for block in range(blocks):
        for k, row in enumerate(data):
            part = row[block * items : (block + 1) * items]
            start = block * items * ticks + round(k * late * 1e6 / TICK)
            start += round(1e6 / TICK) if gap_after is not None and block >= gap_after else 0
            here = begin + (block * count + k) * length
            before = (here - count * length) // unit if block else -1
            after = (here + count * length) // unit if block < blocks - 1 else -1
            raw = (part * scales[k] / 6553.6 + offsets[k]).astype("<f4") if real else part.astype("<i2")
            head = struct.pack("<4iHH", before, after, start, start + (len(part) - 1) * ticks, k + 1, len(part))
            body.append((head + raw.tobytes()).ljust(length, b"\0"))
    for k in range(channels):
        kind = (9 if real else 1) if k < count else (3 if events and k == count else 0)
        first, last = begin + k * length, begin + ((blocks - 1) * count + k) * length
        many = blocks if k < count else 0
        row = struct.pack("<hiiiHhhHHH", 0, -1, first // unit if many else -1, last // unit if many else -1,
                          many & 0xFFFF, 0, 0, many >> 16, length, items)  # fmt: skip
        row += _pascal("", 72) + struct.pack("<iih", 0, ticks, k)
        row += _pascal(titles[k] if k < count else ("trigger" if kind else ""), 10) + struct.pack("<f", rate)
        row += bytes([kind, 0])
        row += struct.pack("<2f", scales[k] if k < count else 1, offsets[k] if k < count else 0) + _pascal(units, 6)
        rows.append((row + struct.pack("<h", 1)).ljust(140, b"\0"))
    head = struct.pack("<h10s8s", version, b"(C) CED 87", b"labsched") + struct.pack("<hhh", round(TICK), 1, 0)
    head += struct.pack("<ihhhhhi", begin // unit, channels, 140, 0, length, 0, data.shape[1] * ticks)
    head += struct.pack("<dBh", 1e-6, 0, 2024)
    path = folder / name
    path.write_bytes((head.ljust(512, b"\0") + b"".join(rows)).ljust(begin, b"\0") + b"".join(body))
    return folder
