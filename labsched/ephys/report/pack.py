"""Numbers as a page carries them: typed arrays in base64, a third of the size of digits, and read at once."""

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: What the page's script reads back, by the letter that goes with it.
KINDS = {"b": "<i1", "h": "<i2", "B": "<u1", "H": "<u2", "i": "<i4", "f": "<f4"}


def whole(values: NDArray[Any], kind: str) -> dict[str, Any]:
    """Whole numbers as they are: {"k": kind, "n": shape, "d": base64}. Raises OverflowError where they do not fit."""
    info = np.iinfo(KINDS[kind])
    if values.size and not info.min <= values.min() <= values.max() <= info.max:
        raise OverflowError(f"values of {values.min()} to {values.max()} do not fit into {KINDS[kind]}")
    return _packed(values, kind, 1.0)


def scaled(values: NDArray[Any], kind: str = "h") -> dict[str, Any]:
    """Real numbers as whole ones times a step that the largest of them gives; what is no number becomes 0."""
    finite = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    highest = float(np.abs(finite).max()) if finite.size else 0.0
    step = highest / np.iinfo(KINDS[kind]).max if highest > 0 else 1.0
    step = step if step > 0 else 1.0  # of the smallest numbers that there are, nothing is left
    return _packed(np.rint(finite / step), kind, step)


def number(value: Any, digits: int = 6) -> float | None:
    """A number for JSON: so many digits of it, None for what is none."""
    try:
        plain = float(value)
    except (TypeError, ValueError):
        return None
    return float(f"{plain:.{digits}g}") if math.isfinite(plain) else None


def unpacked(packed: dict[str, Any]) -> NDArray[np.float64]:
    """What the page's script makes of it."""
    values = np.frombuffer(base64.b64decode(packed["d"]), dtype=KINDS[packed["k"]])
    return np.asarray(values.reshape(packed["n"]) * packed.get("s", 1.0), dtype=np.float64)


def _packed(values: NDArray[Any], kind: str, step: float) -> dict[str, Any]:
    data = np.ascontiguousarray(values).astype(KINDS[kind])
    return {"k": kind, "n": list(values.shape), "s": step, "d": base64.b64encode(data.tobytes()).decode()}
