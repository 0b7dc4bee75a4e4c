"""Flat int16 files: NAME.dat, samples of all channels one after the other, with a NAME.toml beside it.

The TOML has `rate` (Hz); `channels` (the labels in the order of the data) or `n_channels` (labelled Port_1 to Port_n);
and, where they are not these, `gain` (µV per bit, one number or one per channel; without it, one bit is taken as 1 µV
and called unknown), `offset_bytes` (0; what comes before the data), `start` (0 s) and `shifts` (0; by how much of a
sample each channel is sampled later than the first, one number per channel).
"""

import os
import tomllib
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.readers.source import Source
from labsched.ephys.recording import Segment, keep, natural, padded

#: Other names that people give to the keys.
ALIASES = {
    "sample_rate": "rate",
    "sampling_rate": "rate",
    "labels": "channels",
    "gain_uv": "gain",
    "uv_per_bit": "gain",
    "microvolts_per_bit": "gain",
    "num_channels": "n_channels",
    "offset": "offset_bytes",
}
KEYS = ("rate", "channels", "n_channels", "gain", "offset_bytes", "start", "shifts", "dtype")


@dataclass(frozen=True)
class Flat:
    """One .dat with what its .toml says; `n_samples` per channel, gains in µV per bit."""

    path: Path
    labels: tuple[str, ...]
    rate: float
    n_samples: int
    gains: tuple[float, ...]
    gain_known: bool
    offset_bytes: int
    start_s: float
    shifts: tuple[float, ...]


def examine(source: Path, files: Sequence[Path], omit: Collection[str]) -> Source:
    """What the .toml of each .dat says. Raises EphysError where they do not fit together."""
    flats = sorted((describe(path) for path in files), key=lambda each: (each.start_s, natural(each.path.name)))
    agree(flats)
    labels = flats[0].labels
    return Source(
        path=source,
        files=tuple(each.path for each in flats),
        format="flat",
        labels=tuple(sorted(labels, key=natural)),
        kept=keep(labels, omit),
        omitted=tuple(sorted(set(omit), key=natural)),
        rate=flats[0].rate,
        n_samples=sum(each.n_samples for each in flats),
        n_bytes=sum(each.path.stat().st_size for each in flats),
        gain_known=all(each.gain_known for each in flats),
        notes=(),
        opener=lambda kept, scratch, stack: tuple(segment(each, kept, stack) for each in flats),
    )


def describe(path: Path) -> Flat:
    """Read the .toml of a .dat and check it against the size of the data. Raises EphysError naming file and key."""
    beside = path.with_suffix(".toml")
    table = _table(path, beside)
    rate = _number(beside, table, "rate")
    if rate is None or rate <= 0:
        raise EphysError(f"{beside} needs `rate`, the sampling rate in Hz: add for example `rate = 20000`")
    labels = _labels(beside, table)
    if table.get("dtype", "int16") not in ("int16", "<i2"):
        raise EphysError(f"{beside}: dtype {table['dtype']!r} is not read: convert {path.name} to int16")
    gains = _each(beside, table, "gain", len(labels), 1.0)
    shifts = _each(beside, table, "shifts", len(labels), 0.0)
    if min(shifts) < 0 or max(shifts) >= 1:
        raise EphysError(f"{beside}: `shifts` are parts of a sample, from 0 to less than 1")
    if min(gains) <= 0:
        raise EphysError(f"{beside}: `gain` is in µV per bit and must be more than 0")
    offset = table.get("offset_bytes", 0)
    if not isinstance(offset, int) or isinstance(offset, bool) or offset < 0:
        raise EphysError(f"{beside}: `offset_bytes` must be a whole number of bytes, 0 or more")
    size = path.stat().st_size - offset
    if size <= 0:
        raise EphysError(f"{path} holds no samples: copy it here again, or correct `offset_bytes` in {beside.name}")
    if size % (2 * len(labels)):
        raise EphysError(
            f"{path} has {size} bytes of data, which is no multiple of {len(labels)} int16 channels: it was cut short, "
            f"or the channels or `offset_bytes` in {beside.name} are wrong"
        )
    start = _number(beside, table, "start") or 0.0
    known = "gain" in table
    return Flat(path, labels, rate, size // (2 * len(labels)), gains, known, offset, start, shifts)


def _table(path: Path, beside: Path) -> dict[str, Any]:
    try:
        text = beside.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EphysError(
            f"{path} has no {beside.name} beside it: write one with `rate`, and `channels` or `n_channels`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise EphysError(f"cannot read {beside}: {getattr(error, 'strerror', None) or error}") from None
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EphysError(f"{beside} is no valid TOML: {error}") from None
    table = {ALIASES.get(key, key): value for key, value in given.items()}
    unknown = set(table) - set(KEYS)
    if unknown:
        raise EphysError(f"{beside}: unknown key {sorted(unknown)[0]!r}: it may have {', '.join(KEYS)}")
    return table


def _number(beside: Path, table: dict[str, Any], key: str) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise EphysError(f"{beside}: `{key}` must be a number, not {value!r}")
    return float(value)


def _labels(beside: Path, table: dict[str, Any]) -> tuple[str, ...]:
    channels, count = table.get("channels"), table.get("n_channels")
    if isinstance(channels, int) and count is None:
        channels, count = None, channels
    if channels is None:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise EphysError(f"{beside} needs `channels`, a list of labels, or `n_channels`, how many there are")
        return tuple(f"Port_{number}" for number in range(1, count + 1))
    if not isinstance(channels, list) or not channels or not all(isinstance(each, str) and each for each in channels):
        raise EphysError(f"{beside}: `channels` must be a list of labels, such as ['Port_1', 'Port_2']")
    twice = sorted({each for each in channels if channels.count(each) > 1}, key=natural)
    if twice:
        raise EphysError(f"{beside}: channel {twice[0]} is there twice: every label must be its own")
    if count is not None and count != len(channels):
        raise EphysError(f"{beside}: `n_channels` is {count} but `channels` names {len(channels)}: correct one of them")
    return tuple(channels)


def _each(beside: Path, table: dict[str, Any], key: str, count: int, default: float) -> tuple[float, ...]:
    value = table.get(key, default)
    values = value if isinstance(value, list) else [value] * count
    if len(values) != count:
        raise EphysError(
            f"{beside}: `{key}` has {len(values)} numbers for {count} channels: give one, or one a channel"
        )
    if not all(isinstance(each, int | float) and not isinstance(each, bool) and np.isfinite(each) for each in values):
        raise EphysError(f"{beside}: `{key}` must be a number, or a list of numbers")
    return tuple(float(each) for each in values)


def agree(files: Sequence[Flat]) -> None:
    """Check that several files are of one recording. Raises EphysError naming what differs."""
    for each in files[1:]:
        if each.rate != files[0].rate:
            raise EphysError(
                f"different sampling rates: {files[0].path.name} {files[0].rate:g} Hz, {each.path.name} {each.rate:g} "
                "Hz: put them into blocks of their own"
            )
        if set(each.labels) != set(files[0].labels):
            odd = sorted(set(each.labels) ^ set(files[0].labels), key=natural)
            raise EphysError(
                f"{files[0].path} and {each.path} do not have the same channels ({', '.join(odd)} only in one): "
                "put them into blocks of their own, or correct their .toml"
            )


def segment(flat: Flat, kept: Sequence[str], stack: ExitStack) -> Segment:
    """The segment that a .dat is; it stays open until `stack` closes."""
    fd = os.open(flat.path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    columns = [flat.labels.index(label) for label in kept]
    everything = columns == list(range(len(flat.labels)))
    width = 2 * len(flat.labels)

    def inside(start: int, stop: int) -> NDArray:
        try:
            data = os.pread(fd, (stop - start) * width, flat.offset_bytes + start * width)
        except OSError as error:
            raise EphysError(f"cannot read {flat.path}: {error.strerror or error}: copy it here again") from None
        if len(data) != (stop - start) * width:
            raise EphysError(f"{flat.path} became shorter while it was read: submit it again once it is complete")
        samples = np.frombuffer(data, dtype="<i2").reshape(-1, len(flat.labels))
        return samples.T if everything else samples.take(columns, axis=1).T

    def fetch(start: int, stop: int) -> NDArray:
        return padded(inside, flat.n_samples, start, stop)

    return Segment(
        file=flat.path,
        first=0,
        n_samples=flat.n_samples,
        start_s=flat.start_s,
        shifts=tuple(flat.shifts[column] for column in columns),
        gains=tuple(flat.gains[column] for column in columns),
        offsets=(0.0,) * len(kept),
        counts=True,
        fetch=fetch,
        parallel=True,
    )
