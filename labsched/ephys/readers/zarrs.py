"""SpikeInterface's Zarr folders: ``recording.save(format="zarr")``, compressed arrays in pieces."""

import json
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.probes import Rig
from labsched.ephys.readers import geometry, times
from labsched.ephys.readers.parts import Part, timed, together
from labsched.ephys.readers.rawio.header import missing, said
from labsched.ephys.readers.rawio.kinds import below
from labsched.ephys.readers.source import Source

MARKS = (".zgroup", ".zmetadata", "zarr.json")
FORMAT = "SpikeInterface (Zarr)"
#: Pieces of at most so many bytes, unpacked, are kept until the next one is wanted.
KEPT = 1 << 26


def examine(folder: Path, omit: Collection[str]) -> Source:
    """What a Zarr folder says. Raises EphysError where it is damaged, or is no recording of SpikeInterface's."""
    try:
        import zarr
    except ImportError:
        raise missing(FORMAT, "zarr>=2.18") from None
    try:
        root = zarr.open_group(str(folder), mode="r")
        parts = _parts(folder, root)
        wiring, notes = _wiring(folder, dict(root.attrs), parts[0].labels)
    except EphysError:
        raise
    except OSError as error:
        raise _unreadable(folder, error) from None
    except Exception as error:  # codecs and stores raise what they like
        raise _damaged(folder, said(error)) from None
    files = dict.fromkeys([*(folder / mark for mark in MARKS), *below(folder)])
    present = [each for each in files if each.is_file()]
    return together(folder, FORMAT, parts, omit, files=present, notes=notes, wiring=wiring)


def _unreadable(folder: Path, error: OSError) -> EphysError:
    return EphysError(f"cannot read {error.filename or folder}: {error.strerror or said(error)}")


def _damaged(folder: Path, why: str) -> EphysError:
    return EphysError(f"cannot read {folder} as {FORMAT}: it is damaged ({why}): copy it here again")


def _parts(folder: Path, root: Any) -> list[Part]:
    attributes = dict(root.attrs)
    if "sampling_frequency" not in attributes or "channel_ids" not in root:
        raise EphysError(f"{folder} is no recording saved by SpikeInterface: save it with format='zarr' once more")
    rate, segments = float(attributes["sampling_frequency"]), int(attributes["num_segments"])
    ids = np.asarray(root["channel_ids"][:]).tolist()
    labels = tuple("_".join(str(each).replace(",", " ").split()) for each in ids)
    gains, offsets = (_property(root, name, len(labels)) for name in ("gain_to_uV", "offset_to_uV"))
    starts = np.asarray(root["t_starts"][:]) if "t_starts" in root else np.full(segments, np.nan)
    clock, parts = 0.0, []
    for number in range(segments):
        array = root[f"traces_seg{number}"]
        _complete(folder, array, number)
        _blosc(folder / f"traces_seg{number}")
        stored = np.dtype(array.dtype)
        if array.ndim != 2 or array.shape[1] != len(labels) or stored.kind not in "iuf" or not rate > 0:
            raise _damaged(folder, f"traces_seg{number} has {array.shape} of {stored} for {len(labels)} channels")
        n = int(array.shape[0])
        begin = float(starts[number]) if np.isfinite(starts[number]) else clock
        runs = [times.Run(0, n, begin)]
        if f"times_seg{number}" in root:
            runs = timed(folder, f"segment {number}", root[f"times_seg{number}"], n, rate)
        clock = begin + n / rate
        parts.append(
            Part(
                file=folder, labels=labels, rate=rate, runs=tuple(runs), counts=stored.kind in "iu",
                known=gains is not None or stored.kind == "f",
                gains=gains or (1.0,) * len(labels), offsets=offsets or (0.0,) * len(labels),
                opener=_opener(folder, array),
            )
        )  # fmt: skip
    return parts


def _complete(folder: Path, array: Any, number: int) -> None:
    """Zarr takes a piece that is not there for zeros: a folder that was copied in part would be read as silence."""
    there, all_of_them = int(array.nchunks_initialized), int(array.nchunks)
    if there < all_of_them:
        raise EphysError(
            f"{folder} lacks {all_of_them - there} of the {all_of_them} pieces of traces_seg{number}: copy it here "
            "again"
        )


def _blosc(folder: Path) -> None:
    """Blosc reads on past the end of a piece that was cut short: each says in its head how long it is."""
    for mark in (folder / ".zarray", folder / "zarr.json"):
        if mark.is_file():
            about = json.loads(mark.read_text(encoding="utf-8"))
            codecs = [about.get("compressor") or {}, *(about.get("codecs") or [])]
            if "blosc" not in [codec.get("id", codec.get("name")) for codec in codecs]:
                return
    for piece in below(folder):
        if piece.suffix == ".json":
            continue
        with piece.open("rb") as file:
            head = file.read(16)
            size = os.fstat(file.fileno()).st_size
        if len(head) < 16 or int.from_bytes(head[12:16], "little") != size:
            raise EphysError(f"{piece} has {size} bytes, and should have others: it was cut short: copy it here again")


def _property(root: Any, name: str, count: int) -> tuple[float, ...] | None:
    if f"properties/{name}" not in root:
        return None
    numbers = np.asarray(root[f"properties/{name}"][:], dtype=float)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError(f"{name} has {numbers.shape} numbers for {count} channels, or some that are none")
    return tuple(numbers.tolist())


def _opener(folder: Path, array: Any) -> Callable[[ExitStack, Sequence[int]], Callable[[int, int], NDArray]]:
    step = int(array.chunks[0])
    keeps = step * array.shape[1] * np.dtype(array.dtype).itemsize <= KEPT

    def opener(stack: ExitStack, columns: Sequence[int]) -> Callable[[int, int], NDArray]:
        lock = Lock()
        held: dict[int, NDArray] = {}

        def rows(start: int, stop: int) -> NDArray:
            try:
                return np.asarray(array[start:stop])
            except OSError as error:
                raise _unreadable(folder, error) from None
            except Exception as error:
                raise _damaged(folder, f"samples {start} to {stop}: {said(error)}") from None

        def piece(number: int) -> NDArray:
            if number not in held:
                while len(held) > 1:
                    del held[min(held)]
                held[number] = rows(number * step, min((number + 1) * step, array.shape[0]))
            return held[number]

        def fetch(start: int, stop: int) -> NDArray:
            with lock:
                if not keeps:
                    return rows(start, stop)[:, list(columns)].T
                parts = [
                    piece(number)[max(start - number * step, 0) : stop - number * step]
                    for number in range(start // step, (stop - 1) // step + 1)
                ]
                return np.concatenate(parts)[:, list(columns)].T

        return fetch

    return opener


def _wiring(folder: Path, attributes: dict[str, Any], labels: Sequence[str]) -> tuple[Rig | None, list[str]]:
    described = attributes.get("probegroup") or attributes.get("probe")
    if not described:
        return None, []
    from probeinterface import ProbeGroup

    try:
        probes = ProbeGroup.from_dict(described).probes
        return geometry.of_probes(f"probe of {folder.name}", probes, dict(enumerate(labels))), []
    except Exception as error:  # the library raises whatever a wrong description makes it trip over
        return None, [f"where the channels lie could not be read ({said(error)}): name a probe"]
