"""Opening a folder of Spike2 exports: every channel of every file as something that can be read from anywhere."""

import math
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import mat5, matlab, times
from labsched.ephys.readers.survey import Export, Wave
from labsched.ephys.recording import Segment, natural, padded

#: Channels of one recording may differ by this many samples in length and start: they are sampled one after the other.
SLACK = 2
#: Samples; the precision of times in a long file is no better.
ALIGNED = 1e-5


@dataclass(frozen=True)
class Track:
    """A channel of a file, open: ``fetch(start, stop)`` gives its raw numbers; `runs` are its runs without a gap."""

    wave: Wave
    fetch: Callable[[int, int], NDArray]
    runs: tuple[times.Run, ...]


def segments(
    exports: Sequence[Export], kept: Sequence[str], rate: float, scratch: Path | None, stack: ExitStack
) -> tuple[Segment, ...]:
    """The segments of all files in order; files stay open until `stack` closes.

    Compressed v5 files can be read only from their start: their channels are first unpacked into a nameless file in
    `scratch` (default: where temporary files go), which vanishes with the process. Raises EphysError, OSError.
    """
    counts = {label: _counts([export.waves[label] for export in exports]) for label in kept}
    found: list[Segment] = []
    for export in exports:
        tracks = _open(export, kept, rate, scratch, stack)
        found.extend(_segments(export, tracks, counts, rate))
    return tuple(found)


def _counts(waves: Sequence[Wave]) -> bool:
    """Whether a channel's numbers are counts of a converter: integers, or floats that are all whole."""
    if all(wave.integer for wave in waves):
        return True
    told = [wave.whole for wave in waves if wave.whole is not None]
    return bool(told) and all(told) and (waves[0].scale is not None or not waves[0].units)


def _gain(wave: Wave, counts: bool) -> tuple[float, float]:
    """(µV per raw unit, µV at raw 0)."""
    if not counts:
        return wave.factor, 0.0
    if wave.scale is None or not np.isfinite(wave.scale) or wave.scale == 0:
        return 1.0, 0.0
    return wave.scale * wave.factor, wave.offset * wave.factor


def gain_known(exports: Sequence[Export], kept: Sequence[str]) -> bool:
    """Whether every kept channel says what its numbers are worth."""
    waves = [export.waves[label] for export in exports for label in kept]
    return all(wave.scale is not None if wave.integer else bool(wave.units) for wave in waves)


def _open(export: Export, kept: Sequence[str], rate: float, scratch: Path | None, stack: ExitStack) -> dict[str, Track]:
    try:
        if matlab.version(export.path) == 73:
            return _open73(export, kept, rate, scratch, stack)
        return _open5(export, kept, rate, scratch, stack)
    except mat5.Damaged as error:
        raise matlab.unreadable(export.path, error) from None


def _runs(export: Export, wave: Wave, find: Callable[[float], list[times.Run]], rate: float) -> tuple[times.Run, ...]:
    try:
        return tuple(find(1.0 / rate))
    except times.Backwards as error:
        raise EphysError(
            f"the times of channel {wave.label} in {export.path} go backwards at sample {error.args[0]}: "
            "export the file again, or omit the channel"
        ) from None


def _same_length(export: Export, wave: Wave, count: int) -> None:
    if count != wave.count:
        raise EphysError(
            f"channel {wave.label} in {export.path} has {wave.count} values but {count} times: export the file again"
        )


def _open73(
    export: Export, kept: Sequence[str], rate: float, scratch: Path | None, stack: ExitStack
) -> dict[str, Track]:
    file = matlab.opened(export.path)
    stack.callback(file.close)
    spool = _spool(export, kept, scratch, stack)
    tracks = {}
    for label in kept:
        wave = export.waves[label]
        group = file[wave.struct.variable]
        found: tuple[times.Run, ...] = (times.Run(0, wave.count, wave.start_s),)
        stamps = wave.struct.arrays.get("times")
        if stamps is not None and stamps.count and stamps.kind == "double":
            _same_length(export, wave, stamps.count)
            column = _guarded(export.path, matlab.column(matlab.buffered(group, "times")))
            found = _runs(export, wave, partial(times.runs, column, wave.count), rate)
        values = matlab.buffered(group, "values")
        fetch = _guarded(export.path, matlab.column(values))
        if spool is not None and wave.array.packed:
            begin, step = spool.tell(), max(values.chunks)
            for start in range(0, wave.count, step):
                spool.write(np.ascontiguousarray(fetch(start, min(start + step, wave.count))).tobytes())
            spool.flush()
            fetch = _positioned(export.path, spool.fileno(), begin, values.dtype)
        tracks[label] = Track(wave, fetch, found)
    return tracks


def _spool(export: Export, kept: Sequence[str], scratch: Path | None, stack: ExitStack) -> BinaryIO | None:
    """A nameless file for what must be unpacked, where anything must be."""
    if not any(export.waves[label].array.packed for label in kept):
        return None
    return stack.enter_context(tempfile.TemporaryFile(dir=scratch, prefix=".labsched-spool-"))


def _guarded(path: Path, fetch: Callable[[int, int], NDArray]) -> Callable[[int, int], NDArray]:
    """The same fetch, with HDF5's complaints as a sentence that names the file."""

    def guarded(start: int, stop: int) -> NDArray:
        try:
            return fetch(start, stop)
        except (OSError, RuntimeError) as error:
            raise matlab.unreadable(path, f"it is damaged ({str(error).splitlines()[0]})") from None

    return guarded


def _open5(
    export: Export, kept: Sequence[str], rate: float, scratch: Path | None, stack: ExitStack
) -> dict[str, Track]:
    labels = {export.waves[label].struct.variable: label for label in kept}
    fd = os.open(export.path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    spool = _spool(export, kept, scratch, stack)
    tracks = {}
    for variable in mat5.variables(export.path, lambda names: names):
        if variable.name not in labels:
            continue
        wave = export.waves[labels[variable.name]]
        values, stamps = variable.fields["values"], variable.fields.get("times")
        found = [times.Run(0, wave.count, wave.start_s)]
        timed = stamps is not None and stamps.count > 0 and stamps.kind == "double"
        if stamps is not None and timed:
            _same_length(export, wave, stamps.count)
        if variable.compressed:
            assert spool is not None, "compressed variables are packed"
            begin = spool.tell()
            parts = _unpack(export.path, variable, ("values", "times") if timed else ("values",), spool)
            if stamps is not None and timed:
                found = list(_runs(export, wave, partial(_stream, parts, stamps.stored), rate))
            else:
                for _ in parts:
                    pass
            spool.flush()
            fetch = _positioned(export.path, spool.fileno(), begin, values.stored)
        else:
            fetch = _positioned(export.path, fd, variable.offset + values.position, values.stored)
            if stamps is not None and timed:
                column = _positioned(export.path, fd, variable.offset + stamps.position, stamps.stored)
                found = list(_runs(export, wave, partial(times.runs, column, wave.count), rate))
        tracks[wave.label] = Track(wave, fetch, tuple(found))
    return tracks


def _unpack(path: Path, variable: mat5.Variable, names: tuple[str, ...], spool):  # type: ignore[no-untyped-def]
    """Write `values` to the spool and yield the bytes of `times`."""
    for name, data in mat5.pieces(path, variable, names):
        if name == "values":
            spool.write(data)
        else:
            yield data


def _stream(parts, stored: np.dtype, interval: float) -> list[times.Run]:  # type: ignore[no-untyped-def]
    """Runs from the bytes of `times`, whose pieces may end within a number."""

    def numbers():  # type: ignore[no-untyped-def]
        rest = b""
        for part in parts:
            data = rest + part
            whole = len(data) - len(data) % stored.itemsize
            rest = data[whole:]
            yield np.frombuffer(data[:whole], dtype=stored).astype(float)

    return times.runs_of_stream(numbers(), interval)


def _positioned(path: Path, fd: int, begin: int, stored: np.dtype) -> Callable[[int, int], NDArray]:
    """fetch() for numbers that lie in a row in a file, safe to call from several threads."""

    def fetch(start: int, stop: int) -> NDArray:
        size = (stop - start) * stored.itemsize
        try:
            data = os.pread(fd, size, begin + start * stored.itemsize)
        except OSError as error:
            raise matlab.unreadable(path, error.strerror or error) from None
        if len(data) != size:
            raise matlab.unreadable(path, "it became shorter while it was read")
        numbers = np.frombuffer(data, dtype=stored)
        return numbers if stored.isnative else numbers.astype(stored.newbyteorder("="))

    return fetch


def _segments(export: Export, tracks: dict[str, Track], counts: dict[str, bool], rate: float) -> list[Segment]:
    kept = sorted(tracks, key=natural)
    first = tracks[kept[0]]
    for label in kept:
        if len(tracks[label].runs) != len(first.runs):
            raise EphysError(
                f"channels {kept[0]} and {label} in {export.path} do not have the same gaps: export the file again, "
                f"or omit {label}"
            )
    gains = [_gain(tracks[label].wave, counts[label]) for label in kept]
    made = []
    for index in range(len(first.runs)):
        runs = [tracks[label].runs[index] for label in kept]
        start = min(run.start_s for run in runs)
        late = [(run.start_s - start) * rate for run in runs]
        # Rounded down, so that sample i stays sample i for channels sampled one after the other within an interval.
        whole = [math.floor(each + ALIGNED) for each in late]
        length = max(run.count for run in runs)
        for label, run, shift in zip(kept, runs, late, strict=True):
            if shift > SLACK + 0.5:
                raise EphysError(
                    f"channel {label} in {export.path} begins {shift:.1f} samples after the others "
                    f"(at {run.start_s:.6f} s): omit it, or export the channels over the same time"
                )
            if run.count < length - SLACK:
                raise EphysError(
                    f"channel {label} in {export.path} has {run.count} samples where others have {length}: omit it, "
                    "or export the channels over the same time"
                )
        made.append(
            Segment(
                file=export.path,
                first=first.runs[index].first,
                n_samples=max(run.count + shift for run, shift in zip(runs, whole, strict=True)),
                start_s=start,
                shifts=tuple(max(each - n, 0.0) for each, n in zip(late, whole, strict=True)),
                gains=tuple(gain for gain, _ in gains),
                offsets=tuple(offset for _, offset in gains),
                counts=all(counts.values()),
                fetch=_stacked([tracks[label].fetch for label in kept], runs, whole),
            )
        )
    return made


def _stacked(
    fetches: Sequence[Callable[[int, int], NDArray]], runs: Sequence[times.Run], whole: Sequence[int]
) -> Callable[[int, int], NDArray]:
    """One fetch for all channels, each from its own first sample and whole-sample shift on."""

    def fetch(start: int, stop: int) -> NDArray:
        rows = []
        for get, run, shift in zip(fetches, runs, whole, strict=True):
            begin = run.first

            def inside(a: int, b: int, get: Callable[[int, int], NDArray] = get, begin: int = begin) -> NDArray:
                return get(begin + a, begin + b)

            rows.append(padded(inside, run.count, start - shift, stop - shift))
        return np.stack(rows)

    return fetch
