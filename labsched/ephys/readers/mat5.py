"""MATLAB v5 files (v6 and v7 too), read as a stream: a channel is never held in memory, compressed or not.

The format is that of MathWorks' "MAT-File Format" (R2019b): a header of 128 bytes, then elements with a tag of type and
length; a compressed element holds one variable as a zlib stream. Only structs of 1 × 1 are looked into.
"""

import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

MI_COMPRESSED, MI_MATRIX = 15, 14
#: How numbers lie on disk; MATLAB stores doubles that are all whole in the smallest of these that holds them.
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXT = {**STORED, 16: "u1", 17: "u2", 18: "u4"}
CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single", 8: "int8"}
CLASSES |= {9: "uint8", 10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64", 15: "uint64"}
PIECE = 1 << 20
HEAD = 1 << 13
SMALL = 4096


class Damaged(Exception):
    """The bytes are not what the format says: cut short or corrupted."""


@dataclass(frozen=True)
class Values:
    """A numeric or text field: its MATLAB class, dimensions, type on disk and where its numbers begin in the stream.

    `head` are its first numbers (at most 8192; all of them where it has no more than 4096).
    """

    kind: str
    shape: tuple[int, ...]
    stored: np.dtype
    position: int
    head: NDArray

    @property
    def count(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Variable:
    """One variable; `names` and `fields` are empty where it is no 1 × 1 struct.

    `offset` and `size` say where its bytes lie; `names` are all its fields, `fields` those that were read.
    """

    name: str
    kind: str
    offset: int
    size: int
    compressed: bool
    names: tuple[str, ...] = ()
    fields: dict[str, Values] = field(default_factory=dict)


class Stream:
    """Bytes of one element in order, decompressed on the way; `position` counts them."""

    def __init__(self, file: BinaryIO, offset: int, size: int, compressed: bool) -> None:
        self.file, self.left, self.position = file, size, 0
        self.inflate = zlib.decompressobj() if compressed else None
        file.seek(offset)

    def some(self, size: int) -> bytes:
        """Up to `size` bytes, at least one; raises Damaged at the end."""
        if self.inflate is None:
            data = self.file.read(min(size, self.left))
            self.left -= len(data)
        else:
            data = b""
            while not data and not self.inflate.eof:
                source = self.inflate.unconsumed_tail or self.file.read(min(1 << 16, self.left))
                if not self.inflate.unconsumed_tail:
                    self.left -= len(source)
                try:
                    data = self.inflate.decompress(source, size)
                except zlib.error as error:
                    raise Damaged(f"its compressed data are damaged ({error})") from None
                if not source and not data:
                    break
        if not data:
            raise Damaged("it ends too early")
        self.position += len(data)
        return data

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        parts = []
        while size > 0:
            parts.append(self.some(min(size, PIECE)))
            size -= len(parts[-1])
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Go on without looking; free of cost where nothing is compressed."""
        if self.inflate is None:
            if size > self.left:
                raise Damaged("it ends too early")
            self.file.seek(size, 1)
            self.left -= size
            self.position += size
        else:
            while size > 0:
                size -= len(self.some(min(size, PIECE)))


def _tag(stream: Stream, order: str) -> tuple[int, int, bytes | None]:
    """(type, bytes, data of a small element or None)."""
    raw = stream.read(8)
    kind, size = struct.unpack(order + "II", raw)
    if kind >> 16:
        small = kind >> 16
        if small > 4:
            raise Damaged("an element has an impossible length")
        return kind & 0xFFFF, small, raw[4 : 4 + small]
    return kind, size, None


def _data(stream: Stream, order: str) -> tuple[int, bytes]:
    """A whole small element (names, dimensions, flags) with its padding eaten."""
    kind, size, data = _tag(stream, order)
    if data is None:
        if size > PIECE:
            raise Damaged("a name or a dimension is impossibly long")
        data = stream.read(size)
        stream.skip(-size % 8)
    return kind, data


def _matrix(stream: Stream, order: str) -> tuple[str, tuple[int, ...], str]:
    """The start of a matrix: class, dimensions, name."""
    _, flags = _data(stream, order)
    _, dims = _data(stream, order)
    _, name = _data(stream, order)
    if len(flags) < 4 or len(dims) % 4:
        raise Damaged("an array has no proper start")
    kind = CLASSES.get(struct.unpack(order + "I", flags[:4])[0] & 0xFF, "unknown")
    shape = tuple(int(n) for n in np.frombuffer(dims, dtype=order + "i4"))
    return kind, shape, name.rstrip(b"\0").decode("utf-8", "replace")


def _field(stream: Stream, order: str, last: bool) -> Values | None:
    """One field of a struct; None for what holds no plain numbers or text. `last`: do not walk past it."""
    kind, size, _ = _tag(stream, order)
    if kind != MI_MATRIX:
        raise Damaged("a field of a struct is no array")
    if size == 0:
        return None
    end = stream.position + size
    matrix, shape, _ = _matrix(stream, order)
    found = None
    if matrix in CLASSES.values() and matrix not in ("cell", "struct", "object", "sparse"):
        stored, length, inline = _tag(stream, order)
        if stored in TEXT:
            dtype = np.dtype(order + TEXT[stored])
            expected = int(np.prod(shape, dtype=np.int64))
            length -= length % dtype.itemsize
            if matrix != "char" and length != expected * dtype.itemsize:
                raise Damaged("an array has not the length that it announces")
            position = stream.position - (0 if inline is None else 4)
            if inline is None:
                wanted = length if length <= SMALL * dtype.itemsize else HEAD * dtype.itemsize
                inline = stream.read(min(wanted, length))
            head = np.frombuffer(inline[: length - length % dtype.itemsize], dtype=dtype)
            found = Values(matrix, shape, dtype, position, head)
    if not last:
        stream.skip(end - stream.position)
    return found


def variables(path: Path, needed: Callable[[Sequence[str]], Collection[str]] = tuple) -> Iterator[Variable]:
    """The variables of a file, without their numbers.

    ``needed(names)`` says which of a struct's fields are wanted: it is walked no further than to the last of them,
    because walking past a long field that is compressed costs its decompression. Raises Damaged, OSError.
    """
    total = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(128)
        if len(header) < 128 or header[126:128] not in (b"IM", b"MI"):
            raise Damaged("it has no proper MATLAB header")
        order = "<" if header[126:128] == b"IM" else ">"
        offset = 128
        while offset + 8 <= total:
            file.seek(offset)
            kind, size = struct.unpack(order + "II", file.read(8))
            if kind not in (MI_COMPRESSED, MI_MATRIX):
                if kind >> 16 or kind not in TEXT:
                    raise Damaged(f"byte {offset} holds no variable")
                offset += 8 + size + (-size % 8)
                continue
            if offset + 8 + size > total:
                raise Damaged("it ends too early")
            compressed = kind == MI_COMPRESSED
            yield _variable(file, offset + 8, size, compressed, order, needed)
            offset += 8 + size + (0 if compressed else -size % 8)
        if offset < total:
            raise Damaged("it ends too early")


def _variable(
    file: BinaryIO,
    offset: int,
    size: int,
    compressed: bool,
    order: str,
    needed: Callable[[Sequence[str]], Collection[str]],
) -> Variable:
    stream = Stream(file, offset, size, compressed)
    if compressed:
        inner, length, _ = _tag(stream, order)
        if inner != MI_MATRIX:
            raise Damaged("a compressed variable is no array")
    else:
        length = size
    if length == 0:
        return Variable("", "empty", offset, size, compressed)
    kind, shape, name = _matrix(stream, order)
    if kind != "struct" or int(np.prod(shape, dtype=np.int64)) != 1:
        return Variable(name, kind, offset, size, compressed)
    _, width = _data(stream, order)
    _, raw = _data(stream, order)
    step = struct.unpack(order + "i", width)[0] if len(width) == 4 else 0
    if step <= 0 or len(raw) % step:
        raise Damaged("a struct has no proper field names")
    names = [raw[i : i + step].split(b"\0")[0].decode("utf-8", "replace") for i in range(0, len(raw), step)]
    wanted = set(needed(names)) & set(names)
    fields: dict[str, Values] = {}
    for each in names:
        wanted.discard(each)
        found = _field(stream, order, last=not wanted)
        if found is not None:
            fields[each] = found
        if not wanted:
            break
    return Variable(name, kind, offset, size, compressed, tuple(names), fields)


def pieces(path: Path, variable: Variable, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """The bytes of some fields of a struct, in the order in which they lie, at most 1 MiB at a time."""
    wanted = sorted((variable.fields[name].position, name) for name in names if name in variable.fields)
    with path.open("rb") as file:
        stream = Stream(file, variable.offset, variable.size, variable.compressed)
        for position, name in wanted:
            stream.skip(position - stream.position)
            left = variable.fields[name].count * variable.fields[name].stored.itemsize
            while left:
                data = stream.some(min(left, PIECE))
                left -= len(data)
                yield name, data
