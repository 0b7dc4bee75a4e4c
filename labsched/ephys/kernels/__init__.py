"""The inner loops of stage 1, compiled from C (native.c): for blocks of samples, one thread each, others run meanwhile.

A block is float32, (samples, width) in C order: `width` is the channels rounded up to a multiple of 8, and what lies in
the columns past the last channel means nothing. Nothing here depends on which other samples are at hand, so that a
block's result depends on the block alone.
"""

import ctypes
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError

LANES, PANEL = 8, 16
Block = NDArray[np.float32]
_KINDS = {"i2": 0, "i4": 1, "f4": 2, "f8": 3}
_long, _pointer = ctypes.c_long, ctypes.c_void_p


def library(name: str) -> ctypes.CDLL:
    """One of the libraries that setup.py builds here. Raises EphysError where it is missing."""
    here = Path(__file__).parent
    for suffix in EXTENSION_SUFFIXES:
        if (built := here / f"{name}{suffix}").exists():
            return ctypes.CDLL(str(built))
    raise EphysError(f"the compiled part of labsched is missing in {here}: install it again (`make venv` builds it)")


_native = library("_native")
_native.ls_load.argtypes = (
    *(_pointer, ctypes.c_int, ctypes.c_ssize_t, ctypes.c_ssize_t, _long, _long, _long),
    *(_pointer, _pointer, _pointer),
)
_native.ls_fir.argtypes = (_pointer, _long, _long, _long, _pointer, _pointer)
_native.ls_zero_phase.argtypes = (_pointer, _long, _long, _long, _pointer, _pointer)
_native.ls_product.argtypes = (*(_pointer, _long, _long, _long), *(_pointer, _pointer, _long, _pointer, _pointer))
_native.ls_fir.restype = _native.ls_product.restype = None


def width(channels: int) -> int:
    """Columns of a block of so many channels."""
    return -(-channels // LANES) * LANES


def block(samples: int, columns: int) -> Block:
    """An empty block; it begins on a line of the processor's cache, which is a third of the time of `fir`."""
    whole = np.empty(samples * columns + 16, dtype=np.float32)
    first = -whole.ctypes.data % 64 // 4
    return whole[first : first + samples * columns].reshape(samples, columns)


def load(raw: NDArray, ratio: NDArray[np.float64] | None, base: NDArray[np.float64], out: Block) -> bool:
    """Raw numbers (channels, n), of any strides, into `out` (n, width): ``raw * ratio - base``.

    Computed in double, and in float where that is exact (int16 without a ratio, less a whole base). False where a
    number is NaN or infinite.
    """
    kind = _KINDS.get(raw.dtype.str[1:]) if raw.dtype.isnative else None
    if kind is None:
        raw = raw.astype(np.float64)
        kind = _KINDS["f8"]
    channels, n = raw.shape
    across, along = raw.strides
    return not _native.ls_load(
        *(raw.ctypes.data, kind, across, along, n, channels, out.shape[1]),
        *(None if ratio is None else ratio.ctypes.data, base.ctypes.data, out.ctypes.data),
    )


def fir(x: Block, weights: NDArray[np.float32], out: Block) -> None:
    """``out[t, c] = sum_k weights[k, c] * x[t + k, c]``; weights (taps, width), x has taps - 1 rows more than out."""
    _native.ls_fir(x.ctypes.data, len(out), x.shape[1], len(weights), weights.ctypes.data, out.ctypes.data)


def zero_phase(x: Block, sos: NDArray[np.float32], zi: NDArray[np.float32]) -> None:
    """Second-order sections forwards and backwards over the rows, in place.

    sos is (sections, 5): b0 b1 b2 a1 a2; zi (sections, 2) the states under which a constant 1 has been there for ever.
    """
    if _native.ls_zero_phase(x.ctypes.data, len(x), x.shape[1], len(sos), sos.ctypes.data, zi.ctypes.data):
        raise ValueError("at most 8 sections")


def packed(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """A matrix (out, channels) in the order in which `product` goes through it: panels of 16 outputs."""
    out, channels = matrix.shape
    wide = np.zeros((width(out), channels), dtype=np.float32)
    wide[:out] = matrix
    return np.concatenate([wide[at : at + PANEL].T.ravel() for at in range(0, out, PANEL)])


def product(
    x: Block,
    panels: NDArray[np.float32],
    bias: NDArray[np.float32],
    y: NDArray[np.int16],
    clipped: NDArray[np.int64],
) -> None:
    """``y = M x + bias``, rounded to the nearest (even) whole number and clipped to int16; clipped values are counted.

    x (n, width), `panels` from `packed`, bias (width of the outputs), y (n, out), clipped (out).
    """
    out = y.shape[1]
    channels = len(panels) // width(out)
    _native.ls_product(
        *(x.ctypes.data, len(x), x.shape[1], channels, panels.ctypes.data, bias.ctypes.data, out),
        *(y.ctypes.data, clipped.ctypes.data),
    )
