"""How well a unit's features are apart from those of its neighbours. Names and formulas are SpikeInterface's (0.105).

The features are klusta's own (the components that it has clustered by), of at most 500 spikes of each cluster.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .units import Shank, Unit

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
NAN = math.nan
NAMES = ("isolation_distance", "l_ratio", "d_prime", "silhouette", "nn_hit_rate", "nn_miss_rate")

#: A unit is looked at on so many channels, those nearest to its peak.
CHANNELS = 10
NEIGHBOURS = 5
#: Nearest neighbours are looked for among so many spikes: of a whole shank at once, or of one unit's surroundings.
TOGETHER, ALONE = 10_000, 4_000
#: So many distances are held at once.
AT_ONCE = 20_000_000


def shank_measures(shank: Shank, units: list[Unit]) -> Iterator[tuple[Unit, dict[str, float]]]:
    """The measures of each unit of a shank among the others."""
    labels = shank.clusters[shank.picked]
    graphs: dict[bytes, tuple[Doubles, Ints, Ints]] = {}
    for unit in units:
        columns = near(shank, unit)
        around = [other.cluster for other in units if other.peak in columns]
        which = np.flatnonzero(np.isin(labels, around))
        features = shank.features[which][:, columns].reshape(len(which), -1).astype(np.float64)
        own = labels[which] == unit.cluster
        key = columns.tobytes()
        if key not in graphs:
            most = TOGETHER if len(columns) == len(shank.columns) else ALONE
            graphs[key] = (features, *graph(features, labels[which], most))
        _, chosen, neighbours = graphs[key]
        same = own[chosen]
        yield unit, measures(features, own, labels[which]) | neighbour_rates(same, neighbours)


def near(shank: Shank, unit: Unit) -> Ints:
    """The indices of the shank's channels that lie nearest to the unit's peak, rising."""
    away = np.linalg.norm(shank.positions - shank.positions[unit.peak], axis=1)
    return np.sort(np.argsort(away, kind="stable")[:CHANNELS])


def measures(features: Doubles, own: NDArray[np.bool_], labels: Ints) -> dict[str, float]:
    """All but the nearest neighbours; ``own`` are the unit's rows of ``features`` (spikes × numbers)."""
    mine, others = features[own], features[~own]
    if len(mine) < 2 or not len(others):
        return dict.fromkeys(NAMES, NAN)
    distance, ratio = mahalanobis(mine, others)
    return {
        "isolation_distance": distance,
        "l_ratio": ratio,
        "d_prime": d_prime(mine, others),
        "silhouette": silhouette(mine, [features[labels == k] for k in np.unique(labels[~own])]),
    }


def mahalanobis(mine: Doubles, others: Doubles) -> tuple[float, float]:
    """(Isolation distance, L-ratio): Schmitzer-Torbert et al. 2005, Neuroscience 131:1. NaN where the unit has too few
    spikes for the covariance of its features."""
    from scipy.special import chdtrc

    count, size = mine.shape
    nearest = min(count, len(others))
    if count <= size or nearest < 2:
        return NAN, NAN
    away = others - mine.mean(axis=0)
    try:
        solved = np.linalg.solve(np.cov(mine.T).reshape(size, size), away.T)
    except np.linalg.LinAlgError:
        return NAN, NAN
    squared = np.einsum("ij,ji->i", away, solved)
    if not np.all(squared >= 0):
        return NAN, NAN
    return float(np.partition(squared, nearest - 1)[nearest - 1]), float(chdtrc(size, squared).sum() / count)


def d_prime(mine: Doubles, others: Doubles) -> float:
    """How far apart the two are along Fisher's discriminant, in standard deviations: Hill et al. 2011, J Neurosci
    31:8699."""
    a, b = mine - mine.mean(axis=0), others - others.mean(axis=0)
    way = np.linalg.pinv(a.T @ a + b.T @ b, hermitian=True) @ (mine.mean(axis=0) - others.mean(axis=0))
    one, two = mine @ way, others @ way
    spread = math.sqrt((one.var() + two.var()) / 2)
    return float(one.mean() - two.mean()) / spread if spread > 0 else NAN


def silhouette(mine: Doubles, others: list[Doubles]) -> float:
    """The simplified silhouette, by centroids: Hruschka, de Castro & Campello 2004 (doi 10.1109/ICDM.2004.10073)."""
    away = [np.linalg.norm(mine - other.mean(axis=0), axis=1) for other in others]
    nearest = min(away, key=lambda each: float(each.mean()))
    inside = np.linalg.norm(mine - mine.mean(axis=0), axis=1)
    return float(np.mean((nearest - inside) / np.maximum(nearest, inside)))


def graph(features: Doubles, labels: Ints, most: int) -> tuple[Ints, Ints]:
    """(Rows of which the neighbours were looked for, at most so many; for each the five nearest, as indices into
    those)."""
    chosen = np.arange(len(features))
    if len(features) > most:
        # each cluster keeps its part
        order = np.argsort(labels, kind="stable")
        chosen = np.sort(order[np.linspace(0, len(order) - 1, most).astype(np.int64)])
    x = features[chosen].astype(np.float32)
    x -= x.mean(axis=0)
    squares = np.einsum("ij,ij->i", x, x)
    count = min(NEIGHBOURS, len(x) - 1)
    found = np.empty((len(x), max(count, 0)), dtype=np.int64)
    batch = max(1, AT_ONCE // max(len(x), 1))
    for begin in range(0, len(x), batch):
        rows = np.arange(begin, min(begin + batch, len(x)))
        away = squares[None, :] - 2 * (x[rows] @ x.T)
        away[rows - begin, rows] = np.inf
        for k in range(count):
            found[rows, k] = np.argmin(away, axis=1)
            away[rows - begin, found[rows, k]] = np.inf
    return chosen, found


def neighbour_rates(own: NDArray[np.bool_], neighbours: Ints) -> dict[str, float]:
    """Of the five nearest neighbours of the unit's spikes, and of the others', the part that are the unit's: Chung et
    al. 2017, Neuron 95:1381."""
    if not own.any() or own.all() or not neighbours.size:
        return {"nn_hit_rate": NAN, "nn_miss_rate": NAN}
    mine = own[neighbours]
    return {"nn_hit_rate": float(mine[own].mean()), "nn_miss_rate": float(mine[~own].mean())}
