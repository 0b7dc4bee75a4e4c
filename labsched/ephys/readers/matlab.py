"""Structs in MATLAB files of either kind (v5 and v7.3), described alike and without their long arrays."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import mat5

HDF5 = b"\x89HDF\r\n\x1a\n"
HEAD = 8192
#: Bytes (MiB: 96) that the unpacked pieces of all channels of a file may take together.
LUMPS = 96 << 20


@dataclass(frozen=True)
class Array:
    """A long numeric field: MATLAB class, dimensions, type on disk, and its first numbers (float64, may be fewer).

    `packed`: it must be unpacked as a whole before it can be read from anywhere.
    """

    kind: str
    shape: tuple[int, ...]
    stored: np.dtype
    head: NDArray
    packed: bool = False

    @property
    def count(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def vector(self) -> bool:
        return self.count > 0 and max(self.shape) == self.count


@dataclass(frozen=True)
class Struct:
    """A 1 × 1 struct: all its field names, its scalars and texts, `values` and `times` where they were looked at."""

    variable: str
    names: tuple[str, ...]
    numbers: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)


SHORT = ("title", "interval", "scale", "offset", "units", "start")


def needed(names: Sequence[str]) -> Collection[str]:
    """The fields that say all there is to say about a channel; `times` only where nothing else says when it began."""
    if "values" not in names:
        return ()
    return (*SHORT, "values") if "start" in names and "interval" in names else (*SHORT, "values", "times")


def unreadable(path: Path, why: object) -> EphysError:
    """The sentence for a file that cannot be read as what its name says."""
    return EphysError(f"cannot read {path}: {why}: export it from Spike2 again, or copy it here again")


def version(path: Path) -> int:
    """5 or 73. Raises EphysError where it is neither, or cannot be opened."""
    try:
        with path.open("rb") as file:
            head = file.read(520)
    except OSError as error:
        raise EphysError(f"cannot open {path}: {error.strerror or error}") from None
    if not head:
        raise unreadable(path, "it is empty (0 bytes)")
    if head.startswith((HDF5, b"MATLAB 7.3")) or head[512:520] == HDF5:
        return 73
    if head[:6] == b"MATLAB" or (len(head) >= 128 and head[126:128] in (b"IM", b"MI")):
        return 5
    raise unreadable(path, "it is no MATLAB file of version 5 to 7.3")


def structs(path: Path) -> list[Struct]:
    """The structs of a file, in the order in which they lie there. Raises EphysError naming the file."""
    if version(path) == 73:
        with opened(path) as file:
            return _structs73(path, file)
    try:
        return [_struct5(each) for each in mat5.variables(path, needed) if each.names]
    except (mat5.Damaged, ValueError) as error:
        raise unreadable(path, error) from None
    except OSError as error:
        raise unreadable(path, error.strerror or error) from None


def _struct5(variable: mat5.Variable) -> Struct:
    numbers, texts, arrays = {}, {}, {}
    for name, value in variable.fields.items():
        if value.kind == "char":
            texts[name] = _text(value.head)
        elif name in ("values", "times"):
            arrays[name] = Array(value.kind, value.shape, value.stored, value.head.astype(float), variable.compressed)
        elif value.head.size:
            numbers[name] = float(value.head[0])
    return Struct(variable.name, variable.names, numbers, texts, arrays)


def _text(codes: NDArray) -> str:
    """Characters from numbers: UTF-8 or Latin-1 where they are bytes, code points where they are longer."""
    if codes.dtype.itemsize > 1:
        return "".join(map(chr, codes.tolist())).strip("\0 ")
    try:
        return codes.tobytes().decode("utf-8").strip("\0 ")
    except UnicodeDecodeError:
        return codes.tobytes().decode("latin-1").strip("\0 ")


def opened(path: Path) -> Any:
    """An h5py.File for reading. Raises EphysError where HDF5 finds the file cut short or damaged."""
    import h5py

    try:
        # A lock helps nobody who only reads, and some network file systems have none.
        return h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        why = "it is truncated" if "truncated" in str(error) else "it is no whole HDF5 file (MATLAB v7.3)"
        if isinstance(error, PermissionError):
            why = "permission denied"
        raise unreadable(path, why) from None


def _structs73(path: Path, file: Any) -> list[Struct]:
    from h5py import h5g, h5o

    try:
        found = []
        names = [name for name in file.id if not name.startswith(b"#")]
        for name in names:
            group = h5o.open(file.id, name)
            if isinstance(group, h5g.GroupID):
                found.append(_struct73(name.decode(), group, len(names)))
        return found
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise unreadable(path, f"it is damaged ({str(error).splitlines()[0]})") from None


def _struct73(name: str, group: Any, many: int) -> Struct:
    """A struct of a file that has `many`. By HDF5's own calls: h5py's take ten times as long, and a file has hundreds
    of fields, in each of thousands of blocks that are submitted at once."""
    import h5py
    from h5py import h5a, h5d, h5o, h5s

    names = tuple(each.decode() for each in group)
    numbers, texts, arrays = {}, {}, {}
    for each in names if "values" in names else ():
        if each not in SHORT and each not in ("values", "times"):
            continue
        data = h5o.open(group, each.encode())
        if not isinstance(data, h5d.DatasetID):
            continue
        dtype, shape = data.dtype, data.shape  # each look at them costs a call
        if dtype.kind == "u" and h5a.exists(data, b"MATLAB_empty"):
            continue
        if each in ("title", "units") and dtype.kind == "u":
            kind = "char"
        else:
            kind = _class(data, dtype) if dtype.kind != "f" or each in ("values", "times") else "double"
        if each in ("values", "times") and dtype.kind in "iuf" and kind != "char":
            whole = h5py.Dataset(data)
            count = int(np.prod(shape, dtype=np.int64))
            peek = max(shape, default=0) == count > 0 and (each == "times" or dtype.kind == "f")
            head = np.asarray(column(whole)(0, min(1 if each == "times" else HEAD, count))) if peek else ()
            arrays[each] = Array(kind, shape, dtype, np.array(head, dtype=float), lumped(whole, many))
        elif dtype.kind in "iuf":
            short = np.empty(shape, dtype)
            if short.size:
                data.read(h5s.ALL, h5s.ALL, short)
            if kind == "char":
                texts[each] = _text(short.ravel())
            elif short.size:
                numbers[each] = float(short.flat[0])
        elif kind == "char":
            texts[each] = _text(np.ravel(h5py.Dataset(data)[()]))
    return Struct(name, names, numbers, texts, arrays)


def _class(data: Any, dtype: np.dtype) -> str:
    """What MATLAB calls the type; files made by other programs may lack the attribute."""
    import h5py
    from h5py import h5a

    if h5a.exists(data, b"MATLAB_class"):
        attribute = h5a.open(data, b"MATLAB_class")
        stored = attribute.dtype
        if stored.kind != "S" or attribute.shape:
            given = h5py.Dataset(data).attrs["MATLAB_class"]
            return given.decode() if isinstance(given, bytes) else str(given)
        text = np.empty((), stored)
        attribute.read(text)
        return bytes(text[()]).decode()
    return {"f8": "double", "f4": "single"}.get(dtype.str[1:], dtype.name)


def lumped(data: Any, many: int) -> bool:
    """Whether a dataset is compressed in pieces too large to keep two of each of `many` channels in memory."""
    return data.chunks is not None and 2 * many * _chunk_bytes(data) > LUMPS


def _chunk_bytes(data: Any) -> int:
    return int(np.prod(data.chunks, dtype=np.int64)) * data.dtype.itemsize


def buffered(group: Any, name: str) -> Any:
    """A dataset that keeps its last compressed piece, so that reading in small steps does not unpack it each time."""
    import h5py

    data = group[name]
    if data.chunks is None or _chunk_bytes(data) <= 1 << 19:
        return data
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(521, min(2 * _chunk_bytes(data), 1 << 22), 1.0)
    return h5py.Dataset(h5py.h5d.open(group.id, name.encode(), access))


def column(data: Any) -> Any:
    """``fetch(start, stop)`` for a vector in HDF5, whichever of its dimensions is the long one."""
    axis = max(range(data.ndim), key=lambda each: data.shape[each])

    def fetch(start: int, stop: int) -> NDArray:
        where = tuple(slice(start, stop) if each == axis else 0 for each in range(data.ndim))
        return data[where]

    return fetch
