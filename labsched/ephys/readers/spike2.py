"""Opening a folder of Spike2 exports: every channel of every file as something that can be read from anywhere."""

import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import hdf5, mat5, matlab, survey, times
from labsched.ephys.readers.source import Source
from labsched.ephys.readers.survey import Export, Wave
from labsched.ephys.readers.tracks import Track, aligned
from labsched.ephys.recording import Segment, keep, natural

#: A channel's ``fetch(start, stop)`` of raw numbers, and its runs without a gap.
Opened = tuple[Callable[[int, int], NDArray], tuple[times.Run, ...]]

#: Of a sample of a block: so many files are opened; where they are packed, for so many bytes (but one file at least).
SOME_FILES, SOME_UNPACKED = 40, 400_000_000


def examine(source: Path, files: Sequence[Path], omit: Collection[str]) -> Source:
    """What the headers of exports say. Raises EphysError where they do not fit together."""
    exports = survey.survey(files)
    labels = {label for export in exports for label in export.waves}
    kept = keep(labels, omit)
    survey.agree(exports, kept)
    rate = survey.rate_of(exports, kept)
    used = {export.path for export in exports}
    notes = [f"{path.name} has no waveform channel: left out" for path in files if path not in used]
    waves = [export.waves[label] for export in exports for label in kept]
    strange = sorted({wave.units for wave in waves if wave.units and not survey.known(wave.units)})
    notes += survey.notes_on((name for export in exports for name in export.others), strange)
    return Source(
        path=source,
        files=tuple(export.path for export in exports),
        format="spike2",
        labels=tuple(sorted(labels, key=natural)),
        kept=kept,
        omitted=tuple(sorted(set(omit), key=natural)),
        rate=rate,
        n_samples=sum(max(export.waves[label].count for label in kept) for export in exports),
        n_bytes=sum(export.path.stat().st_size for export in exports),
        gain_known=gain_known(exports, kept),
        notes=tuple(notes),
        opener=lambda kept, scratch, stack: segments(exports, kept, rate, scratch, stack),
        sampler=lambda kept, scratch, stack: segments(_some(exports, kept), kept, rate, scratch, stack),
        unpacked=sum(wave.array.stored.itemsize * wave.count for wave in waves if wave.array.packed),
    )


def _some(exports: Sequence[Export], kept: Sequence[str]) -> list[Export]:
    """Some of the exports, spread over all: opening them, and unpacking those that are packed, is no long work."""
    waves = [export.waves[label] for export in exports for label in kept]
    packed = sum(wave.array.stored.itemsize * wave.count for wave in waves if wave.array.packed)
    keep = min(len(exports), SOME_FILES, max(int(len(exports) * SOME_UNPACKED / max(packed, 1)), 1))
    return [exports[int((k + 0.5) * len(exports) / keep)] for k in range(keep)]


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
        opened = _open(export, kept, rate, scratch, stack)
        tracks = [
            Track(label, *opened[label], *_gain(export.waves[label], counts[label]))
            for label in sorted(opened, key=natural)
        ]
        # h5py lets one thread in at a time by itself.
        found.extend(aligned(export.path, tracks, all(counts.values()), rate, parallel=True))
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


def _open(
    export: Export, kept: Sequence[str], rate: float, scratch: Path | None, stack: ExitStack
) -> dict[str, Opened]:
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
) -> dict[str, Opened]:
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
        fetch = _guarded(export.path, hdf5.direct(values) or matlab.column(values))
        if spool is not None and wave.array.packed:
            begin, step = spool.tell(), max(values.chunks)
            for start in range(0, wave.count, step):
                spool.write(np.ascontiguousarray(fetch(start, min(start + step, wave.count))).tobytes())
            spool.flush()
            fetch = _positioned(export.path, spool.fileno(), begin, values.dtype)
        tracks[label] = fetch, found
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
        except (OSError, RuntimeError, hdf5.Damaged) as error:
            raise matlab.unreadable(path, f"it is damaged ({str(error).splitlines()[0]})") from None

    return guarded


def _open5(
    export: Export, kept: Sequence[str], rate: float, scratch: Path | None, stack: ExitStack
) -> dict[str, Opened]:
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
        tracks[wave.label] = fetch, tuple(found)
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
