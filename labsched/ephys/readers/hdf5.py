"""Long vectors in HDF5 files, read past the library: by several threads at once, and without its cost for each call.

The library says where the numbers lie, in one piece or in chunks. It lets one thread in at a time, takes 80 µs for a
call that reads some kilobytes, and unpacks a chunk anew whenever its cache has lost it.
"""

import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The filters of HDF5 that are undone here; any other is left to the library.
DEFLATE, SHUFFLE = 1, 2
#: Unpacked chunks of a vector that are kept: threads that follow each other need the same ones.
KEPT = 2


class Damaged(Exception):
    """What lies in the file is not what the file says; the message says how."""


def direct(data: Any) -> Callable[[int, int], NDArray] | None:
    """``fetch(start, stop)`` for an h5py dataset with one long dimension; None where only the library can read it.

    It may be called from several threads, as long as the file is open. It raises Damaged.
    """
    if data.dtype.kind not in "iuf" or not data.dtype.isnative or data.external:
        return None
    try:
        handle = data.file.id.get_vfd_handle()
    except (OSError, RuntimeError, ValueError, NotImplementedError):
        return None
    if data.chunks is None:
        begin = data.id.get_offset()  # none where nothing was written, or the numbers lie within the header
        return None if begin is None else _Contiguous(handle, begin, data.size, data.dtype).fetch
    create = data.id.get_create_plist()
    filters = [create.get_filter(number)[0] for number in range(create.get_nfilters())]
    if filters not in ([], [DEFLATE], [SHUFFLE, DEFLATE], [SHUFFLE]) or min(data.chunks) < 1:
        return None
    axis = max(range(data.ndim), key=lambda each: data.shape[each])
    if any(length != 1 for each, length in enumerate(data.chunks) if each != axis):
        return None
    return _Chunked(data, axis, handle, filters).fetch


def _read(handle: int, size: int, begin: int) -> bytes:
    found = os.pread(handle, size, begin)
    if len(found) != size:
        raise Damaged("it is truncated")
    return found


class _Contiguous:
    def __init__(self, handle: int, begin: int, count: int, dtype: np.dtype) -> None:
        self._handle, self._begin, self._count, self._dtype = handle, begin, count, dtype

    def fetch(self, start: int, stop: int) -> NDArray:
        start, stop = max(start, 0), min(stop, self._count)
        size = self._dtype.itemsize
        return np.frombuffer(_read(self._handle, (stop - start) * size, self._begin + start * size), self._dtype)


class _Chunked:
    def __init__(self, data: Any, axis: int, handle: int, filters: list[int]) -> None:
        self._data, self._axis, self._handle, self._filters = data, axis, handle, filters
        self._length, self._count, self._dtype = int(data.chunks[axis]), int(data.size), data.dtype
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, NDArray] = OrderedDict()

    def fetch(self, start: int, stop: int) -> NDArray:
        start, stop = max(start, 0), min(stop, self._count)
        found = []
        for number in range(start // self._length, -(-stop // self._length)):
            first = number * self._length
            found.append(self._chunk(number)[max(start - first, 0) : stop - first])
        return found[0] if len(found) == 1 else np.concatenate(found) if found else np.empty(0, self._dtype)

    def _chunk(self, number: int) -> NDArray:
        # A second thread that wants the same chunk waits for it instead of unpacking it as well.
        with self._lock:
            known = self._kept.pop(number, None)
            self._kept[number] = made = self._unpacked(number) if known is None else known
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return made

    def _unpacked(self, number: int) -> NDArray:
        where = tuple(number * self._length if each == self._axis else 0 for each in range(self._data.ndim))
        info = self._data.id.get_chunk_info_by_coord(where)
        if info.byte_offset is None:
            return np.full(self._length, self._data.fillvalue, self._dtype)
        packed = _read(self._handle, info.size, info.byte_offset)
        expected = self._length * self._dtype.itemsize
        # A bit of the mask says that a chunk was stored without that filter.
        undone = [name for place, name in enumerate(self._filters) if not info.filter_mask >> place & 1]
        if DEFLATE in undone:
            try:
                packed = zlib.decompress(packed, bufsize=expected)
            except zlib.error as error:
                raise Damaged(f"a chunk cannot be unpacked: {error}") from None
        if len(packed) != expected:
            raise Damaged(f"a chunk has {len(packed)} bytes instead of {expected}")
        numbers = np.frombuffer(packed, np.uint8)
        if SHUFFLE in undone:
            numbers = np.ascontiguousarray(numbers.reshape(self._dtype.itemsize, self._length).T).reshape(-1)
        return numbers.view(self._dtype)
