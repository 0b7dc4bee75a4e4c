"""The inner loops of clustering, compiled from C (mixture.c): others run meanwhile, and each sum keeps its order.

Spikes are sparse (`Sparse`), clusters are lists of spikes; a call that takes a list of spikes takes int64.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
_long, _pointer, _double = ctypes.c_long, ctypes.c_void_p, ctypes.c_double


def _library() -> ctypes.CDLL:
    here = Path(__file__).parent
    for suffix in EXTENSION_SUFFIXES:
        if (built := here / f"_mixture{suffix}").exists():
            return ctypes.CDLL(str(built))
    raise EphysError(f"the compiled part of labsched is missing in {here}: install it again (`make venv` builds it)")


_mixture = _library()
_mixture.mixture_likelihood.argtypes = (_pointer, _pointer, _pointer, _long, _long, _pointer)
_mixture.mixture_assign.argtypes = (
    *(_pointer, _pointer, _long, _long, _long, ctypes.c_int, ctypes.c_int),
    *(_pointer, _pointer, _pointer, _pointer, _pointer),
)
_mixture.mixture_settle.argtypes = (_pointer, _long, _pointer, ctypes.c_int64, _pointer, _pointer, _pointer, _pointer)
_mixture.mixture_covariance.argtypes = (_pointer, _pointer, _long, _pointer, _pointer, _long, _pointer)
_mixture.mixture_moments.argtypes = (_pointer, _pointer, _long, _double, _pointer, _pointer, _pointer)
_mixture.mixture_inverse.argtypes = (_pointer, _pointer, _long, _pointer, _long, _pointer, _pointer)
_mixture.mixture_penalties.argtypes = (_pointer, _pointer, _long, _double, _double, _long, _pointer, _pointer)
_mixture.mixture_deletions.argtypes = (
    *(_pointer, _pointer, _pointer, _long, _double, _double, _long, _long, _long, _pointer, _pointer),
)
_mixture.mixture_losses.argtypes = (_pointer, _pointer, _pointer, _long, _pointer)
_mixture.mixture_sparse.argtypes = (_pointer, _long, _long, *[_pointer] * 9)
_mixture.mixture_sparse.restype = _long
_mixture.mixture_settle.restype = _mixture.mixture_moments.restype = None
_mixture.mixture_penalties.restype = _mixture.mixture_losses.restype = None


class Sparse(ctypes.Structure):
    """The spikes as C sees them: whoever makes one keeps the arrays."""

    _fields_ = [
        ("spikes", ctypes.c_int64), ("features", ctypes.c_int64),
        *((name, _pointer) for name in ("unmasked", "ustart", "uend", "vstart")),
        *((name, _pointer) for name in ("values", "masks", "terms", "noise_mean", "noise_variance")),
    ]  # fmt: skip


class Cluster(ctypes.Structure):
    """A cluster as C sees it: its Cholesky factor's rows one after the other, each up to the diagonal."""

    _fields_ = [
        ("number", ctypes.c_int64), ("count", ctypes.c_int64),
        *((name, _pointer) for name in ("unmasked", "mean", "root", "diagonal", "inverse")),
        ("addition", _double),
    ]  # fmt: skip


def likelihood(data: Sparse, cluster: Cluster, spikes: Whole | None, first: int, last: int, out: Reals) -> None:
    """``out[p]`` = -log p of the spikes first..last-1 of the list, or of all, in the cluster."""
    _done(_mixture.mixture_likelihood(ctypes.byref(data), ctypes.byref(cluster), _at(spikes), first, last, _at(out)))


def assign(
    data: Sparse,
    clusters: Sequence[Cluster],
    first: int,
    last: int,
    *,
    second: bool,
    early: bool,
    bound: Reals | None,
    best: Reals,
    next_best: Reals,
    which: Whole,
    other: Whole,
) -> None:
    """The clusters in turn, taken into account for spikes first..last-1: the best and, with ``second``, the next best.

    With ``early`` a sum ends once it exceeds the next best (without ``second``: the best), or ``bound``, for certain.
    """
    every = (Cluster * len(clusters))(*clusters)
    _done(
        _mixture.mixture_assign(
            *(ctypes.byref(data), every, len(clusters), first, last, second, early, _at(bound)),
            *(_at(best), _at(next_best), _at(which), _at(other)),
        )
    )


def settle(
    spikes: Whole | None, values: Reals, cluster: int, best: Reals, next_best: Reals, which: Whole, other: Whole
) -> None:
    """One cluster's likelihoods taken into account, for the spikes of a list or for all."""
    n = len(which) if spikes is None else len(spikes)
    _mixture.mixture_settle(_at(spikes), n, _at(values), cluster, _at(best), _at(next_best), _at(which), _at(other))


def moments(data: Sparse, spikes: Whole, prior: float) -> tuple[Reals, Reals]:
    """The sums of the masks (features) and the mean (features) of a cluster's spikes."""
    masks, mean, counted = np.zeros(data.features), np.zeros(data.features), np.zeros(data.features, dtype=np.int64)
    _mixture.mixture_moments(ctypes.byref(data), _at(spikes), len(spikes), prior, _at(masks), _at(mean), _at(counted))
    return masks, mean


def covariance(data: Sparse, spikes: Whole, mean: Reals, unmasked: Whole) -> Reals:
    """The sum of the outer products of the spikes' distances from the mean, (unmasked, unmasked), with their terms."""
    block = np.empty((len(unmasked), len(unmasked)))
    _done(
        _mixture.mixture_covariance(
            *(ctypes.byref(data), _at(spikes), len(spikes), _at(mean), _at(unmasked), len(unmasked), _at(block))
        )
    )
    return block


def inverse_squares(factor: Reals, unmasked: Whole, features: int) -> Reals:
    """The squares of the inverse factor's columns as rows (unmasked, features), by the LAPACK that scipy has."""
    rows = np.zeros((len(unmasked), features))
    room = np.empty(len(unmasked))
    info = _mixture.mixture_inverse(
        *(_trtrs(), _at(factor), len(unmasked), _at(unmasked), features, _at(room), _at(rows))
    )
    if info:
        raise np.linalg.LinAlgError(f"the factor is singular at {info}")
    return rows


def penalties(clusters: Whole, unmasked: Reals, k: float, k_log_n: float) -> Reals:
    """The penalty for each cluster; ``unmasked`` is the number of unmasked features of each spike."""
    count = int(clusters.max()) + 1
    members, out = np.zeros(count, dtype=np.int64), np.zeros(count)
    _mixture.mixture_penalties(
        *(_at(clusters), _at(unmasked), len(clusters), k, k_log_n, count, _at(members), _at(out))
    )
    return out


def deletions(
    clusters: Whole, other: Whole, unmasked: Reals, k: float, k_log_n: float, count: int, first: int, last: int
) -> tuple[Reals, Whole]:
    """For each cluster first..last-1: the penalties without it (last - first, count), and how many of them count."""
    out, highest = np.empty((last - first, count)), np.empty(last - first, dtype=np.int64)
    _done(
        _mixture.mixture_deletions(
            *(_at(clusters), _at(other), _at(unmasked), len(clusters), k, k_log_n, count, first, last),
            *(_at(out), _at(highest)),
        )
    )
    return out, highest


def losses(clusters: Whole, best: Reals, next_best: Reals, count: int) -> Reals:
    """What each cluster's spikes lose where they go to their next best clusters."""
    out = np.zeros(count)
    _mixture.mixture_losses(_at(clusters), _at(best), _at(next_best), len(clusters), _at(out))
    return out


def sparse(
    both: NDArray[np.float32], low: Reals, span: Reals, sums: tuple[Reals, Reals, Reals], values: Reals,
    masks: Reals, unmasked: Whole, offsets: Whole,
) -> int:  # fmt: skip
    """What is unmasked in both (n, features, 2), into the four arrays, and the sums over the rest; returns how many."""
    n, features, _ = both.shape
    return int(
        _mixture.mixture_sparse(
            *(_at(both), n, features, _at(low), _at(span), _at(values), _at(masks), _at(unmasked), _at(offsets)),
            *(_at(each) for each in sums),
        )
    )


def _at(array: NDArray[Any] | None) -> int | None:
    return None if array is None else array.ctypes.data


def _done(failed: int) -> None:
    if failed:
        raise MemoryError("there is no memory left to cluster in")


@cache
def _trtrs() -> int:
    """The address of LAPACK's dtrtrs in scipy: a triangular solve of any other make would round otherwise."""
    from scipy.linalg import cython_lapack

    capsule = cython_lapack.__pyx_capi__["dtrtrs"]
    name, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name.argtypes, name.restype = [ctypes.py_object], ctypes.c_char_p
    pointer.argtypes, pointer.restype = [ctypes.py_object, ctypes.c_char_p], _pointer
    return int(pointer(capsule, name(capsule)))
