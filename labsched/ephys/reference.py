"""Referencing: what the channels have in common is taken away. Every method is one matrix: ``y = M x``."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError

Matrix = NDArray[np.float64]

#: The regression's ridge, as a part of each channel's own variance: far below what any channel's own noise adds (so it
#: takes nothing from the result), and enough where a channel is flat or two are copies of each other.
RIDGE = 1e-6


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
    variance = np.diag(covariance)
    # In correlations, so that a channel a thousand times louder changes neither the ridge nor the accuracy.
    scale = np.where(variance > 0, np.sqrt(np.clip(variance, 0, None)), 1.0)
    correlation = covariance / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1 + RIDGE)
    precision = np.linalg.inv(correlation) / np.outer(scale, scale)
    return precision / np.diag(precision)[:, None]


#: Methods by name: covariance of the kept channels (channels × channels) to M (the same).
METHODS: dict[str, Callable[[Matrix], Matrix]] = {"none": none, "car": car, "war": war}


def matrix(method: str, covariance: Matrix) -> Matrix:
    """M for a method. Raises EphysError for an unknown one."""
    check(method)
    return METHODS[method](covariance)


def check(method: str) -> None:
    """Raises EphysError for a method that there is not."""
    if method not in METHODS:
        raise EphysError(f"unknown reference {method!r}: it is one of {', '.join(METHODS)}")
