"""Plexon's samples and gaps, from the list of blocks that neo makes of a .plx.

neo 0.14 itself gives zeros for the last block of a recording, and no gaps.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.readers import times

SIGNAL = 5


def chunk(reader: Any, start: int, stop: int, channels: list[int]) -> NDArray:
    """Samples `start` to `stop` of channels, given by their numbers in the file: int16 of (samples, channels)."""
    made = np.zeros((stop - start, len(channels)), dtype=np.int16)
    for column, channel in enumerate(channels):
        blocks = reader._data_blocks[SIGNAL][channel]
        first = int(np.searchsorted(blocks["cumsum"], start, side="right")) - 1
        last = int(np.searchsorted(blocks["cumsum"], stop, side="left"))
        for block in blocks[first:last]:
            data = reader._memmap[block["pos"] : block["pos"] + block["size"]].view("<i2")
            begin = int(block["cumsum"]) - start
            low, high = max(-begin, 0), min(len(data), stop - int(block["cumsum"]))
            made[begin + low : begin + high, column] = data[low:high]
    return made


def numbers(reader: Any, stream: int) -> list[int]:
    """The numbers in the file of the channels of one of neo's streams."""
    rows = reader.header["signal_channels"]
    rows = rows[rows["stream_id"] == reader.header["signal_streams"][stream]["id"]]
    return [int(row["id"]) for row in rows]


def runs(reader: Any, stream: int, size: int, start_s: float, rate: float) -> list[times.Run]:
    """The runs without a gap: blocks are stamped in ticks of the device's clock."""
    blocks = reader._data_blocks[SIGNAL][numbers(reader, stream)[0]]
    seconds = blocks["timestamp"] / float(reader._global_ssampling_rate)
    late = np.diff(seconds) - np.diff(blocks["cumsum"]) / rate
    cuts = [0, *(np.flatnonzero(np.abs(late) > 0.5 / rate) + 1).tolist(), len(blocks)]
    edges = [*(int(blocks["cumsum"][cut]) for cut in cuts[:-1]), size]
    return [
        times.Run(edges[k], edges[k + 1] - edges[k], float(seconds[cuts[k]] - seconds[0]) + start_s)
        for k in range(len(cuts) - 1)
    ]
