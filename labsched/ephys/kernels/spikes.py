"""The inner loops of spike detection, compiled from C (spikes.c); each gives the bits that klusta's own code gives.

Traces are (samples, channels) float32 in C order; a place in them is ``row * channels + channel``.
"""

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import library

Traces = NDArray[np.float32]
Ints = NDArray[np.int32]
Doubles = NDArray[np.float64]
#: What is compared with the threshold: the signal, its negative, or its magnitude.
MODES = {"positive": 0, "negative": 1, "both": 2}
DEGREE = 3
_native = library("_spikes")
_KINDS = {"p": ctypes.c_void_p, "l": ctypes.c_long, "i": ctypes.c_int, "d": ctypes.c_double}

for _name, _takes, _gives in (
    ("filter", "pi" + 4 * "l" + 5 * "p", "i"),
    ("crossings", "plli" + "ppl", "l"),
    ("components", "plippl" + "ppl" + 8 * "p", "l"),
    ("pairwise", "pl", "d"),
    ("spans", "pplllp", ""),
    ("times", "pppll" + "ppd" + 4 * "p", ""),
    ("cut", "pllplp" + "lllp", ""),
    ("basis", "plpp", ""),
    ("align", "ppplllllp", ""),
    ("bins", "plllp", ""),
):
    _function = getattr(_native, f"ls_{_name}")
    _function.argtypes = tuple(_KINDS[kind] for kind in _takes)
    _function.restype = _KINDS.get(_gives)


def filtered(raw: NDArray, edge: int, b: Doubles, a: Doubles, zi: Doubles) -> Traces:
    """`raw` (n, channels; int16 or float64), extended by `edge` rows at both ends, filtered forth and back.

    What ``scipy.signal.filtfilt`` gives, in double, as float32 without the extensions. b and a are as long as each
    other, from 3 to 33, and a begins with 1.
    """
    n, channels = raw.shape
    out = np.empty((n - 2 * edge, channels), np.float32)
    kept = np.empty((n, 8))
    raw = np.ascontiguousarray(raw)
    b, a, zi = (np.ascontiguousarray(each, np.float64) for each in (b, a, zi))
    wide = int(raw.dtype != np.int16)
    if _native.ls_filter(
        *(raw.ctypes.data, wide, n, channels, edge, len(b), b.ctypes.data, a.ctypes.data, zi.ctypes.data),
        *(kept.ctypes.data, out.ctypes.data),
    ):
        raise ValueError(f"a filter of {len(b)} taps is too long")
    return out


@dataclass(frozen=True)
class Graph:
    """Which channels touch which: those of channel c are ``near[first[c]:first[c + 1]]``, in the order of looking."""

    first: Ints
    near: Ints


@dataclass(frozen=True)
class Components:
    """Places by component: those of component k are ``places[ends[k - 1]:ends[k]]``, the one found first in front."""

    places: Ints
    ends: Ints


def components(x: Traces, mode: int, weak: Traces, strong: Traces, graph: Graph, join: int) -> Components:
    """Crossings of `weak` (a threshold for each channel) that touch, where one crosses `strong`; oldest first.

    Two touch where their channels do and they are at most `join` rows apart. Rows are gone through in time, and
    channels in rising order; a crossing that touches several components makes them one, under its own name.
    """
    n, channels = x.shape
    room = max(x.size // 16, 1024)
    found = np.empty(room, np.int32)
    count = _native.ls_crossings(x.ctypes.data, n, channels, mode, weak.ctypes.data, found.ctypes.data, room)
    if count > room:
        found = np.empty(count, np.int32)
        _native.ls_crossings(x.ctypes.data, n, channels, mode, weak.ctypes.data, found.ctypes.data, count)
    labels = np.zeros(x.size, np.int32)
    parent, head, tail, after = np.empty((4, count + 1), np.int32)
    loud = np.empty(count + 1, np.uint8)
    places, ends = np.empty((2, count + 1), np.int32)
    kept = _native.ls_components(
        *(x.ctypes.data, channels, mode, strong.ctypes.data, found.ctypes.data, count),
        *(graph.first.ctypes.data, graph.near.ctypes.data, join, labels.ctypes.data),
        *(each.ctypes.data for each in (parent, head, tail, after, loud, places, ends)),
    )
    ends = ends[:kept]
    return Components(places[: ends[-1] if kept else 0], ends)


def spans(found: Components, n: int, channels: int) -> Ints:
    """(components, 2): from 3 rows before the first place to 4 after the last, within the n rows."""
    out = np.empty((len(found.ends), 2), np.int32)
    _native.ls_spans(found.places.ctypes.data, found.ends.ctypes.data, len(out), n, channels, out.ctypes.data)
    return out


def times(
    found: Components, n: int, height: Doubles, power: Doubles, still_power: float, still: Doubles
) -> tuple[Doubles, Traces]:
    """The time of each component, the mean of its rows weighed by `power`; and (components, channels) its `height`.

    `height` and `power` are of its places; of the others in its span they are `still` (for each channel) and
    `still_power`.
    """
    channels = len(still)
    looked = spans(found, n, channels)
    most = int((looked[:, 1] - looked[:, 0]).max(initial=0))
    scratch = np.empty(2 * most * channels)
    when, masks = np.empty(len(looked)), np.empty((len(looked), channels), np.float32)
    _native.ls_times(
        *(found.places.ctypes.data, found.ends.ctypes.data, looked.ctypes.data, len(looked), channels),
        *(height.ctypes.data, power.ctypes.data, still_power, still.ctypes.data, scratch.ctypes.data),
        *(when.ctypes.data, masks.ctypes.data),
    )
    return when, masks


def cut(x: Traces, when: Doubles, columns: Ints, before: int, rows: int) -> Doubles:
    """(spikes * columns, rows): what is round the whole part of each time, from `before` + 1 rows before it on."""
    n, channels = x.shape
    out = np.empty((len(when) * len(columns), rows))
    _native.ls_cut(
        *(x.ctypes.data, n, channels, when.ctypes.data, len(when), columns.ctypes.data, len(columns)),
        *(before, rows, out.ctypes.data),
    )
    return out


def basis(knots: Doubles, rows: int) -> tuple[Doubles, Ints]:
    """The four cubic B-splines that are not 0 at each of 0 .. rows - 1, and which one is the first."""
    values, column = np.empty((rows, DEGREE + 1)), np.empty(rows, np.int32)
    _native.ls_basis(knots.ctypes.data, rows, values.ctypes.data, column.ctypes.data)
    return values, column


def aligned(coefficients: Doubles, knots: Doubles, when: Doubles, columns: int, before: int, samples: int) -> Traces:
    """(spikes, samples, columns): splines (spikes * columns, rows) at the times themselves, not their whole parts."""
    rows = coefficients.shape[1]
    out = np.empty((len(when), samples, columns), np.float32)
    _native.ls_align(
        *(coefficients.ctypes.data, knots.ctypes.data, when.ctypes.data, len(when), columns, before, rows, samples),
        out.ctypes.data,
    )
    return out


def middle(x: NDArray[np.float32], step: int = 1, start: int = 0) -> np.float32:
    """The median of the magnitudes of x.ravel()[start::step], as numpy has it; nothing is copied, nothing sorted."""
    n = len(range(start, x.size, step))
    at = x.ctypes.data + 4 * start
    upper = np.zeros(65536, np.int64)
    _native.ls_bins(at, n, step, -1, upper.ctypes.data)
    chosen = []
    for rank in sorted({(n - 1) // 2, n // 2}):
        high = int(np.searchsorted(np.cumsum(upper), rank, side="right"))
        lower = np.zeros(65536, np.int64)
        _native.ls_bins(at, n, step, high, lower.ctypes.data)
        low = int(np.searchsorted(np.cumsum(lower), rank - int(upper[:high].sum()), side="right"))
        chosen.append(high << 16 | low)
    return np.mean(np.array(chosen, np.uint32).view(np.float32))
