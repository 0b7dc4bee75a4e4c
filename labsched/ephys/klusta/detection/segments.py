"""What is found in some chunks in a row, kept in a file: the checkpoint that a later attempt goes on from."""

import json
import math
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from .chunks import Chunk, Found, Group

MAGIC = b"labsched detection 1\n"
#: At most so many chunks are lost with a killed attempt, for each process.
MOST, FEWEST = 16, 1
START = 512
"""Where the numbers begin in a file, behind the magic word, the fingerprint and the checksum."""


class Unusable(Exception):
    """Why a file is no checkpoint of this detection."""


@dataclass(frozen=True)
class Segment:
    """Chunks in a row, by number."""

    number: int
    chunks: tuple[Chunk, ...]

    def path(self, folder: Path) -> Path:
        """Its file."""
        return folder / f"{self.number:06d}"


def segments(chunks: Sequence[Chunk]) -> list[Segment]:
    """All chunks, cut into segments by their number alone, so that the next attempt cuts them the same."""
    size = min(MOST, max(FEWEST, len(chunks) // 16))
    return [Segment(k, tuple(chunks[at : at + size])) for k, at in enumerate(range(0, len(chunks), size))]


def write(folder: Path, fingerprint: str, segment: Segment, found: Sequence[Found]) -> None:
    """Keep what was found in a segment's chunks; the file has its name only once it is whole and on the disk."""
    arrays: list[NDArray] = []
    rows = []
    for each in found:
        arrays += [each.times, each.group_of]
        for group in each.groups.values():
            arrays += [group.components, group.waveforms, group.masks]
        shapes = {str(number): group.waveforms.shape for number, group in each.groups.items()}
        rows.append({"components": len(each.times), "groups": shapes})
    head = json.dumps({"number": segment.number, "chunks": rows}).encode()
    pieces = [len(head).to_bytes(8, "little"), *_padded(head)]
    for array in arrays:
        pieces += _padded(array.tobytes())
    payload = b"".join(pieces)
    path = segment.path(folder)
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write((_mark(fingerprint) + blake3(payload).digest()).ljust(START, b"\0"))
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def read(folder: Path, fingerprint: str, segment: Segment, *, check: bool = True) -> list[Found]:
    """What `write` kept, as views of the file: only what is looked at is read.

    Raises FileNotFoundError, or Unusable where it is not whole (if `check` says so) or of another detection.
    """
    with segment.path(folder).open("rb") as file:
        if os.fstat(file.fileno()).st_size <= START:
            raise Unusable("it is cut off")
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    mark = _mark(fingerprint)
    if whole[: len(MAGIC)] != MAGIC:
        raise Unusable("it is no checkpoint of this version")
    if whole[: len(mark)] != mark:
        raise Unusable("it is of other data or other parameters")
    digest, payload = whole[len(mark) : len(mark) + 32], whole[START:]
    if check and blake3(payload).digest() != digest:
        raise Unusable("its checksum is wrong")
    size = int.from_bytes(payload[:8], "little")
    head = json.loads(bytes(payload[8 : 8 + size]))
    if head["number"] != segment.number or len(head["chunks"]) != len(segment.chunks):
        raise Unusable("it is of other chunks")
    return list(_found(head["chunks"], payload[8 + size + -size % 8 :]))


def _mark(fingerprint: str) -> bytes:
    return MAGIC + fingerprint.encode() + b"\n"


def _padded(data: bytes) -> tuple[bytes, bytes]:
    """The data, and what brings the next to a multiple of 8 bytes."""
    return data, bytes(-len(data) % 8)


def _found(rows: Sequence[Any], payload: memoryview) -> Iterator[Found]:
    at = 0

    def take(dtype: type, *shape: int) -> NDArray:
        nonlocal at
        start, count = at, math.prod(shape)
        size = count * np.dtype(dtype).itemsize
        at += size + -size % 8
        return np.frombuffer(payload, dtype, count, start).reshape(shape) if count else np.empty(shape, dtype)

    for row in rows:
        times, group_of = take(np.float64, row["components"]), take(np.int32, row["components"])
        groups = {}
        for number, (count, samples, channels) in row["groups"].items():
            components = take(np.int32, count)
            waveforms = take(np.float32, count, samples, channels)
            groups[int(number)] = Group(components, waveforms, take(np.float32, count, channels))
        yield Found(times, group_of, groups)
