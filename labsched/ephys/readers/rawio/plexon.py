"""Plexon's samples and gaps, from the list of blocks that neo makes of a .plx.

neo 0.14 itself gives zeros for the last block of a recording, miscounts where blocks are not of one length, and tells
no gaps.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import times

SIGNAL = 5


def blocks(reader: Any, channel: int) -> tuple[NDArray, NDArray[np.int64]]:
    """(neo's blocks of a channel, how many of its samples come before each, and in all)."""
    found = reader._data_blocks[SIGNAL][channel]
    return found, np.concatenate(([0], np.cumsum(found["size"] // 2))).astype(np.int64)


def check(reader: Any, path: Path, stream: int) -> None:
    """Raises EphysError where a block of a channel lies past the end of the file, or channels differ."""
    first = None
    for channel in numbers(reader, stream):
        found, before = blocks(reader, channel)
        if len(found) and int((found["pos"] + found["size"]).max()) > reader._memmap.size:
            raise EphysError(f"{path} was cut short within channel number {channel}: copy it here again")
        first = int(before[-1]) if first is None else first
        if int(before[-1]) != first:
            raise EphysError(
                f"channel number {channel} in {path} has {before[-1]} samples where others have {first}: it was cut "
                "short: copy it here again"
            )


def chunk(reader: Any, start: int, stop: int, channels: list[int]) -> NDArray:
    """Samples `start` to `stop` of channels, given by their numbers in the file: int16 of (samples, channels)."""
    made = np.zeros((stop - start, len(channels)), dtype=np.int16)
    for column, channel in enumerate(channels):
        found, before = blocks(reader, channel)
        first = int(np.searchsorted(before, start, side="right")) - 1
        last = int(np.searchsorted(before, stop, side="left"))
        for block, begun in zip(found[first:last], before[first:last].tolist(), strict=True):
            data = reader._memmap[block["pos"] : block["pos"] + block["size"]].view("<i2")
            low, high = max(start - begun, 0), min(len(data), stop - begun)
            made[begun - start + low : begun - start + high, column] = data[low:high]
    return made


def numbers(reader: Any, stream: int) -> list[int]:
    """The numbers in the file of the channels of one of neo's streams."""
    rows = reader.header["signal_channels"]
    rows = rows[rows["stream_id"] == reader.header["signal_streams"][stream]["id"]]
    return [int(row["id"]) for row in rows]


def runs(reader: Any, stream: int, start_s: float, rate: float) -> list[times.Run]:
    """The runs without a gap: blocks are stamped in ticks of the device's clock."""
    found, before = blocks(reader, numbers(reader, stream)[0])
    seconds = found["timestamp"] / float(reader._global_ssampling_rate)
    late = np.diff(seconds) - np.diff(before[:-1]) / rate
    cuts = [0, *(np.flatnonzero(np.abs(late) > 0.5 / rate) + 1).tolist(), len(found)]
    return [
        times.Run(int(before[a]), int(before[b] - before[a]), float(seconds[a] - seconds[0]) + start_s)
        for a, b in pairwise(cuts)
    ]
