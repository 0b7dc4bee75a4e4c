"""The second pass: every sample is referenced, rounded and written."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labsched.ephys import hum as hums
from labsched.ephys import kernels
from labsched.ephys.artefacts import Stretch, Watch, joined, movements
from labsched.ephys.chain import Chain
from labsched.ephys.recording import Recording
from labsched.ephys.statistics import NOISE_BLOCKS, NOISE_SAMPLES, Statistics, mad
from labsched.ephys.stream import Block, blocks, grouped, in_order, spread
from labsched.ephys.writers.data import Sink

Floats = NDArray[np.float64]
LIMIT = 32767
#: The noise keeps at least this many steps where the unit of the output is ours to choose.
STEPS = 4
#: What was not looked at may be so many times as far from zero as what was.
HEADROOM = 4


def unit(recording: Recording, before: Statistics, matrix: Floats) -> tuple[float, bool]:
    """(µV of one bit of the output, whether that is the input's own bit).

    Counts of channels with one gain stay counts. Otherwise the smallest unit under which no value is clipped (as far
    as the first pass has seen them), but never so large that a channel's noise (the median channel's, after
    referencing) is less than 4 bits.
    """
    gains = np.abs([segment.gains for segment in recording.segments])
    if all(segment.counts for segment in recording.segments) and np.allclose(gains, gains[0, 0], rtol=1e-9, atol=0):
        return float(gains[0, 0]), True
    reach = (before.peak + np.abs(before.means).max(axis=0)) * np.abs(before.units)
    highest = float((np.abs(matrix) @ reach).max()) * (1 if before.complete else HEADROOM)
    if highest <= 0:
        return 1.0, False
    noise = np.sqrt(np.clip(np.diag(matrix @ before.covariance @ matrix.T), 0, None))
    fits = highest / (LIMIT - 1)
    if np.median(noise) > 0:
        fits = min(fits, float(np.median(noise)) / STEPS)
    digits = 10.0 ** (math.floor(math.log10(fits)) - 3)
    return math.ceil(fits / digits) * digits, False


def write(
    chain: Chain,
    means: Floats,
    matrix: Floats,
    sink: Sink,
    *,
    chunk: int = 0,
    threads: int = 1,
    told: Callable[[float], None] = lambda part: None,
    watch: Watch | None = None,
    hum: hums.Hum | None = None,
) -> tuple[NDArray[np.int64], Floats, list[Stretch]]:
    """Write ``matrix @ (x - mean)`` of every sample x, less the `hum`; nothing where `watch` finds a saturation.

    (Clipped values per channel, robust noise per channel in bits, artefacts.)

    `matrix` (outputs × channels) goes from the chain's units to bits, `means` has a row for each segment. `told` is
    called by this thread with the part that is done. Raises EphysError for NaN or infinite values, OSError.
    """
    everything = blocks(chain.recording)
    heard = spread(len(everything), NOISE_BLOCKS)
    panels, out = kernels.packed(matrix), len(matrix)
    biases = np.zeros((len(means), kernels.width(out)), dtype=np.float32)
    biases[:, :out] = -(means @ matrix.T)

    around = watch.reach if watch else 0

    def work(group: list[Block]) -> tuple[NDArray[np.int64], list[NDArray[np.int16]], list[Stretch], list[Floats]]:
        clipped, pieces = np.zeros(out, dtype=np.int64), []
        bad: list[Stretch] = []
        loud: list[Floats] = []
        samples = chain.samples(group, around)
        whole = np.empty((group[-1].stop - group[0].start, out), dtype="<i2")
        for block in group:
            y = whole[block.start - group[0].start : block.stop - group[0].start]
            x = samples.of(block)
            kernels.product(x, panels, biases[block.segment], y, clipped)
            if watch:
                loud.append(watch.levels(x[:, : chain.channels], block))
                found, curve = watch.saturations(samples.raw(block, around), block)
                bad += found
            else:
                curve = None
            if hum and hums.enough(block, hum, chain.recording.rate):
                hums.subtract(y, hum, chain.recording.rate, None if curve is None else curve == 1)
            if curve is not None:
                y[:] = np.rint(y * curve[:, None])
            if block.index in heard:
                pieces.append(y[NOISE_SAMPLES].copy())
        sink.put(group[0].output, whole)
        return clipped, pieces, bad, loud

    groups = grouped(everything, chain.channels, chunk)
    total = np.zeros(out, dtype=np.int64)
    noise = []
    stretches: list[Stretch] = []
    levels: list[list[Floats]] = [[] for _ in chain.recording.segments]
    tasks = iter(groups)
    for clipped, pieces, bad, loud in in_order(
        groups, work, threads=threads, aside=lambda done: told(done / len(groups))
    ):
        total += clipped
        noise += pieces
        stretches += bad
        levels[next(tasks)[0].segment] += loud
    if watch:
        stretches += movements(levels, watch, chain.recording)
    return total, mad(noise), joined(stretches, chain.recording.rate)
