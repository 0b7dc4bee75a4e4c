"""What a folder of Spike2 exports holds, from the headers alone: which structs are channels, and their labels.

Spike2's export to MATLAB (checked on genuine exports) gives an int16 `values` as counts: in `units`, they are counts
× `scale` + `offset` (the 1/6553.6 of Spike2's own files is in `scale` already). A single or double `values` is in
`units`: there, `scale` and `offset` say what the int16 would have been, and must not be applied. Event channels
exported as a waveform have `values` as well (0 and 1, double) but no `scale`, `offset` or `units`.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labsched.ephys.errors import EphysError
from labsched.ephys.readers.matlab import Array, Struct, structs
from labsched.ephys.recording import listed, natural

#: Fields that only events, markers, text and spike shapes have.
EVENT_FIELDS = {"codes", "text", "items", "level", "resolution", "traces", "trigger"}
KINDS = {"int16", "single", "double", "int32"}
MICROVOLTS = {"v": 1e6, "volt": 1e6, "volts": 1e6, "mv": 1e3, "uv": 1.0, "nv": 1e-3}
SCALE_FIELDS = {"scale", "offset", "units"}


@dataclass(frozen=True)
class Wave:
    """A waveform channel of one file, as its header describes it.

    `start_s` is the time of the first sample; `whole` says whether floating-point values are counts (True), are not
    (False), or cannot be told (None: integers, or zeros only); `factor` is µV per unit.
    """

    label: str
    struct: Struct
    count: int
    interval: float
    start_s: float
    scale: float | None
    offset: float
    factor: float
    units: str
    whole: bool | None

    @property
    def array(self) -> Array:
        return self.struct.arrays["values"]

    @property
    def integer(self) -> bool:
        return self.array.kind in ("int16", "int32")


@dataclass(frozen=True)
class Export:
    """One file: its channels by label, and the names of the structs that are none."""

    path: Path
    waves: dict[str, Wave]
    others: tuple[str, ...]

    @property
    def start_s(self) -> float:
        return min(wave.start_s for wave in self.waves.values())


def survey(paths: Sequence[Path]) -> list[Export]:
    """The exports in order of their start (the natural order of their names where that is equal).

    Files without a waveform are left out. Raises EphysError where none has one or a file cannot be read.
    """
    found = [_export(path) for path in paths]
    exports = [each for each in found if each.waves]
    if not exports:
        names = listed(name for each in found for name in each.others) or "nothing"
        raise EphysError(
            f"no waveform channel in {listed(each.path.name for each in found)} (found: {names}): "
            "a channel is a struct with `values` and `interval`; export the waveforms from Spike2 as well"
        )
    return sorted(exports, key=lambda each: (each.start_s, natural(each.path.name)))


def _export(path: Path) -> Export:
    everything = structs(path)
    channels = channel_structs(everything)
    names = labels(path, channels)
    waves = {name: _wave(path, name, each) for name, each in zip(names, channels, strict=True)}
    others = tuple(each.variable for each in everything if each not in channels)
    return Export(path, waves, others)


def channel_structs(everything: Sequence[Struct]) -> list[Struct]:
    """Those structs that are waveform channels; see the head of this module for the rule."""
    may = [
        each for each in everything if "values" in each.names and not EVENT_FIELDS & set(each.names) and _plain(each)
    ]
    sure = [each for each in may if _sure(each)]
    fields = {frozenset(each.names) for each in sure}
    return [each for each in may if each in sure or frozenset(each.names) in fields or (not sure and not _binary(each))]


def _plain(struct: Struct) -> bool:
    array = struct.arrays.get("values")
    return array is None or array.count == 0 or (array.vector and array.kind in KINDS)


def _sure(struct: Struct) -> bool:
    """Whether it can be nothing but a waveform: integers, a scale or units, or numbers that are no whole bytes."""
    array = struct.arrays.get("values")
    if SCALE_FIELDS & set(struct.names) or (array is not None and array.kind in ("int16", "int32", "single")):
        return True
    return not _binary(struct)


def _binary(struct: Struct) -> bool:
    """Whether the values look like events in bins: whole numbers from 0 to 255 only."""
    array = struct.arrays.get("values")
    if array is None or not array.head.size:
        return True
    head = array.head
    return bool(np.all((head >= 0) & (head <= 255) & (head == np.floor(head))))


def labels(path: Path, channels: Sequence[Struct]) -> list[str]:
    """What the channels are called: the variable's name, without what the export put in front of it.

    ``Port_1`` stays; ``V12_Port_1`` with the title ``Port_1`` is Port_1; ``data_Ch3`` with a title takes the title;
    the file's name in front goes. Where two would be called the same, both keep the variable's name.
    """
    stem = re.sub(r"\W", "_", path.stem)
    names = []
    for each in channels:
        name = each.variable
        title = re.sub(r"\W+", "_", each.texts.get("title", "")).strip("_")
        if title and (name.endswith(f"_{title}") or re.search(r"(^|_)Ch\d+$", name)):
            name = title
        else:
            name = re.sub(rf"^V?{re.escape(stem)}_", "", name) or name
        names.append(name)
    return [name if names.count(name) == 1 else each.variable for name, each in zip(names, channels, strict=True)]


def _wave(path: Path, label: str, struct: Struct) -> Wave:
    array = struct.arrays.get("values")
    times = struct.arrays.get("times")
    interval = struct.numbers.get("interval", 0.0)
    if not interval > 0 and times is not None and times.head.size > 2:
        interval = float(np.median(np.diff(times.head)))
    start = struct.numbers.get("start", 0.0)
    if times is not None and times.head.size:
        start = float(times.head[0])
    whole = None
    if array is not None and array.kind in ("single", "double") and array.head.any():
        whole = bool(array.stored.kind in "iu" or np.all(array.head == np.round(array.head)))
    units = struct.texts.get("units", "")
    return Wave(
        label=label,
        struct=struct,
        count=0 if array is None else array.count,
        interval=interval,
        start_s=start,
        scale=struct.numbers.get("scale"),
        offset=struct.numbers.get("offset", 0.0),
        factor=MICROVOLTS.get(plain_unit(units), 1e6),
        units=units,
        whole=whole,
    )


def known(units: str) -> bool:
    """Whether a unit is one of a voltage."""
    return plain_unit(units) in MICROVOLTS


def notes_on(others: Iterable[str], strange: Sequence[str]) -> list[str]:
    """What people are told of what is no waveform, and of units that nobody knows."""
    notes = []
    if names := sorted(set(others), key=natural):
        notes.append(f"not waveforms, left out: {', '.join(names)}")
    if strange:
        notes.append(f"unknown units {', '.join(map(repr, strange))}: taken for volts")
    return notes


def plain_unit(units: str) -> str:
    return units.strip().casefold().replace("µ", "u").replace("μ", "u")


def rate_of(exports: Sequence[Export], kept: Collection[str]) -> float:
    """The sampling rate (Hz) that all kept channels of all files share. Raises EphysError naming those that differ."""
    first: tuple[float, str, Path] | None = None
    for export in exports:
        for label in sorted(kept, key=natural):
            wave = export.waves[label]
            if not (np.isfinite(wave.interval) and wave.interval > 0):
                raise EphysError(
                    f"channel {label} in {export.path} has no sampling interval: export it with `interval`, or omit it"
                )
            rate = 1.0 / wave.interval
            rate = float(round(rate)) if abs(rate - round(rate)) < 1e-6 * rate else rate
            if first is None:
                first = rate, label, export.path
            elif abs(rate - first[0]) > 1e-6 * rate:
                raise EphysError(
                    f"channels have different sampling rates: {first[1]} {first[0]:g} Hz ({first[2].name}), {label} "
                    f"{rate:g} Hz ({export.path.name}): omit those of one rate, or put them into a block of their own"
                )
    assert first is not None
    return first[0]


def agree(exports: Sequence[Export], kept: Collection[str]) -> None:
    """Check that every file has every kept channel, not empty. Raises EphysError naming channel and file."""
    for export in exports:
        missing = set(kept) - set(export.waves)
        if missing:
            has = next(each.path.name for each in exports if missing & set(each.waves))
            raise EphysError(
                f"{export.path} lacks {listed(missing)}, which {has} has: omit what is not in every file, "
                "or take out the file that belongs to another block"
            )
        for label in sorted(kept, key=natural):
            if export.waves[label].count == 0:
                raise EphysError(f"channel {label} in {export.path} has no samples: omit it, or export the file again")
