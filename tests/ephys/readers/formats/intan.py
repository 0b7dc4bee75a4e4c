"""Intan's RHD2000 and RHS2000 files of the traditional kind: a header, then blocks of 128 samples (Intan's own
"RHD/RHS application note: data file formats")."""

import struct
from pathlib import Path

import numpy as np

MICROVOLTS = 0.195
SAMPLES = 128


def _text(text: str) -> bytes:
    raw = text.encode("utf-16-le")
    return struct.pack("<I", len(raw)) + raw if text else struct.pack("<I", 0xFFFFFFFF)


def _channel(name: str, order: int, kind: int, rhs: bool) -> bytes:
    numbers = [order, order, kind, 1, order, 0, 0] if rhs else [order, order, kind, 1, order, 0]
    trigger = struct.pack("<4h", 1, 0, 0, 0)
    return _text(name) + _text(name) + struct.pack(f"<{len(numbers)}h", *numbers) + trigger + struct.pack("<2f", 1e5, 0)


def header(count: int, rate: float, rhs: bool = False, extra: int = 1) -> bytes:
    """`count` amplifier channels A-000 ..., and `extra` of the board's ADC."""
    if rhs:
        head = struct.pack("<I2hf", 0xD69127AC, 3, 0, rate) + struct.pack("<h8f", 1, 1, 0.1, 1, 7500, 1, 0.1, 1, 7500)
        head += struct.pack("<h2f2h3f", 0, 1000, 1000, 0, 0, 1e-6, 1e-9, 0)
        head += _text("") * 3 + struct.pack("<2h", 0, 0) + _text("hardware")
    else:
        head = struct.pack("<I2hf", 0xC6912702, 3, 0, rate) + struct.pack("<h6f", 1, 1, 0.1, 7500, 1, 0.1, 7500)
        head += struct.pack("<h2f", 0, 1000, 1000) + _text("") * 3 + struct.pack("<2h", 0, 0) + _text("hardware")
    head += struct.pack("<h", 2)
    head += _text("Port A") + _text("A") + struct.pack("<3h", 1, count, count)
    head += b"".join(_channel(f"A-{k:03d}", k, 0, rhs) for k in range(count))
    head += _text("Board ADC Inputs") + _text("ANALOG-IN") + struct.pack("<3h", 1, extra, 0)
    return head + b"".join(_channel(f"ANALOG-IN-{k}", k, 3, rhs) for k in range(extra))


def write(
    folder: Path, data: np.ndarray, rate: float = 20000.0, name: str = "rec_240101_120000", first: int = 0,
    rhs: bool = False,
) -> Path:  # fmt: skip
    """As many whole blocks of 128 samples as `data` has; a block's stamps go on from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    count, blocks = len(data), data.shape[1] // SAMPLES
    parts = [header(count, rate, rhs)]
    for block in range(blocks):
        begin = block * SAMPLES
        stamps = np.arange(first + begin, first + begin + SAMPLES, dtype="<i4")
        raw = (data[:, begin : begin + SAMPLES].astype(np.int32) + 32768).astype("<u2")
        parts += [stamps.tobytes(), raw.tobytes()]
        if rhs:
            parts.append(np.zeros((count, SAMPLES), "<u2").tobytes())  # stimulation
        parts.append(np.full(SAMPLES, 32768, "<u2").tobytes())
    (folder / f"{name}.{'rhs' if rhs else 'rhd'}").write_bytes(b"".join(parts))
    return folder


def write_split(folder: Path, data: np.ndarray, rate: float = 20000.0) -> Path:
    """One file per type of signal: info.rhd, time.dat, amplifier.dat, analogin.dat."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "info.rhd").write_bytes(header(len(data), rate))
    (folder / "time.dat").write_bytes(np.arange(data.shape[1], dtype="<i4").tobytes())
    (folder / "amplifier.dat").write_bytes(data.T.astype("<i2").tobytes())
    (folder / "analogin.dat").write_bytes(np.full(data.shape[1], 32768, "<u2").tobytes())
    return folder
