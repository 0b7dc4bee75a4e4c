"""How well a channel is foretold by the others: what separates a channel of this probe from one of its own."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RIDGE = 1e-6


def correlations(covariance: Floats) -> Floats:
    """(c, c); a constant channel has none with any other."""
    scale = np.sqrt(np.clip(np.diag(covariance), 0, None))
    scale = np.where(scale > 1e-9, scale, 1.0)
    found = covariance / np.outer(scale, scale)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def partners(channels: int) -> int:
    """How many channels may have gone astray together: two that share another recording's noise foretell each other."""
    return min(4, channels // 6)


def follows(products: Floats, correlation: Floats, count: float, most: int) -> Floats:
    """The part of each channel's variance that a regression on the others foretells, 0 to 1, shape (c,).

    `products` are sums of products (c, c) over `count` independent values, on which the adjustment for chance rests
    (Theil, Economic Forecasts and Policy, 1961). The channel's closest partners by `correlation` are left out of the
    others, and of many others, `most` that are spread over the probe are taken.
    """
    n = len(products)
    ours = correlations(products)
    alive = np.diag(products) > 1e-18
    found = np.zeros(n)
    for channel in np.flatnonzero(alive):
        near = np.argsort(-np.abs(np.where(np.arange(n) == channel, 0.0, correlation[channel])), kind="stable")
        others = np.array([k for k in np.sort(near[partners(n) :]) if k != channel and alive[k]], dtype=int)
        if len(others) > most:
            others = others[np.linspace(0, len(others) - 1, most).round().astype(int)]
        if not len(others) or count <= len(others) + 1:
            continue
        between, towards = ours[np.ix_(others, others)], ours[others, channel]
        explained = towards @ np.linalg.solve(between + RIDGE * np.eye(len(others)), towards)
        found[channel] = 1 - (1 - explained) * (count - 1) / (count - len(others) - 1)
    return np.clip(found, 0.0, 1.0)
