"""Waveforms at times between samples: cubic splines with not-a-knot ends, as scipy's interp1d makes them."""

import numpy as np
from scipy.linalg import lapack

from ...kernels import spikes

#: Columns solved at once: few enough that BLAS uses one thread.
COLUMNS = 2048


class Spline:
    """Interpolates waveforms of `before` + `after` samples from 3 more; their equations are the same for all."""

    def __init__(self, before: int, after: int) -> None:
        self.before, self.samples = before, before + after
        self.rows = rows = self.samples + spikes.DEGREE
        ends = np.zeros(spikes.DEGREE + 1)
        self.knots = np.concatenate((ends, np.arange(2.0, rows - 2), ends + (rows - 1)))
        values, column = spikes.basis(self.knots, rows)
        band = np.zeros((3 * spikes.DEGREE + 1, rows), order="F")
        for row in range(rows):
            for k, value in enumerate(values[row]):
                at = int(column[row]) + k
                band[2 * spikes.DEGREE + row - at, at] = value
        self._lu, self._pivots, _ = lapack.dgbtrf(band, spikes.DEGREE, spikes.DEGREE)

    def waveforms(self, x: spikes.Traces, when: spikes.Doubles, columns: spikes.Ints) -> spikes.Traces:
        """(spikes, samples, columns) around each time, from filtered traces; 0 lies before and after them."""
        step = max(COLUMNS // len(columns), 1)
        return np.concatenate([self._some(x, when[at : at + step], columns) for at in range(0, len(when), step)])

    def _some(self, x: spikes.Traces, when: spikes.Doubles, columns: spikes.Ints) -> spikes.Traces:
        sides = spikes.cut(x, when, columns, self.before, self.rows)
        solved, _ = lapack.dgbtrs(self._lu, spikes.DEGREE, spikes.DEGREE, sides.T, self._pivots, overwrite_b=1)
        return spikes.aligned(np.ascontiguousarray(solved.T), self.knots, when, len(columns), self.before, self.samples)
