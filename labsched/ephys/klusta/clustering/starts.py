"""The clusters that a fit begins with: one for each set of unmasked features, as far as there are clusters."""

import random

import numpy as np

from .options import Options
from .spikes import Spikes, Whole


def starts(spikes: Spikes, options: Options, order: random.Random, draws: np.random.RandomState) -> Whole:
    """The first clusters (spikes). A set for which no cluster is left joins one of those that it differs least from.

    Raises ValueError where so few clusters are asked for that none is left beside the special ones.
    """
    special = bool(options.use_noise_cluster) + bool(options.use_mua_cluster)
    if options.num_starting_clusters <= special:
        raise ValueError("klustakwik2.num_starting_clusters must be at least 3: noise and multi-unit have one each")
    most = min(options.num_starting_clusters - special, spikes.kinds)
    # the first spike of each set in a random order; only sets count, and there are far fewer than spikes
    shuffled = list(range(len(spikes)))
    order.shuffle(shuffled)
    firsts = spikes.ustart[np.array(shuffled)]
    sets, at, back = np.unique(firsts, return_index=True, return_inverse=True)
    rank = np.argsort(at)
    ends = dict(zip(spikes.ustart.tolist(), spikes.uend.tolist(), strict=True))
    dense = np.zeros((len(sets), spikes.features), dtype=np.int32)
    for row, start in enumerate(sets.tolist()):
        dense[row, spikes.unmasked[start : ends[start]]] = 1
    cluster = np.empty(len(sets), dtype=np.int64)
    cluster[rank[:most]] = np.arange(most)
    heads = dense[rank[:most]]
    for row in rank[most:]:
        distance = np.abs(heads - dense[row]).sum(axis=1)
        nearest = np.flatnonzero(distance == distance.min())
        cluster[row] = nearest[draws.randint(len(nearest))]
    found = np.empty(len(spikes), dtype=np.int64)
    found[shuffled] = cluster[back]
    return found + special
