"""A block of files of one of neo's formats, as a source and its segments."""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import times
from labsched.ephys.readers.rawio import gaps, header, lengths, mapped, plexon, probes, streams
from labsched.ephys.readers.rawio.kinds import Kind, units
from labsched.ephys.readers.source import Source
from labsched.ephys.readers.tracks import Track, aligned
from labsched.ephys.recording import Segment, keep, listed, natural, padded


@dataclass(frozen=True)
class Unit:
    """What one reader of neo's opened: `extents` are ((block, segment), runs) with the samples of the stream."""

    path: Path
    kind: Kind
    reader: Any
    stream: streams.Stream
    extents: tuple[tuple[tuple[int, int], tuple[times.Run, ...]], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(channel.label for channel in self.stream.channels)

    @property
    def start_s(self) -> float:
        return self.extents[0][1][0].start_s


def examine(
    source: Path, kind: Kind, found: Sequence[Path], deep: Sequence[Path], omit: Collection[str], wanted: str
) -> Source:
    """What the headers say; `deep` are all files below the block. Raises EphysError, in a sentence."""
    opened, notes = [], []
    for path, arguments in units(kind, source, found):
        unit, told = _open(path, kind, arguments, found, wanted)
        opened.append(unit)
        notes += [note for note in told if note not in notes]
    opened.sort(key=lambda each: (each.start_s, natural(each.path.name)))
    _agree(opened)
    first = opened[0]
    kept = keep(first.labels, omit)
    channels = {channel.label: channel for channel in first.stream.channels}
    files = tuple(_files(kind, found, deep))
    wiring, carried = probes.wiring(kind, first.reader, first.stream, found)
    notes += carried
    return Source(
        path=source,
        files=files,
        format=kind.name,
        labels=tuple(sorted(first.labels, key=natural)),
        kept=kept,
        omitted=tuple(sorted(set(omit), key=natural)),
        rate=first.stream.rate,
        n_samples=sum(run.count for unit in opened for _, runs in unit.extents for run in runs),
        n_bytes=sum(path.stat().st_size for path in files),
        gain_known=all(channels[label].known for label in kept),
        notes=tuple(notes),
        opener=lambda kept, scratch, stack: tuple(
            segment for unit in opened for segment in _segments(unit, kept, stack)
        ),
        stream=first.stream.name,
        wiring=wiring,
    )


def _files(kind: Kind, found: Sequence[Path], deep: Sequence[Path]) -> list[Path]:
    """The files that hold the recording: for checksums, and to keep the results off them."""
    if kind.name == "SpikeGLX":
        return [file for meta in found for file in (meta, meta.with_suffix(".bin"))]
    if kind.marker:
        names = {"continuous.dat", "sample_numbers.npy", "timestamps.npy", kind.marker}
        return [each for each in deep if each.name in names]
    if kind.name == "Intan" and any(each.stem.lower() == "info" for each in found):
        homes = {each.parent for each in found}
        return [*found, *(each for each in deep if each.parent in homes and each.suffix == ".dat")]
    return list(found)


def _open(
    path: Path, kind: Kind, arguments: dict[str, Any], found: Sequence[Path], wanted: str
) -> tuple[Unit, list[str]]:
    with header.reported(path, kind):
        lengths.before(kind, found)
    reader, notes = header.parse(kind, path, arguments)
    with (
        ExitStack() as done,
        header.reported(path, kind),
        header.listening(notes),
        mapped.reading(path),
        mapped.trimmed(),
    ):
        done.callback(mapped.close, reader)
        lengths.check(kind, reader, path, found)
        listing = streams.listing(kind, reader.header)
        if not listing:
            raise EphysError(f"{path} has no waveform channel: it is of {kind.name}, but holds only events or spikes")
        stream, told = streams.choose(path, listing, wanted)
        extents = []
        for where in [(b, s) for b in range(reader.block_count()) for s in range(reader.segment_count(b))]:
            runs = _runs(kind, reader, path, where, stream)
            if runs:
                extents.append((where, tuple(runs)))
        if not extents:
            raise EphysError(f"{path} has no samples in stream {stream.name}: copy it here again, or take it out")
        return Unit(path, kind, reader, stream, tuple(extents)), [*told, *notes]


def _runs(kind: Kind, reader: Any, path: Path, where: tuple[int, int], stream: streams.Stream) -> list[times.Run]:
    number = stream.channels[0].stream
    size = int(reader.get_signal_size(*where, number))
    if size <= 0:
        return []
    if kind.name != "Plexon" and not np.asarray(reader.get_analogsignal_chunk(*where, size - 1, size, number)).size:
        raise header.unreadable(path, kind.name, "its last sample is not there: it was cut short")
    start = float(reader.get_signal_t_start(*where, number))
    return gaps.runs(kind, reader, path, where, number, size, start, stream.rate)


def _agree(opened: Sequence[Unit]) -> None:
    """Raises EphysError naming the file whose rate or channels are not those of the first."""
    first = opened[0]
    for each in opened[1:]:
        if abs(each.stream.rate - first.stream.rate) > 1e-6 * first.stream.rate:
            raise EphysError(
                f"different sampling rates: {first.path.name} {first.stream.rate:g} Hz, {each.path.name} "
                f"{each.stream.rate:g} Hz: put them into blocks of their own"
            )
        odd = set(each.labels) ^ set(first.labels)
        if odd:
            raise EphysError(
                f"{first.path} and {each.path} do not have the same channels ({listed(odd)} only in one): put them "
                "into blocks of their own"
            )


class _Taps:
    """What the fetches of one reader share: neo's readers have no lock of their own; `read` counts bytes."""

    def __init__(self) -> None:
        self.lock, self.read = Lock(), 0


def _segments(unit: Unit, kept: Sequence[str], stack: ExitStack) -> list[Segment]:
    channels = {channel.label: channel for channel in unit.stream.channels}
    wanted = [channels[label] for label in kept]
    counts = all(np.dtype(each.dtype).kind in "iu" for each in wanted)
    taps = _Taps()
    stack.callback(mapped.close, unit.reader)
    made: list[Segment] = []
    begun: dict[Path, int] = {}
    for where, runs in unit.extents:
        if unit.kind.joined:
            tracks = [_track(unit, where, each, taps) for each in wanted]
            for segment in aligned(unit.path, tracks, counts, unit.stream.rate):
                made.append(replace(segment, first=begun.setdefault(unit.path, 0)))
                begun[unit.path] += segment.n_samples
            continue
        inside = _fetch(unit, where, wanted, taps)
        file = _file(unit, where, wanted[0].stream)
        for run in runs:
            first = begun.setdefault(file, 0)
            begun[file] += run.count
            made.append(
                Segment(
                    file=file,
                    first=first,
                    n_samples=run.count,
                    start_s=run.start_s,
                    shifts=(0.0,) * len(wanted),
                    gains=tuple(each.gain for each in wanted),
                    offsets=tuple(each.offset for each in wanted),
                    counts=counts,
                    fetch=_within(inside, run),
                )
            )
    return made


def _file(unit: Unit, where: tuple[int, int], stream: int) -> Path:
    """The file that a segment lies in, where the format has one for each."""
    buffer = str(unit.reader.header["signal_streams"][stream]["buffer_id"])
    if not unit.reader.has_buffer_description_api():
        return unit.path
    return Path(unit.reader.get_analogsignal_buffer_description(*where, buffer).get("file_path", unit.path))


def _within(inside: Callable[[int, int], NDArray], run: times.Run) -> Callable[[int, int], NDArray]:
    def part(start: int, stop: int) -> NDArray:
        return inside(run.first + start, run.first + stop)

    return lambda start, stop: padded(part, run.count, start, stop)


def _track(unit: Unit, where: tuple[int, int], channel: streams.Channel, taps: "_Taps") -> Track:
    size = int(unit.reader.get_signal_size(*where, channel.stream))
    start = float(unit.reader.get_signal_t_start(*where, channel.stream))
    inside = _fetch(unit, where, [channel], taps)
    run = times.Run(0, size, start)
    return Track(channel.label, lambda a, b: inside(a, b)[0], (run,), channel.gain, channel.offset)


def _fetch(
    unit: Unit, where: tuple[int, int], channels: Sequence[streams.Channel], taps: _Taps
) -> Callable[[int, int], NDArray]:
    """Raw numbers (channels, samples) of channels of one stream of neo's, in this order."""
    columns = [channel.index for channel in channels]
    number = channels[0].stream
    reader = unit.reader
    ids = [plexon.numbers(reader, number)[each] for each in columns] if unit.kind.name == "Plexon" else []
    straight = columns == list(range(columns[0], columns[0] + len(columns)))
    indexes: Any = slice(columns[0], columns[-1] + 1) if straight else np.array(columns)

    def inside(start: int, stop: int) -> NDArray:
        with taps.lock, header.reported(unit.path, unit.kind), mapped.reading(unit.path):
            if ids:
                data = plexon.chunk(reader, start, stop, ids)
            else:
                data = np.asarray(reader.get_analogsignal_chunk(*where, start, stop, number, channel_indexes=indexes))
            if data.shape != (stop - start, len(columns)):
                raise header.unreadable(unit.path, unit.kind.name, f"it ends before sample {stop}: it was cut short")
            if not data.flags.owndata:
                data = np.array(data)  # touched here, where a map that has gone is told
            taps.read += data.nbytes
            if taps.read > mapped.LOT:
                taps.read = 0
                mapped.forget()
        return data.T if data.dtype.isnative else data.T.astype(data.dtype.newbyteorder("="))

    return inside
