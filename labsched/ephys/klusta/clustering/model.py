"""A mixture of Gaussians fitted to a shank's spikes: its steps, in KlustaKwik2 0.2.6's order and to its last bit.

Algorithm: S. N. Kadir, D. F. M. Goodman, K. D. Harris, "High-dimensional cluster analysis with the masked EM
algorithm", Neural Computation 26 (2014). Cluster 0 is the noise and cluster 1 multi-unit activity, where they are kept.
"""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import mixture
from .options import Options
from .spikes import Reals, Spikes, Whole

LEAST = 2_000
"""Fewer spikes than this a thread are not worth another thread."""


class Unassigned(Exception):
    """Spikes were left without a cluster: there is none that they could be in."""


@dataclass(frozen=True)
class Gaussian:
    """One cluster's parameters: what the E step needs, and C's view of it."""

    number: int
    mean: Reals
    unmasked: Whole
    root: Reals
    diagonal: Reals
    inverse: Reals
    addition: float
    c: mixture.Cluster


class Threads:
    """So many threads; one works in the caller's own."""

    def __init__(self, count: int) -> None:
        self.count = max(count, 1)
        self.pool = ThreadPoolExecutor(self.count) if self.count > 1 else None

    def parts(self, n: int, least: int, work: Callable[[int, int], Any]) -> None:
        """Call ``work(first, last)`` on parts of ``range(n)``, none much smaller than ``least``."""
        count = max(min(self.count, n // least), 1)
        if count == 1 or self.pool is None:
            work(0, n)
            return
        edges = [n * k // count for k in range(count + 1)]
        self.every(work, pairwise(edges))

    def every(self, work: Callable[..., Any], items: Iterable[tuple[Any, ...]]) -> list[Any]:
        """The results of ``work(*item)``."""
        if self.pool is None:
            return [work(*item) for item in items]
        return [future.result() for future in [self.pool.submit(work, *item) for item in items]]

    def more(self, count: int) -> None:
        """Use so many from now on, if that is more."""
        if count > self.count:
            self.close()
            self.count, self.pool = count, ThreadPoolExecutor(count)

    def close(self) -> None:
        """End the threads."""
        if self.pool is not None:
            self.pool.shutdown()


class Model:
    """A clustering of spikes and what belongs to it.

    ``clusters`` (spikes) are numbered from 0 on; ``members``, ``order`` and ``starts`` are their partition: the spikes
    of cluster k are ``order[starts[k]:starts[k + 1]]``. ``best`` is -log p of each spike in its cluster, ``next_best``
    and ``other`` the same for the cluster that comes next. Raises Unassigned where spikes are left over.
    """

    def __init__(self, spikes: Spikes, options: Options, threads: Threads, *, special: bool = True) -> None:
        self.spikes, self.options, self.threads = spikes, options, threads
        self.noise = special and bool(options.use_noise_cluster)
        self.mua = special and bool(options.use_mua_cluster)
        self.special = self.noise + self.mua
        self.hashes: set[bytes] = set()
        self.alive: int | None = None
        self.full, self.force_full = True, False
        self.best: Reals | None = None
        self.old_best: Reals | None = None
        self.next_best: Reals | None = None
        self.other: Whole | None = None
        self.hint: Whole | None = None
        self.second = False
        self.candidates: dict[int, Whole] = {}
        self.penalties: Reals = np.zeros(0)

    @property
    def count(self) -> int:
        """Clusters, the special ones and those without a spike included."""
        return len(self.members)

    def begin(self, clusters: Whole) -> None:
        """Take these clusters."""
        self.clusters = clusters
        self.old = np.full(len(clusters), -1, dtype=np.int64)
        self.hint = None
        self.reindex()

    def reindex(self) -> None:
        """Number the clusters without gaps, the special ones staying, and find their spikes."""
        present = np.bincount(self.clusters) > 0
        present[: self.special] = True
        renamed = np.hstack((0, np.cumsum(present)))[:-1]
        total = int(present.sum())
        if total < len(present):
            self.clusters = renamed[self.clusters]
            if self.hint is not None:
                self.hint = np.where(self.hint < 0, -1, renamed[np.minimum(self.hint, len(present) - 1)])
        else:
            self.clusters = self.clusters.copy()
        if self.alive is not None and total < self.alive:
            self.force_full = True
        self.alive = total
        self.partition()

    def partition(self) -> None:
        """Find each cluster's spikes. Their order within it is that of numpy's argsort, as in KlustaKwik2."""
        try:
            members = np.bincount(self.clusters, minlength=self.special).astype(np.int64)
        except ValueError:
            raise Unassigned from None
        order = np.argsort(self.clusters).astype(np.int64, copy=False)
        top = max(int(self.clusters.max()), self.special - 1) + 2
        self.members, self.order = members, order
        self.starts = np.searchsorted(self.clusters[order], np.arange(top))

    def within(self, cluster: int) -> Whole:
        """The spikes in a cluster."""
        return self.order[self.starts[cluster] : self.starts[cluster + 1]]

    def score(self) -> tuple[Any, Any, Any]:
        """The score (lower is better), its raw part and the penalty."""
        assert self.best is not None
        penalty, raw = np.sum(self.penalties), np.sum(self.best)
        return raw + penalty, raw, penalty

    def punish(self) -> None:
        """Compute the clusters' penalties."""
        self.penalties = mixture.penalties(
            self.clusters, self.spikes.sizes, self.options.penalty_k, self.options.penalty_k_log_n
        )

    def gaussians(self) -> list[Gaussian]:
        """The M step: every cluster's parameters, but the special ones' and those without an inverse."""
        spikes, options, members = self.spikes, self.options, self.members
        total = len(spikes) + options.prior_point * (self.count - self.special)
        total += options.noise_point if self.noise else 0
        total += options.mua_point if self.mua else 0
        self.total = float(total)

        def one(cluster: int) -> Gaussian | None:
            weight = (members[cluster] + options.prior_point) / self.total
            return gaussian(spikes, options, cluster, self.within(cluster), members[cluster], weight)

        found = self.threads.every(one, ((cluster,) for cluster in range(self.special, self.count)))
        return [each for each in found if each is not None]

    def evaluate(self) -> None:
        """An M step, and -log p of each spike in the cluster that it is in (0 where that is a special one).

        KlustaKwik2 reads memory that it has not written for spikes in special clusters: the numbers of spikes or
        clusters, which are as doubles too small to count. They are 0 here.
        """
        self.reindex()
        self.best = np.zeros(len(self.spikes))
        for each in self.gaussians():
            self._likelihood(each, self.within(each.number), self.best)
        self.partition()

    def step(self) -> None:
        """An M step and an E step: each spike goes to the cluster that it is most likely in."""
        self.reindex()
        n = len(self.spikes)
        own, gaussians = self.clusters, self.gaussians()
        self.old = own
        if self.full:
            self.clusters = np.full(n, -1, dtype=np.int64)
            self.other = np.full(n, -1, dtype=np.int64)
            self.old_best = self.best
            self.best, self.next_best = np.full(n, np.inf), np.full(n, np.inf)
            if self.noise:
                self.clusters[:] = 0
                self.best[:] = -np.log((self.members[0] + self.options.noise_point) / self.total)
            if self.options.full_step_every > 1:
                self._collect(gaussians)
            else:
                self._assign(gaussians, own)
        else:
            self.clusters = own.copy()
            for each in gaussians:
                chosen = self.candidates[each.number]
                values = np.zeros(n)
                self._likelihood(each, chosen, values)
                self._settle(chosen, values, each.number)
        self.partition()

    def _likelihood(self, each: Gaussian, chosen: Whole | None, out: Reals) -> None:
        def part(first: int, last: int) -> None:
            mixture.likelihood(self.spikes.c, each.c, chosen, first, last, out)

        self.threads.parts(len(self.spikes) if chosen is None else len(chosen), LEAST, part)

    def _settle(self, chosen: Whole | None, values: Reals, cluster: int) -> None:
        assert self.best is not None and self.next_best is not None and self.other is not None
        mixture.settle(chosen, values, cluster, self.best, self.next_best, self.clusters, self.other)

    def _assign(self, gaussians: list[Gaussian], own: Whole) -> None:
        """All spikes and all clusters, a sum ending early where the spike certainly goes elsewhere.

        A first bound is the worse one of the spike's cluster and its next best one in the step before: the two best
        ones are at least as good.
        """
        best, next_best, other, clusters = self.best, self.next_best, self.other, self.clusters
        assert best is not None and next_best is not None and other is not None
        early = not self.spikes.signed
        bound = self._bound(gaussians, own) if early else None

        def part(first: int, last: int) -> None:
            mixture.assign(
                self.spikes.c, [each.c for each in gaussians], first, last, second=self.second, early=early,
                bound=bound, best=best, next_best=next_best, which=clusters, other=other,
            )  # fmt: skip

        self.threads.parts(len(self.spikes), LEAST, part)
        self.hint = other

    def _bound(self, gaussians: list[Gaussian], own: Whole) -> Reals | None:
        if len(gaussians) < 2 or (self.second and self.hint is None):
            return None
        bound, after = np.full(len(own), np.inf), np.full(len(own), np.inf)
        for each in gaussians:
            self._likelihood(each, self.within(each.number), bound)
        if not self.second:
            return bound
        assert self.hint is not None and self.best is not None
        hinted = np.where(self.hint == own, -1, self.hint)
        if self.noise:  # so far it is all that there is, the same for every spike
            bound[own == 0] = after[hinted == 0] = self.best[0]
        order = np.argsort(hinted)
        starts = np.searchsorted(hinted[order], np.arange(self.count + 1))
        for each in gaussians:
            self._likelihood(each, order[starts[each.number] : starts[each.number + 1]], after)
        return np.maximum(bound, after)

    def _collect(self, gaussians: list[Gaussian]) -> None:
        """The same with every sum to its end: quick steps will look at the spikes that are near each cluster."""
        options, n = self.options, len(self.spikes)
        self.candidates, collecting, found = {}, self.old_best is not None, 0
        for each in gaussians:
            values = np.zeros(n)
            self._likelihood(each, None, values)
            self._settle(None, values, each.number)
            if collecting and self.old_best is not None:
                near = np.flatnonzero(values - self.old_best <= options.dist_thresh)
                self.candidates[each.number] = near
                found += len(near)
                if found > self.most_candidates():
                    self.candidates, collecting, self.force_full = {}, False, True

    def most_candidates(self) -> float:
        """So many candidates are kept for quick steps, and no more."""
        options = self.options
        part = options.max_quick_step_candidates_fraction * len(self.spikes) * self.count
        return float(min(options.max_quick_step_candidates, part))

    def widen(self, changed: Whole) -> None:
        """Spikes that changed in a quick step are looked at for all clusters in the next one."""
        found = 0
        for cluster, candidates in list(self.candidates.items()):
            self.candidates[cluster] = np.union1d(candidates, changed)
            found += len(self.candidates[cluster])
            if found > self.most_candidates():
                self.candidates, self.force_full = {}, True
                break

    def consider_deletion(self) -> None:
        """Delete the cluster without which the score is best, if that is better than with it."""
        count, options = self.count, self.options
        if count <= self.special:
            return
        assert self.best is not None and self.next_best is not None and self.other is not None
        loss = mixture.losses(self.clusters, self.best, self.next_best, count)
        score, raw, _ = self.score()
        sums = np.empty(count)

        def part(first: int, last: int) -> None:
            first, last = first + self.special, last + self.special
            table, highest = mixture.deletions(
                self.clusters, self.other, self.spikes.sizes, options.penalty_k, options.penalty_k_log_n,  # type: ignore[arg-type]
                count, first, last,
            )  # fmt: skip
            for k in range(first, last):
                sums[k] = np.sum(table[k - first, : highest[k - first]])

        self.threads.parts(count - self.special, 1 + LEAST * 8 // len(self.spikes), part)
        candidate, improvement = -1, -np.inf
        for cluster in range(self.special, count):
            better = score - (raw + loss[cluster] + sums[cluster])
            if better > improvement:
                candidate, improvement = cluster, better
        if improvement > 0:
            gone = self.within(candidate)
            self.clusters[gone] = self.other[gone]
            self.best[gone] = self.next_best[gone]
            self.partition()
            self.punish()
            self.force_full = True


def gaussian(
    spikes: Spikes, options: Options, cluster: int, within: Whole, members: Any, weight: Any
) -> Gaussian | None:
    """One cluster's parameters from its spikes; None where its covariance has no inverse."""
    from scipy.linalg.lapack import dpotrf

    features, point = spikes.features, options.prior_point
    masks, mean = mixture.moments(spikes.c, within, point)
    dense = masks >= options.points_for_cluster_mask
    unmasked, masked = np.flatnonzero(dense), np.flatnonzero(masks < options.points_for_cluster_mask)
    block = mixture.covariance(spikes.c, within, mean, unmasked)
    variance = spikes.noise_variance
    diagonal = len(within) * variance[masked]
    block.reshape(-1)[:: len(unmasked) + 1] += point * variance[unmasked]
    diagonal += point * variance[masked]
    factor = 1.0 / (members + point - 1)
    block *= factor
    diagonal *= factor
    if block.size:
        if not np.isfinite(block).all():
            raise ValueError("array must not contain infs or NaNs")
        upper, info = dpotrf(block, lower=1, overwrite_a=0, clean=1)
        if info:
            return None
        block = np.ascontiguousarray(upper)
    if (diagonal <= 0).any():
        return None
    diagonal = np.sqrt(diagonal)
    log_root_det = np.sum(np.log(diagonal)) + np.sum(np.log(block.diagonal()))
    inverse = np.zeros(features)
    inverse[masked] = (1.0 / diagonal) ** 2
    if len(unmasked):
        inverse[unmasked] = np.sum(mixture.inverse_squares(block, unmasked, features), axis=1)
    addition = log_root_det - np.log(weight) + 0.5 * np.log(2 * np.pi) * features
    root = block[_lower(len(unmasked))]
    c = mixture.Cluster(
        cluster, len(unmasked),
        *(each.ctypes.data for each in (unmasked, mean, root, diagonal, inverse)), addition,
    )  # fmt: skip
    return Gaussian(cluster, mean, unmasked, root, diagonal, inverse, float(addition), c)


@lru_cache(maxsize=64)
def _lower(count: int) -> tuple[Whole, Whole]:
    rows, columns = np.tril_indices(count)
    return rows, columns


def digest(clusters: NDArray[np.int64]) -> bytes:
    """What tells one clustering from another."""
    return hashlib.blake2b(clusters.tobytes(), digest_size=16).digest()
