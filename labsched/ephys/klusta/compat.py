"""What klusta 3.0.16 and klustakwik2 0.2.6 need to run on a numpy of today: patches at run time, nothing on disk.

Each is applied only where it is needed, and as often as one likes. The sortings are the same on every numpy from 1.23
to 2.5.
"""

from typing import Any


def apply() -> None:
    """Patch numpy, klusta and klustakwik2 in this process. Raises ImportError where klusta is not installed."""
    _numpy()
    _attributes()
    _masks()
    _builtins()
    _unwritten()


def _numpy() -> None:
    """Give back the names that numpy removed in 1.24 (np.int and friends) and 2.x (np.in1d)."""
    import numpy as np

    names: dict[str, Any] = {"int": int, "float": float, "object": object, "bool": bool}
    for name, value in names.items():
        # numpy 2 has np.bool again, as its own type; hasattr would warn on 1.24 to 1.26
        if name not in vars(np):
            setattr(np, name, value)
    if "in1d" not in vars(np):
        np.in1d = np.isin  # type: ignore[attr-defined]


def _attributes() -> None:
    """``read_attr`` decodes byte arrays with tostring, which is gone: hand it arrays that still have one."""
    import numpy as np
    from klusta.kwik import h5  # type: ignore[import-untyped]

    if getattr(h5.File.read_attr, "patched", False):
        return
    original = h5.File.read_attr

    def read_attr(self: Any, path: str, attr_name: str, default: Any = False) -> Any:
        if path in self._h5py_file:
            found = self._h5py_file[path].attrs.get(attr_name)
            if isinstance(found, np.ndarray | np.generic) and found.dtype.kind == "S":
                return found.tobytes().decode("UTF-8").replace("\x00", "")
        return original(self, path, attr_name, default)

    read_attr.patched = True  # type: ignore[attr-defined]
    h5.File.read_attr = read_attr


def _masks() -> None:
    """``reduce_masks_from_arrays`` sorts by tostring; this is the same with tobytes, wherever the name is bound."""
    import numpy as np
    from klustakwik2 import data, precomputations  # type: ignore[import-untyped]

    if getattr(precomputations.reduce_masks_from_arrays, "patched", False):
        return

    def reduce_masks_from_arrays(first: Any, last: Any, indices: Any) -> tuple[Any, Any, Any]:
        keys = [indices[a:b].tobytes() for a, b in zip(first, last, strict=True)]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        start, end = np.zeros(len(keys), dtype=int), np.zeros(len(keys), dtype=int)
        unique, at, previous = [], 0, None
        for k in order:
            if keys[k] != previous:
                previous = keys[k]
                unique.append(indices[first[k] : last[k]])
                at += len(unique[-1])
            start[k], end[k] = at - len(unique[-1]), at
        return np.hstack(unique), start, end

    reduce_masks_from_arrays.patched = True  # type: ignore[attr-defined]
    precomputations.reduce_masks_from_arrays = reduce_masks_from_arrays
    data.reduce_masks_from_arrays = reduce_masks_from_arrays


def _builtins() -> None:
    """Quick steps call Python's min and sum: numpy's have taken these names since, and refuse what they are given."""
    from klustakwik2 import clustering
    from klustakwik2.numerics.cylib import e_step

    clustering.min = e_step.min = min
    e_step.sum = sum


def _unwritten() -> None:
    """A split is judged by a score that KlustaKwik2 sums over memory which it has not written, for spikes in special
    clusters: nearly always whole numbers, next to nothing as doubles. They are 0 then, whatever ran before.
    """
    import numpy as np
    from klustakwik2 import clustering

    clustering.empty = np.zeros
