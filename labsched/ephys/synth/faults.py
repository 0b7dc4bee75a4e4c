"""Channels that are spoilt in other ways than dead and noisy ones: what is done to their samples."""

import math

import numpy as np
from numpy.typing import NDArray

from .recipe import Array, Plan, stream

#: µV that a flat channel rests at; times its usual level that a clipped one reaches at most; of the field that is left
#: out of the brain.
REST_UV, CLIP, FAINT = 120.0, 1.3, 0.12


class Faults:
    """What is done to the spoilt channels of a plan, chunk by chunk; see `Recipe`."""

    def __init__(self, plan: Plan) -> None:
        recipe = plan.recipe
        self.rows = {k: plan.spoilt[label] for k, label in enumerate(plan.labels) if label in plan.spoilt}
        self.recipe = recipe
        self.draw = {k: stream(recipe, 300 + k) for k in self.rows}
        self.slow = {k: np.zeros(1) for k in self.rows}
        self.fast = {k: np.zeros(1) for k in self.rows}
        gains = np.asarray(plan.gains)
        self.most = CLIP * np.sqrt(
            recipe.noise**2 + (gains * recipe.common) ** 2 + recipe.lfp**2 + 0.7 * (gains * recipe.hum) ** 2
        )

    def field(self, row: int) -> float:
        """How much of the slow field a channel has."""
        return FAINT if self.rows.get(row) == "outside" else 1.0

    def spoil(self, data: Array) -> None:
        """Spoil what is to be spoilt of a chunk, in place."""
        for k, kind in self.rows.items():
            if kind == "flat":
                data[k] = REST_UV
            elif kind == "clipped":
                np.clip(data[k], -self.most[k], self.most[k], out=data[k])
            elif kind == "uncorrelated":
                data[k] = self._another(k, data.shape[1])

    def _another(self, row: int, size: int) -> NDArray[np.float64]:
        """A recording of its own: noise above, a field below, as loud as the others'."""
        from scipy.signal import lfilter

        total = np.zeros(size)
        for state, hz, level in ((self.fast, 2000.0, self.recipe.common + self.recipe.noise),
                                 (self.slow, 20.0, self.recipe.lfp)):  # fmt: skip
            a = math.exp(-2 * math.pi * hz / self.recipe.rate)
            white = self.draw[row].standard_normal(size)
            made, state[row] = lfilter([math.sqrt(1 - a * a)], [1.0, -a], white, zi=state[row])
            total += level * made
        return total
