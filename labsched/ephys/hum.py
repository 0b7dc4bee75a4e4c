"""Mains hum and its harmonics, where a reference leaves them: sinusoids fitted to each half second and subtracted.

A fit takes nothing but the sinusoid, and unlike a notch it does not ring after a spike. The mains change slowly: for
half a second they are a stationary sum of sinusoids, whose amplitudes and phases are least squares.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.chain import Chain
from labsched.ephys.stream import Block, blocks, spread

Floats = NDArray[np.float64]
#: The mains of the world, Hz, and how far from it they may be.
MAINS_HZ, WITHIN_HZ = (50.0, 60.0), 0.3
#: So many harmonics are looked at, in so many blocks.
HARMONICS, SAMPLED_BLOCKS = 20, 6
#: A harmonic is there where it has so many times the power between harmonics, on one channel or in the mean; the third
#: is added, divided by the number of blocks: the power of noise in a single one is exponential.
ON_ONE, IN_THE_MEAN, IN_ONE_BLOCK = 10.0, 4.0, 20.0
#: The sinusoids are fitted to about so much at once, s.
STRETCH_S = 0.5
#: The spectrum is this many times finer than the blocks' own.
FINER = 4


@dataclass(frozen=True)
class Hum:
    """`hz` of the mains, and which multiples of it are there."""

    hz: float
    harmonics: tuple[int, ...]


def find(chain: Chain, means: Floats, matrix: Floats) -> Hum | None:
    """The hum in what ``matrix @ (x - mean)`` leaves of a sample of a recording; None where there is none."""
    found = blocks(chain.recording)
    longest = max(block.n_samples for block in found)
    everything = [block for block in found if block.n_samples == longest]
    chosen = [everything[index] for index in sorted(spread(len(everything), SAMPLED_BLOCKS))]
    powers: list[Floats] = []
    length = chosen[0].n_samples
    if length < chain.recording.rate * 0.08:
        return None
    # No harmonic that is looked at lies above 1.2 kHz: means of some samples are enough.
    rate = chain.recording.rate
    thin = max(int(rate / (4 * HARMONICS * max(MAINS_HZ))), 1)
    length //= thin
    window = np.hanning(length).astype(np.float32)[:, None]
    for block in chosen:
        x = chain.samples([block]).of(block)[:, : chain.channels]
        x = x[: length * thin].reshape(length, thin, -1).mean(axis=1)
        y = ((x - means[block.segment]) @ matrix.T).astype(np.float32)
        powers.append(np.abs(np.fft.rfft((y - y.mean(axis=0)) * window, n=FINER * length, axis=0)) ** 2)
    return among(np.mean(powers, axis=0, dtype=np.float64), rate / (FINER * length * thin), len(powers))


def among(power: Floats, step: float, averaged: int) -> Hum | None:
    """The hum in a power spectrum (frequencies × channels), `step` Hz from one to the next, the mean of so many."""
    more = IN_ONE_BLOCK / averaged
    best: tuple[float, Hum] | None = None
    for mains in MAINS_HZ:
        count = int(min(HARMONICS, (len(power) - 1) * step / mains - 1))
        if count < 1:
            continue
        order = np.arange(1, count + 1)
        floor = np.stack([_between(power, k * mains / step, mains / step) for k in order])
        for hz in np.arange(mains - WITHIN_HZ, mains + WITHIN_HZ + 0.005, 0.01):
            ratio = _at(power, order * hz / step) / floor
            there = (ratio.max(axis=1) > ON_ONE + more) | (ratio.mean(axis=1) > IN_THE_MEAN + more)
            strength = float(np.log(np.maximum(ratio[there].max(axis=1), 1)).sum()) if there.any() else 0.0
            if there.any() and (best is None or strength > best[0]):
                best = strength, Hum(round(float(hz), 2), tuple(order[there].tolist()))
    return best[1] if best else None


def _between(power: Floats, centre: float, spacing: float) -> Floats:
    """The power beside a harmonic, by channel: the median over what lies between it and its neighbours."""
    sides = [(centre + a * spacing, centre + b * spacing) for a, b in ((-0.7, -0.3), (0.3, 0.7))]
    both = np.concatenate([power[int(low) : int(high) + 2] for low, high in sides])
    result: Floats = np.maximum(np.median(both, axis=0), 1e-30)
    return result


def _at(power: Floats, places: Floats) -> Floats:
    """Between two frequencies: the mean of the powers around, weighted."""
    low = np.floor(places).astype(int)
    part = (places - low)[:, None]
    result: Floats = power[low] * (1 - part) + power[low + 1] * part
    return result


def subtract(y: NDArray[np.int16], hum: Hum, rate: float, good: NDArray[np.bool_] | None = None) -> None:
    """Take the hum from a block of the output (n, channels), in place; `good` samples alone decide what it is."""
    size = 1 << int(np.log2(STRETCH_S * rate))
    for start in range(0, len(y), size):
        # a rest that is too short to be told from the mains' neighbours goes with the stretch before it
        stop = start + size if len(y) - start >= 1.5 * size else len(y)
        _stretch(y[start:stop], hum, rate, None if good is None else good[start:stop])
        if stop == len(y):
            break


def _stretch(y: NDArray[np.int16], hum: Hum, rate: float, good: NDArray[np.bool_] | None) -> None:
    q = _basis(len(y), hum, rate)
    if good is None or good.all():
        fitted = q @ (q.T @ y.astype(np.float32))
    elif good.mean() > 0.5:
        part = q[good].astype(np.float64)
        fitted = q @ np.linalg.solve(part.T @ part, part.T @ y[good]).astype(np.float32)
    else:
        return
    y[:] = np.clip(np.rint(y - fitted), -32768, 32767)


@lru_cache(maxsize=16)
def _basis(n: int, hum: Hum, rate: float) -> NDArray[np.float32]:
    """Orthonormal columns (n, 2 * harmonics) that span the sinusoids."""
    turn = 2 * np.pi * hum.hz / rate * np.outer(np.arange(n), hum.harmonics)
    columns = np.concatenate([np.sin(turn), np.cos(turn)], axis=1)
    q: NDArray[np.float32] = np.linalg.qr(columns)[0].astype(np.float32)
    return q


def enough(block: Block, hum: Hum, rate: float) -> bool:
    """Whether a block is long enough to tell the harmonics apart: two turns of the mains."""
    return bool(block.n_samples > 2 * rate / hum.hz)


def told(hum: Hum | None) -> str:
    """One line for people."""
    if hum is None:
        return "hum: none left by the reference"
    return f"hum: {hum.hz:g} Hz, harmonics {', '.join(map(str, hum.harmonics))}, fitted and subtracted"
