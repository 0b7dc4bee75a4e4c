"""Referencing: what the channels have in common is taken away. Every method is one matrix: ``y = M x``."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError

Matrix = NDArray[np.float64]

#: The regression's ridge, as a part of each channel's own variance: far below what any channel's own noise adds (so it
#: takes nothing from the result), and enough where a channel is flat or two are copies of each other.
RIDGE = 1e-6
#: The penalty of `ridge`, in variances of a channel's own noise: one for each other channel of its shank, but no more
#: than so many: a spike on a tetrode must be narrowed to be sorted, and on a long shank it is narrow.
SHRINK = 10.0
#: The least such variance, as a part of the median.
FLOOR = 0.5


def none(covariance: Matrix) -> Matrix:
    """Leave every channel as it is."""
    return np.eye(len(covariance))


def car(covariance: Matrix) -> Matrix:
    """Common average reference: the mean of the *other* kept channels is subtracted."""
    n = len(covariance)
    if n == 1:
        return np.eye(1)
    return np.eye(n) - (np.ones((n, n)) - np.eye(n)) / (n - 1)


def war(covariance: Matrix) -> Matrix:
    """Weighted average reference: each channel's prediction from the other kept channels is subtracted.

    Linear regression by its normal equations with a ridge. With P the inverse of the (ridged) covariance, the
    regression of channel c on the others has the weights -P[c, o] / P[c, c] (Lauritzen, Graphical Models, 1996, 5.1),
    so that one inversion serves all channels and the residual is ``sum_o P[c, o] / P[c, c] x[o]``.
    """
    correlation, scale = _correlation(covariance)
    precision = np.linalg.inv(correlation) / np.outer(scale, scale)
    return precision / np.diag(precision)[:, None]


def ridge(covariance: Matrix, together: Sequence[int] = ()) -> Matrix:
    """War with a strong ridge, from the covariance within the band of spikes: see docs/decisions/0016.

    Ridge regression (Hoerl & Kennard, Technometrics 12:55, 1970) whose penalty is, for each channel, some times
    (`SHRINK`) what the others do not explain of it: weights share what all channels have in common, and are too small
    to take a spike from a channel because its neighbours see it as well. `together`: how many channels lie on each
    channel's shank (without it, all on one).
    """
    correlation, scale = _correlation(covariance)
    own = scale**2 / np.diag(np.linalg.inv(correlation))
    # Two copies of one channel explain each other: they have as much noise of their own as others have.
    own = np.maximum(own, FLOOR * np.median(own))
    others = np.array(together or [len(own)] * len(own)) - 1
    penalised = correlation + np.diag(np.clip(others, 1 if len(own) > 1 else 0, SHRINK) * own / scale**2)
    precision = np.linalg.inv(penalised) / np.outer(scale, scale)
    return precision / np.diag(precision)[:, None]


def whiten(covariance: Matrix) -> Matrix:
    """The channels' common part, and all else that they share, is taken out of all of them alike: no two are correlated
    afterwards, and each keeps its standard deviation.

    ZCA-cor whitening (Kessy, Lewin & Strimmer, The American Statistician 72:309, 2018), with the standard deviations
    put back: of all whitened versions, the one in which each channel stays most like itself.
    """
    correlation, scale = _correlation(covariance)
    values, vectors = np.linalg.eigh(correlation)
    # What copies of a channel share has no direction of its own to be blown up.
    root = (vectors / np.sqrt(np.maximum(values, 1e-3))) @ vectors.T
    return root * np.outer(scale, 1 / scale)


def _correlation(covariance: Matrix) -> tuple[Matrix, Matrix]:
    """Correlations with a ridge of `RIDGE`, and the standard deviations (1 for a flat channel).

    In correlations, a channel a thousand times louder changes neither the ridge nor the accuracy.
    """
    variance = np.diag(covariance)
    scale = np.where(variance > 0, np.sqrt(np.clip(variance, 0, None)), 1.0)
    correlation = covariance / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1 + RIDGE)
    return correlation, scale


#: Methods by name: covariance of the kept channels (channels × channels) to M (the same).
METHODS: dict[str, Callable[[Matrix], Matrix]] = {
    "ridge": ridge, "war": war, "car": car, "whiten": whiten, "none": none,
}  # fmt: skip
#: The one that is taken where none is named.
DEFAULT = "ridge"
#: Those that want `labsched.ephys.covariance.robust`; the others take that of the samples as they are.
OF_THE_BAND = frozenset({"ridge", "whiten"})


def matrix(method: str, covariance: Matrix, together: Sequence[int] = ()) -> Matrix:
    """M for a method; `together` as for `ridge`. Raises EphysError for an unknown one."""
    check(method)
    return ridge(covariance, together) if method == "ridge" else METHODS[method](covariance)


def check(method: str) -> None:
    """Raises EphysError for a method that there is not."""
    if method not in METHODS:
        raise EphysError(f"unknown reference {method!r}: it is one of {', '.join(METHODS)}")
