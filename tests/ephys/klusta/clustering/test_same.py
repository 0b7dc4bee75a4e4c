"""Every step gives KlustaKwik2's numbers, to the last bit, and so do the clusters in the end."""

import random

import numpy as np
import pytest

from labsched.ephys.klusta.clustering.fit import fit
from labsched.ephys.klusta.clustering.model import Model, Threads
from labsched.ephys.klusta.clustering.options import Options
from labsched.ephys.klusta.clustering.spikes import sparse
from labsched.ephys.klusta.clustering.starts import starts

from .features import features_masks, stock

pytestmark = pytest.mark.klusta


def ours(both, seed, threads=1, after=None, **options):
    order, draws = random.Random(seed), np.random.RandomState(seed)
    spikes, chosen = sparse(both), Options.of(options)
    workers = Threads(threads)
    model = Model(spikes, chosen, workers)
    try:
        fit(
            model,
            starts(spikes, chosen, order, draws),
            draws,
            after=after and (lambda progress: after(model, progress)),
        )
    finally:
        workers.close()
    return model, (order.getstate(), draws.get_state()[1:3])


def same(mine, theirs):
    assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
    assert mine.tobytes() == theirs.tobytes()


def test_the_spikes_are_the_same():
    both = features_masks(1, channels=5)
    mine = sparse(both)
    theirs = stock(both, 1, max_iterations=1)[0].data
    for name, other in {
        "noise_mean": "noise_mean", "noise_variance": "noise_variance", "values": "features", "masks": "masks",
        "terms": "correction_terms", "unmasked": "unmasked", "ustart": "unmasked_start", "uend": "unmasked_end",
        "vstart": "values_start", "sizes": "float_num_unmasked",
    }.items():  # fmt: skip
        same(getattr(mine, name), getattr(theirs, other))
    assert mine.kinds == theirs.num_masks


@pytest.mark.parametrize("channels", [2, 3, 6, 11])
def test_each_step_gives_the_same_numbers(channels):
    both = features_masks(channels, channels=channels, units=5)
    arrays, mine = [], []
    note = {"best": "log_p_best", "next_best": "log_p_second_best", "other": "clusters_second_best"}

    def theirs(kk, **_):
        if not kk.name:
            found = {name: getattr(kk, other) for name, other in note.items()}
            deleted = found["next_best"] is None
            arrays.append({name: None if deleted else array.copy() for name, array in found.items()})
            arrays[-1] |= {"clusters": kk.clusters.copy(), "penalties": kk.cluster_penalty.copy()}

    # both are looked at where the scores have just been computed, before the clusters are numbered anew
    stock(both, 5, {"scores": theirs}, max_iterations=30, split_first=8, split_every=9)

    class Seen(Model):
        def score(self):
            found = super().score()
            mine.append(
                {name: getattr(self, name).copy() for name in (*note, "clusters", "penalties")}
                | {"force": self.force_full}
            )
            return found

    order, draws = random.Random(5), np.random.RandomState(5)
    spikes = sparse(both)
    options = Options.of({"max_iterations": 30, "split_first": 8, "split_every": 9})
    scored = []
    model = Seen(spikes, options, Threads(1))
    fit(model, starts(spikes, options, order, draws), draws, after=lambda progress: scored.append(mine[-1]))
    assert len(scored) == len(arrays) > 3
    for step, (us, them) in enumerate(zip(scored, arrays, strict=True)):
        for name in (*note, "clusters", "penalties"):
            if them[name] is not None:
                assert us[name].tobytes() == them[name].tobytes(), (step, name)


@pytest.mark.parametrize(
    ("seed", "make", "options"),
    [
        (1, {}, {}),
        (2, {"channels": 8, "units": 9, "spread": 1.5}, {}),
        (3, {"channels": 16, "units": 12, "spikes": 1200}, {"num_starting_clusters": 40}),
        (4, {"channels": 8, "units": 8, "spread": 2.0}, {"full_step_every": 10, "max_iterations": 60}),
        (5, {"units": 6}, {"use_noise_cluster": False}),
        (6, {"units": 6}, {"use_mua_cluster": False}),
        (7, {"units": 6}, {"consider_cluster_deletion": False, "max_iterations": 40}),
        (8, {"units": 6}, {"always_split_bimodal": True, "max_iterations": 25, "split_first": 5}),
        (9, {"units": 6}, {"penalty_k": 1.0, "penalty_k_log_n": 0.3, "points_for_cluster_mask": 10, "prior_point": 2}),
        (10, {"units": 6}, {"max_split_iterations": 3, "break_fraction": 0.01, "max_possible_clusters": 12}),
        (11, {"spikes": 2}, {}),
        (12, {"spikes": 7}, {"points_for_cluster_mask": 2}),
        (13, {"spikes": 40}, {"points_for_cluster_mask": 5}),
        (14, {"channels": 1, "units": 2}, {}),
    ],
)  # fmt: skip
def test_the_clusters_are_the_same(seed, make, options):
    both = features_masks(seed, **make)
    kk, end = stock(both, seed, **options)
    for threads in (1, 3):
        model, drawn = ours(both, seed, threads, **options)
        assert np.array_equal(model.clusters, kk.clusters)
        assert drawn[0] == end[0]
        assert np.array_equal(drawn[1][0], end[1][0]) and drawn[1][1] == end[1][1]


def test_what_klustakwik2_refuses_is_refused():
    both = features_masks(1, spikes=50)
    with pytest.raises(ValueError, match="3"):
        stock(both, 1, num_starting_clusters=2)
    with pytest.raises(ValueError, match="at least 3"):
        ours(both, 1, num_starting_clusters=2)
    with pytest.raises(ValueError, match="no parameter sense"):
        Options.of({"sense": 1})
