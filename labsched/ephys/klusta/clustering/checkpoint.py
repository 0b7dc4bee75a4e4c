"""What a killed clustering goes on from: one file a shank, and the one before it; never a torn or a foreign one.

A file is ``labsched clustering 1``, the length of a JSON header, the header, its arrays one after the other, and a
BLAKE2b of all that. The header names the fingerprint of what was clustered and how.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"labsched clustering 1\n"
DIGEST = 32


class Unusable(Exception):
    """A checkpoint that must not be used; the message says why."""


@dataclass(frozen=True)
class Checkpoint:
    """Plain values by name, and arrays by name."""

    values: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


def save(path: Path, fingerprint: str, state: Checkpoint) -> None:
    """Write a checkpoint under its name once all of it is on the disk; the one that is there becomes ``.before``."""
    order = [[name, array.dtype.str, list(array.shape)] for name, array in state.arrays.items()]
    header = json.dumps({"fingerprint": fingerprint, "values": dict(state.values), "arrays": order}).encode()
    seal = hashlib.blake2b(digest_size=DIGEST)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        pieces = [MAGIC, len(header).to_bytes(8, "little"), header]
        for piece in [*pieces, *(np.ascontiguousarray(array).tobytes() for array in state.arrays.values())]:
            seal.update(piece)
            file.write(piece)
        file.write(seal.digest())
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        path.replace(before(path))
    temporary.replace(path)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def before(path: Path) -> Path:
    """Where the checkpoint before this one lies."""
    return path.with_name(f"{path.name}.before")


def load(path: Path, fingerprint: str) -> Checkpoint:
    """Read a checkpoint. Raises Unusable where it is torn, damaged or of something else; FileNotFoundError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unusable(f"it cannot be read: {error.strerror}") from None
    start = len(MAGIC) + 8
    if len(data) < start + DIGEST or not data.startswith(MAGIC):
        raise Unusable("it is cut short or no checkpoint")
    if hashlib.blake2b(memoryview(data)[:-DIGEST], digest_size=DIGEST).digest() != data[-DIGEST:]:
        raise Unusable("it is cut short or damaged: its checksum is wrong")
    try:
        end = start + int.from_bytes(data[len(MAGIC) : start], "little")
        header = json.loads(data[start:end])
        if header["fingerprint"] != fingerprint:
            raise Unusable("it is of other data, parameters, versions or another seed")
        arrays = {}
        for name, kind, shape in header["arrays"]:
            count = int(np.prod(shape, dtype=np.int64))
            arrays[name] = np.frombuffer(data, dtype=kind, count=count, offset=end).reshape(shape).copy()
            end += count * np.dtype(kind).itemsize
        return Checkpoint(header["values"], arrays)
    except (ValueError, KeyError, TypeError) as error:
        raise Unusable(f"it does not hold what it should ({error})") from None


def clear(path: Path) -> None:
    """Remove what was being written when its writer was killed."""
    for torn in path.parent.glob(f"{path.name}.*.tmp"):
        torn.unlink(missing_ok=True)
