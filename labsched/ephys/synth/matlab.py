"""MATLAB files as Spike2 exports them: v7.3 (HDF5, written as a stream) and v5 (whole, for small blocks)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

HEADER = "MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 1970 HDF5 schema 1.00 ."
CLASSES = {"f8": "double", "f4": "single", "i2": "int16"}


class Writer73:
    """One v7.3 file with a struct per channel, whose ``values`` and ``times`` are filled chunk by chunk.

    The layout is MATLAB's own: a 512-byte user block with its header, a group per struct with ``MATLAB_class``
    (and ``MATLAB_fields`` in order), arrays transposed (a column of N is stored as 1 × N), text as 16-bit units.
    Nothing in it depends on the clock, so the same data gives the same bytes.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self.path = path
        self.file = h5py.File(path, "w", userblock_size=512, track_order=False)
        self.columns: dict[tuple[str, str], Any] = {}

    def struct(self, name: str, fields: Mapping[str, Any], columns: Mapping[str, tuple[str, int]]) -> None:
        """Begin a struct: small ``fields`` (numbers and text) at once, ``columns`` (name → dtype, length) later."""
        import h5py

        group = self.file.create_group(name)
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        names = [*fields, *columns]
        kind = h5py.vlen_dtype(np.dtype("S1"))
        listed = np.empty(len(names), dtype=object)
        listed[:] = [np.array(list(field), dtype="S1") for field in names]
        group.attrs.create("MATLAB_fields", listed, dtype=kind)
        for field, value in fields.items():
            if isinstance(value, str):
                units = np.array([ord(letter) for letter in value], dtype=np.uint16)[:, None]
                entry = group.create_dataset(field, data=units, track_times=False)
                entry.attrs["MATLAB_class"] = np.bytes_("char")
                entry.attrs["MATLAB_int_decode"] = np.int32(2)
            else:
                entry = group.create_dataset(field, data=np.full((1, 1), float(value)), track_times=False)
                entry.attrs["MATLAB_class"] = np.bytes_("double")
        for field, (dtype, length) in columns.items():
            entry = group.create_dataset(field, shape=(1, length), dtype=dtype, track_times=False)
            entry.attrs["MATLAB_class"] = np.bytes_(CLASSES[dtype])
            self.columns[name, field] = entry

    def fill(self, name: str, field: str, start: int, values: np.ndarray) -> None:
        """Write ``values`` into a column from row ``start`` on."""
        self.columns[name, field][0, start : start + len(values)] = values

    def close(self) -> None:
        """Close the file and put MATLAB's header in front."""
        self.columns.clear()
        self.file.close()
        with self.path.open("r+b") as file:
            file.write(HEADER.encode().ljust(116) + bytes(8) + b"\x00\x02" + b"IM")


class Writer5:
    """The same for v5, which can only be written whole: it holds the file's channels in memory until closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.structs: dict[str, dict[str, Any]] = {}

    def struct(self, name: str, fields: Mapping[str, Any], columns: Mapping[str, tuple[str, int]]) -> None:
        """As :meth:`Writer73.struct`."""
        empty = {field: np.zeros((length, 1), dtype=dtype) for field, (dtype, length) in columns.items()}
        self.structs[name] = {
            **{field: value if isinstance(value, str) else float(value) for field, value in fields.items()},
            **empty,
        }

    def fill(self, name: str, field: str, start: int, values: np.ndarray) -> None:
        """As :meth:`Writer73.fill`."""
        self.structs[name][field][start : start + len(values), 0] = values

    def close(self) -> None:
        """Write the file."""
        from scipy.io import savemat

        savemat(self.path, self.structs, format="5", oned_as="column", do_compression=True)
