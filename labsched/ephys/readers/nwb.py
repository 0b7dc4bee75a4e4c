"""Neurodata Without Borders, version 2: the ElectricalSeries of an .nwb, straight from HDF5."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.probes import Rig
from labsched.ephys.readers import geometry, times
from labsched.ephys.readers.parts import Part, timed, together
from labsched.ephys.readers.source import Source, no_stream
from labsched.ephys.recording import natural

FORMAT = "NWB"
ELECTRODES = "general/extracellular_ephys/electrodes"
CACHE = 1 << 26


@dataclass(frozen=True)
class Series:
    """An ElectricalSeries: where it lies in the file, its rate and length, and the rows of the table of electrodes."""

    name: str
    rate: float
    n_samples: int
    rows: tuple[int, ...]


def examine(source: Path, paths: Sequence[Path], omit: Collection[str], stream: str) -> Source:
    """What the headers of .nwb files say. Raises EphysError naming the file that is damaged or does not fit."""
    parts, notes, wiring, name = [], [], None, stream
    for path in paths:
        with _opened(path) as file, Guard(path):
            series, told = _choose(path, _listing(path, file), name)
            name = name or series.name
            notes += [note for note in told if note not in notes]
            labels = _labels(file, series.rows)
            parts.append(_part(path, file, series, labels))
            wiring = wiring or _wiring(path, file, series.rows, labels)
    parts.sort(key=lambda part: (part.runs[0].start_s, natural(part.file.name)))
    return together(source, FORMAT, parts, omit, files=paths, notes=notes, stream=name, wiring=wiring)


def _opened(path: Path) -> Any:
    try:
        return h5py.File(path, "r", locking="best-effort", rdcc_nbytes=CACHE)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise EphysError(f"cannot read {path}: permission denied") from None
        why = "it was cut short" if "truncated" in str(error) else "it is no whole HDF5 file"
        raise _damaged(path, why) from None


def _damaged(path: Path, why: str) -> EphysError:
    return EphysError(f"cannot read {path} as NWB: {why}: copy it here again, or write it once more")


class Guard:
    """Within, what HDF5 or a table that is not as it should be raises becomes a sentence."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError | RuntimeError | KeyError | ValueError | TypeError | IndexError | AttributeError):
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise _damaged(self.path, f"it is damaged ({said[:200]})") from None


def _listing(path: Path, file: Any) -> list[Series]:
    found: list[Series] = []
    for name, group in _groups(file):
        kind = group.attrs.get("neurodata_type", b"")
        if (kind.decode() if isinstance(kind, bytes) else str(kind)) != "ElectricalSeries":
            continue
        data = group["data"]
        n = int(data.shape[0])
        rows = tuple(int(each) for each in np.ravel(group["electrodes"][()]))
        if len(rows) != (data.shape[1] if data.ndim > 1 else 1):
            raise _damaged(path, f"{name} has {data.shape} samples for {len(rows)} electrodes")
        if "timestamps" in group:
            stamps = group["timestamps"]
            if len(stamps) != n:
                raise _damaged(path, f"{name} has {n} samples but {len(stamps)} times")
            rate = _rate(np.asarray(stamps[: min(n, 10_001)]))
        else:
            rate = float(group["starting_time"].attrs["rate"])
        if not (np.isfinite(rate) and rate > 0):
            raise _damaged(path, f"{name} has no sampling rate")
        found.append(Series(name, rate, n, rows))
    if not found:
        raise EphysError(f"{path} has no ElectricalSeries: it holds no recording of electrodes")
    return found


def _groups(file: Any) -> Iterator[tuple[str, Any]]:
    """Groups in acquisition and processing, each once."""
    for top in ("acquisition", "processing"):
        stack = [(top, file[top])] if top in file else []
        while stack:
            name, group = stack.pop(0)
            yield name, group
            inner = [(f"{name}/{key}", group.get(key)) for key in group if group.get(key, getlink=True) is not None]
            stack += [(key, each) for key, each in inner if isinstance(each, h5py.Group) and key.count("/") < 6]


def _rate(seconds: NDArray) -> float:
    if len(seconds) < 2:
        return float("nan")
    rate = 1.0 / float(np.median(np.diff(seconds)))
    return float(round(rate)) if abs(rate - round(rate)) < 1e-4 * rate else rate


def _choose(path: Path, found: Sequence[Series], wanted: str) -> tuple[Series, list[str]]:
    if wanted:
        same = [each for each in found if each.name == wanted] or [
            each for each in found if wanted.casefold() in each.name.casefold()
        ]
        if len(same) != 1:
            raise no_stream(path, wanted, [each.name for each in found])
        return same[0], []
    best = max(found, key=lambda each: ("lfp" not in each.name.casefold(), each.rate, len(each.rows)))
    left = [f"{each.name} ({len(each.rows)} channels, {each.rate:g} Hz)" for each in found if each is not best]
    if not left:
        return best, []
    return best, [
        f"stream {best.name} was chosen ({len(best.rows)} channels, {best.rate:g} Hz); left out: {'; '.join(left)}"
    ]


def _column(file: Any, name: str, rows: Sequence[int]) -> list[Any] | None:
    table = file.get(ELECTRODES)
    if table is None or name not in table:
        return None
    values = table[name][()]
    return [values[row] for row in rows]


def _labels(file: Any, rows: Sequence[int]) -> tuple[str, ...]:
    """The channels' names where the table of electrodes has them, or else the electrodes' ids."""
    for name in ("channel_name", "label", "electrode_name", "id"):
        values = _column(file, name, rows)
        if values is None:
            continue
        text = [each.decode() if isinstance(each, bytes) else str(each) for each in values]
        text = ["_".join(each.replace(",", " ").split()) for each in text]
        if all(text) and len(set(text)) == len(text):
            return tuple(text)
    return tuple(str(row) for row in rows)


def _wiring(path: Path, file: Any, rows: Sequence[int], labels: Sequence[str]) -> Rig | None:
    for pair in (("rel_x", "rel_y"), ("x", "y")):
        xs, ys = (_column(file, name, rows) for name in pair)
        if xs is None or ys is None:
            continue
        groups = _column(file, "group_name", rows) or [""] * len(rows)
        contacts = [
            geometry.Contact(label, "", g.decode() if isinstance(g, bytes) else str(g), float(x), float(y))
            for label, g, x, y in zip(labels, groups, xs, ys, strict=True)
        ]
        made = geometry.rig(f"electrodes of {path.name}", contacts, labels)
        if made is not None:
            return made
    return None


def _part(path: Path, file: Any, series: Series, labels: tuple[str, ...]) -> Part:
    group = file[series.name]
    data = group["data"]
    if data.dtype.kind not in "iuf":
        raise _damaged(path, f"{series.name} has values of {data.dtype}")
    volts = float(data.attrs.get("conversion", 1.0))
    each = np.asarray(group["channel_conversion"][()], dtype=float) if "channel_conversion" in group else 1.0
    gains = np.broadcast_to(volts * each * 1e6, len(labels))
    if not np.isfinite(gains).all() or not gains.all():
        raise _damaged(path, f"{series.name} has a conversion of 0, or that is none")
    offset = float(data.attrs.get("offset", 0.0)) * 1e6
    if "timestamps" in group:
        runs = timed(path, series.name, group["timestamps"], series.n_samples, series.rate)
    else:
        runs = [times.Run(0, series.n_samples, float(group["starting_time"][()]))]
    return Part(
        file=path, labels=labels, rate=series.rate, runs=tuple(runs), gains=tuple(gains.tolist()),
        offsets=(offset,) * len(labels), known=True, counts=data.dtype.kind in "iu",
        opener=_opener(path, series.name),
    )  # fmt: skip


def _opener(path: Path, name: str) -> Callable[[ExitStack, Sequence[int]], Callable[[int, int], NDArray]]:
    def opener(stack: ExitStack, columns: Sequence[int]) -> Callable[[int, int], NDArray]:
        file = _opened(path)
        stack.callback(file.close)
        data = file[name]["data"]

        def fetch(start: int, stop: int) -> NDArray:
            with Guard(path):
                numbers = data[start:stop]
            numbers = numbers.reshape(len(numbers), -1)
            return numbers[:, list(columns)].T

        return fetch

    return opener
