"""Spike2's own files of 32 bit (.smr): the layout of CED's SON library, as its "Son.h" describes it (versions 1 to 9).

Each channel is a chain of blocks, stamped with the time of their first sample. Channels that are sampled one after the
other begin at times of their own. neo's reader takes all for simultaneous, parts those that differ in scale, and counts
no more than 32,767 blocks, so that this one reads for itself; it needs no package.
"""

import os
import struct
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import times
from labsched.ephys.readers.survey import MICROVOLTS, plain_unit

HEAD, CHANNEL, BLOCK = 512, 140, 20
ADC, REAL = 1, 9
UNIT = 512  # bytes that positions count in files of version 9
STORED: dict[int, np.dtype] = {ADC: np.dtype("<i2"), REAL: np.dtype("<f4")}


@dataclass(frozen=True)
class Wave:
    """A waveform channel: `kind` of its numbers, ``microvolts = raw * gain + offset``, and where its chain begins."""

    label: str
    number: int
    kind: int
    interval_ticks: int
    gain: float
    offset: float
    units: str
    first_block: int
    blocks: int


@dataclass(frozen=True)
class Chain:
    """A channel's blocks: where their samples lie (bytes), how many precede each, and the runs without a gap."""

    places: NDArray[np.int64]
    before: NDArray[np.int64]
    runs: tuple[times.Run, ...]


@dataclass(frozen=True)
class File:
    """One .smr, looked at: `tick_s` is a tick of its clock; `others` are channels that are no waveforms."""

    path: Path
    tick_s: float
    waves: tuple[Wave, ...]
    chains: dict[str, Chain]
    others: tuple[str, ...]

    def rate(self, wave: Wave) -> float:
        rate = 1.0 / (wave.interval_ticks * self.tick_s)
        return float(round(rate)) if abs(rate - round(rate)) < 1e-6 * rate else rate


def damaged(path: Path, why: str) -> EphysError:
    """The sentence for a file that is not whole."""
    return EphysError(f"cannot read {path}: {why}: copy it here again, or export it from Spike2 once more")


def look(path: Path) -> File:
    """Read headers and chains. Raises EphysError naming file and channel where they lead nowhere."""
    try:
        return _look(path)
    except PermissionError:
        raise EphysError(f"cannot read {path}: permission denied") from None
    except OSError as error:
        raise damaged(path, error.strerror or str(error)) from None


def _look(path: Path) -> File:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(HEAD)
        if not head:
            raise damaged(path, "it is empty (0 bytes)")
        version = struct.unpack_from("<h", head)[0] if len(head) == HEAD else 0
        if not 1 <= version <= 9 or b"CED" not in head[2:12]:
            raise damaged(path, "it is no file of Spike2 (32 bit)")
        per_time, per_adc = struct.unpack_from("<2h", head, 20)
        (channels,) = struct.unpack_from("<h", head, 30)
        (base,) = struct.unpack_from("<d", head, 44)
        base = base if version >= 6 else 1e-6
        tick = per_time * base
        if not (np.isfinite(tick) and tick > 0) or not 0 <= channels <= 2000:
            raise damaged(path, "its header is damaged")
        waves, others = [], []
        for number in range(channels):
            row = file.read(CHANNEL)
            if len(row) < CHANNEL:
                raise damaged(path, "it was cut short within its header")
            kind = row[122]
            if kind in STORED:
                waves.append(_wave(path, row, number, version, per_adc, tick))
            elif kind:
                others.append(_text(row[108:118]) or f"channel {number + 1}")
        waves = _unlike(waves)
        chains = {wave.label: _chain(path, file.fileno(), size, wave, version, tick) for wave in waves}
    return File(path, tick, tuple(waves), chains, tuple(others))


def _text(field: bytes) -> str:
    """Pascal's: the first byte says how many follow."""
    return field[1 : 1 + field[0]].decode("latin-1").strip("\0 ")


def _wave(path: Path, row: bytes, number: int, version: int, per_adc: int, tick: float) -> Wave:
    (first,) = struct.unpack_from("<i", row, 6)
    low, _, _, high = struct.unpack_from("<HhhH", row, 14)
    (ticks,) = struct.unpack_from("<i", row, 102)
    kind = row[122]
    scale, offset = struct.unpack_from("<2f", row, 124)
    units = _text(row[132:138])
    (divide,) = struct.unpack_from("<h", row, 138)
    label = "_".join(_text(row[108:118]).replace(",", " ").split()) or f"Ch{number + 1}"
    interval = ticks if version >= 6 else divide * per_adc
    blocks = low + (high << 16 if version == 9 else 0)
    if interval <= 0 and blocks:
        raise damaged(path, f"channel {label} has no sampling interval")
    factor = MICROVOLTS.get(plain_unit(units), 1e6)
    if kind == REAL:
        return Wave(label, number, kind, interval, factor, 0.0, units, first, blocks)
    if not np.isfinite([scale, offset]).all() or scale == 0:
        raise damaged(path, f"the scale of channel {label} is damaged")
    return Wave(label, number, kind, interval, scale / 6553.6 * factor, offset * factor, units, first, blocks)


def _unlike(waves: list[Wave]) -> list[Wave]:
    """Those that have samples, with labels of their own."""
    filled = [wave for wave in waves if wave.blocks]
    names = [wave.label for wave in filled]
    return [
        wave if names.count(wave.label) == 1 else Wave(**{**vars(wave), "label": f"{wave.label}_{wave.number + 1}"})
        for wave in filled
    ]


def _chain(path: Path, fd: int, size: int, wave: Wave, version: int, tick: float) -> Chain:
    unit, width = (UNIT if version == 9 else 1), STORED[wave.kind].itemsize
    places: list[int] = []
    counts: list[int] = []
    starts: list[int] = []
    at, count = wave.first_block * unit, wave.blocks
    while len(places) < count:
        head = os.pread(fd, BLOCK, at) if 0 < at < size else b""
        if len(head) < BLOCK:
            raise damaged(path, f"block {len(places) + 1} of {count} of channel {wave.label} lies past its end")
        _, after, start, _, channel, items = struct.unpack("<4iHH", head)
        if channel != wave.number + 1 or not items:
            raise damaged(path, f"block {len(places) + 1} of channel {wave.label} is damaged")
        if at + BLOCK + items * width > size:
            raise damaged(path, f"it was cut short within channel {wave.label}")
        if starts and start < starts[-1] + (counts[-1] - 0.5) * wave.interval_ticks:
            raise damaged(path, f"the times of channel {wave.label} go back at sample {sum(counts)}")
        places.append(at + BLOCK)
        counts.append(items)
        starts.append(start)
        at = after * unit
    before = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    late = np.diff(starts) - np.array(counts[:-1]) * wave.interval_ticks
    cuts = [0, *(np.flatnonzero(late > 0.5 * wave.interval_ticks) + 1).tolist(), count]
    runs = tuple(times.Run(int(before[a]), int(before[b] - before[a]), starts[a] * tick) for a, b in pairwise(cuts))
    return Chain(np.array(places, dtype=np.int64), before, runs)


def opened(file: File, wave: Wave, fd: int) -> Callable[[int, int], NDArray]:
    """``fetch(start, stop)`` of a channel's raw numbers, over all its blocks; safe in several threads."""
    chain, stored = file.chains[wave.label], STORED[wave.kind]

    def fetch(start: int, stop: int) -> NDArray:
        parts = []
        first = int(np.searchsorted(chain.before, start, side="right")) - 1
        last = int(np.searchsorted(chain.before, stop, side="left"))
        for block in range(first, last):
            low = max(start - int(chain.before[block]), 0)
            high = min(stop, int(chain.before[block + 1])) - int(chain.before[block])
            begin = int(chain.places[block]) + low * stored.itemsize
            data = os.pread(fd, (high - low) * stored.itemsize, begin)
            if len(data) != (high - low) * stored.itemsize:
                raise damaged(file.path, "it became shorter while it was read")
            parts.append(data)
        return np.frombuffer(b"".join(parts), dtype=stored)

    def guarded(start: int, stop: int) -> NDArray:
        try:
            return fetch(start, stop)
        except OSError as error:
            raise damaged(file.path, error.strerror or str(error)) from None

    return guarded


def descriptor(path: Path, stack: ExitStack) -> int:
    """The file, open until `stack` closes."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd
