"""SpikeInterface's binary folders: ``recording.save(folder=...)``, raw files described by binary.json."""

import json
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.probes import Rig
from labsched.ephys.readers import geometry, times
from labsched.ephys.readers.parts import Part, timed, together
from labsched.ephys.readers.source import Source

#: What describes such a folder: now, and before version 0.94 of SpikeInterface.
FILES = ("binary.json", "cached.json")
FORMAT = "SpikeInterface (binary)"


def examine(folder: Path, described: Path, omit: Collection[str]) -> Source:
    """What the JSON of a folder says. Raises EphysError where it is damaged, or the raw files do not fit it."""
    about = _json(described)
    kwargs = about.get("kwargs")
    if not isinstance(kwargs, dict) or not str(about.get("class", "")).endswith("BinaryRecordingExtractor"):
        raise EphysError(f"{described} describes no binary recording of SpikeInterface: save the recording once more")
    try:
        parts = _parts(folder, kwargs)
        labels = parts[0].labels
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise EphysError(f"{described} is damaged ({type(error).__name__}: {error}): copy it here again") from None
    beside = [folder / name for name in ("probegroup.json", "probe.json") if (folder / name).is_file()]
    wiring, notes = _wiring(beside[0], labels) if beside else (None, [])
    files = [described, *beside[:1], *dict.fromkeys(part.file for part in parts)]
    return together(folder, FORMAT, parts, omit, files=files, notes=notes, wiring=wiring)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise EphysError(f"{path} is damaged ({error}): copy it here again") from None
    if not isinstance(found, dict):
        raise EphysError(f"{path} is damaged: copy it here again")
    return found


def _parts(folder: Path, kwargs: dict[str, Any]) -> list[Part]:
    count = int(kwargs.get("num_channels") or kwargs.get("num_chan") or len(kwargs["channel_ids"]))
    ids = kwargs.get("channel_ids")
    labels = tuple("_".join(str(each).replace(",", " ").split()) for each in (range(count) if ids is None else ids))
    rate, stored = float(kwargs["sampling_frequency"]), np.dtype(kwargs["dtype"])
    if len(labels) != count or count < 1 or not (np.isfinite(rate) and rate > 0) or stored.kind not in "iuf":
        raise ValueError(f"{count} channels, {len(labels)} ids, {rate:g} Hz, {stored}")
    gains, offsets = (_property(folder, kwargs, name, count) for name in ("gain_to_uV", "offset_to_uV"))
    known = gains is not None or stored.kind == "f"
    paths = kwargs["file_paths"]
    paths = [paths] if isinstance(paths, str) else list(paths)
    starts = kwargs.get("t_starts") or [None] * len(paths)
    stamps = kwargs.get("file_timestamps_paths") or [None] * len(paths)
    clock, parts = 0.0, []
    for path, start, times_of in zip(paths, starts, stamps, strict=True):
        file = Path(os.path.normpath(folder / path))
        offset, along = int(kwargs.get("file_offset") or 0), int(kwargs.get("time_axis") or 0)
        n = _length(file, offset, count * stored.itemsize)
        begin = clock if start is None else float(start)
        runs = [times.Run(0, n, begin)]
        if times_of is not None:
            seconds = np.memmap(folder / times_of, dtype="float64", mode="r")
            runs = timed(file, "its samples", seconds, n, rate)
        clock = begin + n / rate
        parts.append(
            Part(
                file=file, labels=labels, rate=rate, runs=tuple(runs), known=known, counts=stored.kind in "iu",
                gains=(1.0,) * count if gains is None else gains,
                offsets=(0.0,) * count if offsets is None else offsets,
                opener=_opener(file, offset, n, count, stored, along), parallel=True,
            )
        )  # fmt: skip
    return parts


def _property(folder: Path, kwargs: dict[str, Any], name: str, count: int) -> tuple[float, ...] | None:
    beside = folder / "properties" / f"{name}.npy"
    value = np.load(beside) if beside.is_file() else kwargs.get(name)
    if value is None:
        return None
    numbers = np.broadcast_to(np.asarray(value, dtype=float), count)
    if not np.isfinite(numbers).all() or (name == "gain_to_uV" and not numbers.all()):
        raise ValueError(f"{name} has numbers that are none, or 0")
    return tuple(numbers.tolist())


def _length(file: Path, offset: int, frame: int) -> int:
    try:
        size = file.stat().st_size - offset
    except FileNotFoundError:
        raise EphysError(f"there is no {file}, which the folder says holds its samples: copy it here") from None
    if size <= 0 or size % frame:
        what = "holds no samples" if size <= 0 else f"has {size} bytes of data, which is no multiple of {frame}"
        raise EphysError(f"{file} {what}: it was cut short: copy it here again")
    return size // frame


def _opener(
    file: Path, offset: int, n: int, count: int, stored: np.dtype, along: int
) -> Callable[[ExitStack, Sequence[int]], Callable[[int, int], NDArray]]:
    def read(fd: int, first: int, many: int) -> NDArray:
        """`many` numbers from number `first` of the file on."""
        try:
            data = os.pread(fd, many * stored.itemsize, offset + first * stored.itemsize)
        except OSError as error:
            raise EphysError(f"cannot read {file}: {error.strerror or error}: copy it here again") from None
        if len(data) != many * stored.itemsize:
            raise EphysError(f"{file} became shorter while it was read: see that it is whole, then retry")
        numbers = np.frombuffer(data, dtype=stored)
        return numbers if stored.isnative else numbers.astype(stored.newbyteorder("="))

    def opener(stack: ExitStack, columns: Sequence[int]) -> Callable[[int, int], NDArray]:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        everything = list(columns) == list(range(count))

        def fetch(start: int, stop: int) -> NDArray:
            if along:
                return np.stack([read(fd, column * n + start, stop - start) for column in columns])
            samples = read(fd, start * count, (stop - start) * count).reshape(-1, count)
            return samples.T if everything else samples.take(columns, axis=1).T

        return fetch

    return opener


def _wiring(path: Path, labels: Sequence[str]) -> tuple[Rig | None, list[str]]:
    from probeinterface import read_probeinterface

    try:
        probes = read_probeinterface(path).probes
        return geometry.of_probes(f"probe of {path.parent.name}", probes, dict(enumerate(labels))), []
    except Exception as error:  # the library raises whatever a wrong file makes it trip over
        said = " ".join(str(error).split())[:200]
        return None, [f"where the channels lie could not be read from {path.name} ({said}): name a probe"]
