"""Fitting a model: step after step until no spike changes its cluster any more, with splits that are tried in between.

What is decided, and when, is KlustaKwik2 0.2.6's; all that the next iteration depends on is in `Progress` and the
model, so that a fit goes on from there as if it had never stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .model import Model, Unassigned, digest
from .options import Options
from .spikes import Whole

Scores = tuple[Any, Any, Any]


@dataclass
class Progress:
    """Where a fit is: iterations done, the last scores, iterations until splits are tried, and spikes that changed."""

    until_split: int
    iteration: int = 0
    scores: Scores | None = None
    changed: int = 0
    tried: set[bytes] = field(default_factory=set)
    ended: bool = False


def fit(
    model: Model,
    clusters: Whole,
    draws: np.random.RandomState,
    *,
    recurse: bool = True,
    after: Callable[[Progress], None] | None = None,
) -> Any:
    """Fit the model from these clusters on; returns the score. ``after`` is called after each iteration.

    Without ``recurse`` no cluster is split or deleted.
    """
    model.begin(clusters)
    model.full, model.force_full = True, False
    return go_on(model, Progress(int(model.options.split_first)), draws, recurse=recurse, after=after)


def go_on(
    model: Model,
    progress: Progress,
    draws: np.random.RandomState,
    *,
    recurse: bool = True,
    after: Callable[[Progress], None] | None = None,
) -> Any:
    """Go on with a fit from where it is."""
    options = model.options
    model.second = bool(options.full_step_every > 1 or (recurse and options.consider_cluster_deletion))
    while not progress.ended and progress.iteration < options.max_iterations:
        _iterate(model, progress, draws, recurse)
        if after is not None:
            after(progress)
    return None if progress.scores is None else progress.scores[0]


def _iterate(model: Model, progress: Progress, draws: np.random.RandomState, recurse: bool) -> None:
    options, n = model.options, len(model.spikes)
    if model.force_full:
        model.force_full, model.full = False, True
    was_full = model.full
    model.step()
    model.punish()
    if recurse and was_full and options.consider_cluster_deletion:
        model.consider_deletion()
    before, progress.scores = progress.scores, model.score()
    changed = np.flatnonzero(model.clusters != model.old)
    count = progress.changed = len(changed)
    if count and not was_full and options.full_step_every > 1:
        model.widen(changed)
    progress.iteration += 1
    worse = before is not None and bool(progress.scores[0] > before[0])
    model.full = bool(
        count > options.num_changed_threshold * n
        or count == 0
        or progress.iteration % options.full_step_every == 0
        or worse
        or model.old_best is None
    )
    model.reindex()
    progress.until_split -= 1
    if count == 0 and was_full:
        progress.until_split = 0
    seen = digest(model.clusters)
    if seen in model.hashes and count > 0:
        if not recurse or seen in progress.tried:
            progress.ended = True
            return
        progress.until_split = 0
        progress.tried.add(seen)
    model.hashes.add(seen)
    did_split = False
    if recurse and progress.until_split <= 0:
        did_split = try_splits(model, draws)
        progress.until_split = int(options.split_every)
    progress.ended = bool(
        (count == 0 and was_full and not did_split) or (count < options.break_fraction * n and was_full)
    )


def try_splits(model: Model, draws: np.random.RandomState) -> bool:
    """Try to split each cluster in two; whether one was."""
    options, split, reference = model.options, False, None
    trial: Options = options
    if options.max_split_iterations is not None:
        trial = replace(options, max_iterations=options.max_split_iterations)
    count = model.count
    model.reindex()
    for cluster in range(model.special, count):
        if count >= options.max_possible_clusters:
            return split
        within = model.within(cluster)
        if not len(within):
            continue
        two = Model(model.spikes.subset(within), trial, model.threads, special=False)
        try:
            whole = fit(two, np.zeros(len(within), dtype=np.int64), draws, recurse=False)
            start = draws.randint(0, 2, size=len(within))
            if start.max() != 1:
                continue
            halves = fit(two, start, draws, recurse=False)
        except Unassigned:
            continue
        if not two.count or halves >= whole:
            continue
        clusters = model.clusters.copy()
        if options.always_split_bimodal:
            clusters[within[two.clusters == 1]] = count
            model.clusters = clusters
        else:
            whole_set = Model(model.spikes, options, model.threads)
            if reference is None:
                reference = _scored(whole_set, clusters)
            clusters[within[two.clusters == 1]] = count
            new = _scored(whole_set, clusters)
            if not new < reference:
                continue
            reference = new
            model.clusters = whole_set.clusters.copy()
        split = True
        model.reindex()
        count = model.count
    if split:
        model.force_full = True
    return split


def _scored(model: Model, clusters: Whole) -> Any:
    """The score of these clusters as they are."""
    model.begin(clusters)
    model.evaluate()
    model.punish()
    return model.score()[0]
