"""All that a shank's clustering depends on from one iteration to the next, to and from a checkpoint."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checkpoint import Checkpoint
from .fit import Progress, fit, go_on
from .model import Model, Threads
from .options import Options
from .spikes import Spikes, Whole
from .starts import starts


class Shank:
    """A shank's clustering: the model, where its fit is, and both sources of random numbers."""

    def __init__(self, spikes: Spikes, options: Options, threads: Threads, seed: int) -> None:
        self.order, self.draws = random.Random(seed), np.random.RandomState(seed)
        self.model = Model(spikes, options, threads)
        self.progress = Progress(int(options.split_first))
        self.begun = False

    @property
    def clusters(self) -> Whole:
        """The clusters (spikes) as they are."""
        return self.model.clusters

    def run(self, after: Callable[[Progress], None]) -> None:
        """Fit to the end, from the start or from where a checkpoint was; ``after`` is called after each iteration."""
        if self.begun:
            go_on(self.model, self.progress, self.draws, after=after)
            return
        first = starts(self.model.spikes, self.model.options, self.order, self.draws)

        def noted(progress: Progress) -> None:
            self.progress = progress
            after(progress)

        self.begun = True
        fit(self.model, first, self.draws, after=noted)

    def whole(self) -> bool:
        """Whether the next iteration depends on no more than is saved: quick steps look back at the full one."""
        return self.model.full or self.model.force_full or self.progress.ended

    def saved(self) -> Checkpoint:
        """What a checkpoint holds."""
        model, progress = self.model, self.progress
        kind, keys, position, has_gauss, gauss = self.draws.get_state(legacy=True)  # type: ignore[misc]
        version, inner, spare = self.order.getstate()
        values = {
            "iteration": progress.iteration,
            "until_split": progress.until_split,
            "scores": None if progress.scores is None else [float(each) for each in progress.scores],
            "changed": progress.changed,
            "tried": sorted(each.hex() for each in progress.tried),
            "hashes": sorted(each.hex() for each in model.hashes),
            "ended": progress.ended,
            "alive": model.alive,
            "full": model.full,
            "force_full": model.force_full,
            "draws": [kind, int(position), int(has_gauss), float(gauss)],
            "order": [version, spare],
        }
        arrays: dict[str, NDArray[Any]] = {
            "clusters": model.clusters.astype(np.int32),
            "keys": np.asarray(keys, dtype=np.uint32),
            "inner": np.array(inner, dtype=np.uint32),
        }
        # what a full step keeps for the quick ones; without those, only whether there was a step before counts
        for name, array in (("best", model.best), ("old_best", model.old_best)):
            if array is not None:
                arrays[name] = array if model.options.full_step_every > 1 else np.zeros(0)
        return Checkpoint(values, arrays)

    def restore(self, saved: Checkpoint) -> None:
        """Go back to where a checkpoint was."""
        model, values, arrays = self.model, saved.values, saved.arrays
        kind, position, has_gauss, gauss = values["draws"]
        self.draws.set_state((kind, arrays["keys"], position, has_gauss, gauss))
        version, spare = values["order"]
        self.order.setstate((version, tuple(int(each) for each in arrays["inner"]), spare))
        model.begin(arrays["clusters"].astype(np.int64))
        model.hashes = {bytes.fromhex(each) for each in values["hashes"]}
        model.alive, model.full, model.force_full = values["alive"], values["full"], values["force_full"]
        model.best, model.old_best = arrays.get("best"), arrays.get("old_best")
        scores = values["scores"]
        self.progress = Progress(
            values["until_split"], values["iteration"], None if scores is None else tuple(scores), values["changed"],
            {bytes.fromhex(each) for each in values["tried"]}, values["ended"],
        )  # fmt: skip
        self.begun = True
