"""One window of a recording, and what is kept of it."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from labsched.ephys.inspect.sample import Window

Floats = NDArray[np.float64]
#: The band of spikes, that of field potentials, and where these are far above any channel's own noise (Hz).
SPIKES_HZ, FIELD_HZ, SLOW_HZ = (300.0, 6000.0), (2.0, 200.0), 40.0
#: What lies so near (Hz) to a harmonic of the mains says nothing of the tissue.
MAINS_HZ, NEAR_HZ = (50.0, 60.0), 5.0
SPECTRUM_BINS = 240
#: Whole numbers that fill more than this part of 16 bits on both sides, and know nothing of the one before.
FULL, KNOWS = 0.35, 0.3
#: A channel more of whose values than this part are one and the same is flat: the rest is a converter's last bit.
STILL = 0.98
#: µV: beyond a kilovolt it is a number that somebody has made a mistake with.
NO_VOLTAGE = 1e9
#: Of a thousand values, so many different ones: a channel with fewer has coarse steps.
FINE = 40
#: So many values tell a robust level well enough (to 3 %).
MANY = 1500


@dataclass(frozen=True)
class Piece:
    """What is kept of a window; all per channel (c). See `measure.Measures`; `at_low` and `at_high` count values.

    `fine`: there are many different values.
    """

    start: int
    flat: NDArray[np.bool_]
    absurd: NDArray[np.bool_]
    wrong: Floats
    low: Floats
    high: Floats
    at_low: Floats
    at_high: Floats
    fine: NDArray[np.bool_]
    rms: Floats
    slow: Floats
    hum: Floats
    field: NDArray[np.complex64]
    frequency: Floats
    spectrum: Floats
    spikes: NDArray[np.float32]
    trace: NDArray[np.float32]


def piece(window: Window, rate: float, gains: Floats, shifts: Floats) -> Piece:
    """Look at a window: `gains` in µV of a unit, `shifts` in samples, both (c,)."""
    raw = window.raw
    n = raw.shape[1]
    wrong = np.zeros(len(raw))
    if raw.dtype.kind == "f":
        # Also what is no voltage: it would drown all else, and overflow.
        sane = np.abs(raw) <= (NO_VOLTAGE / np.maximum(np.abs(gains), 1e-12))[:, None]
        wrong = 1 - sane.mean(axis=1)
        if not sane.all():
            raw = np.where(sane, raw, 0)
    low, high = raw.min(axis=1), raw.max(axis=1)
    middle = np.median(raw[:, :: max(n // 511, 1)], axis=1)
    if raw.dtype == np.float64:
        x = (raw - middle[:, None]).astype(np.float32)
    else:
        x = np.subtract(raw, middle[:, None].astype(np.float32), dtype=np.float32)
    x *= gains.astype(np.float32)[:, None]
    x -= x.mean(axis=1, dtype=np.float64).astype(np.float32)[:, None]
    rms = np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64) / n)
    hz: Floats = np.fft.rfftfreq(n, 1 / rate).astype(np.float64)
    # Every channel as if it had been sampled at the same moment.
    turn = np.exp((-2j * np.pi / rate) * np.outer(shifts, hz)).astype(np.complex64) if np.any(shifts) else None
    taper = np.hanning(n).astype(np.float32)
    bins = fft.rfft(x * taper, axis=1)
    power = (np.abs(bins) ** 2) * (2 / (rate * float((taper**2).sum())))
    bins = bins if turn is None else bins * turn
    plain, between = mains(hz), (hz >= FIELD_HZ[0]) & (hz <= FIELD_HZ[1])
    slow = (hz >= FIELD_HZ[0]) & (hz <= SLOW_HZ) & ~plain
    edges, centres = _bins(hz)
    return Piece(
        start=window.start,
        flat=(high == low) | (np.count_nonzero(raw == middle[:, None], axis=1) > STILL * n),
        absurd=_absurd(raw),
        wrong=wrong,
        low=low.astype(float),
        high=high.astype(float),
        at_low=np.count_nonzero(raw == low[:, None], axis=1).astype(float),
        at_high=np.count_nonzero(raw == high[:, None], axis=1).astype(float),
        fine=np.array([len(np.unique(row)) >= FINE for row in raw[:, :: max(n // 1000, 1)]]),
        rms=rms,
        slow=power[:, slow].mean(axis=1) * SLOW_HZ if slow.any() else np.full(len(x), np.nan),
        hum=_hum(hz, power),
        field=bins[:, between & ~plain],
        frequency=centres,
        spectrum=np.add.reduceat(power, edges[:-1], axis=1)[:, : len(centres)] / np.diff(edges),
        spikes=_spikes(x, hz, turn),
        trace=x,
    )


def mains(hz: Floats) -> NDArray[np.bool_]:
    """Which frequencies are near a harmonic of the mains."""
    return np.any([np.abs(hz - base * np.maximum(np.round(hz / base), 1)) < NEAR_HZ for base in MAINS_HZ], axis=0)


def mad(x: NDArray[Any]) -> Floats:
    """Robust standard deviation along the last axis, from some thousand values of it."""
    x = x[..., :: max(x.shape[-1] // MANY, 1)]
    middle = np.median(x, axis=-1, keepdims=True)
    return np.asarray(np.median(np.abs(x - middle), axis=-1) / 0.6744897501960817, dtype=np.float64)


def _spikes(x: NDArray[np.float32], hz: Floats, turn: NDArray[np.complex64] | None) -> NDArray[np.float32]:
    """The spikes' band, realigned, without what the ends of the window do to it."""
    n, highest = x.shape[1], hz[-1]
    low, high = min(SPIKES_HZ[0], 0.3 * highest), min(SPIKES_HZ[1], 0.9 * highest)
    bins = fft.rfft(x, axis=1)
    bins *= ((hz >= low) & (hz <= high) & ~mains(hz)).astype(np.float32)
    if turn is not None:
        bins *= turn
    band = fft.irfft(bins, n, axis=1)
    return np.ascontiguousarray(band[:, n // 20 : n - n // 20])


def _hum(hz: Floats, power: Floats) -> Floats:
    """µV² at the louder of the two mains' first harmonics, above what lies beside them."""
    step = hz[1] - hz[0] if len(hz) > 1 else 1.0
    found = []
    for base in MAINS_HZ:
        total = np.zeros(len(power))
        for harmonic in base * np.arange(1, 6):
            at, beside = np.abs(hz - harmonic) < NEAR_HZ, (np.abs(hz - harmonic) < 4 * NEAR_HZ) & ~mains(hz)
            if at.any() and beside.any():
                total += np.clip(power[:, at].sum(axis=1) - at.sum() * power[:, beside].mean(axis=1), 0, None) * step
        found.append(total)
    return found[int(np.argmax([np.median(each) for each in found]))]


def _absurd(raw: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether 16-bit whole numbers look like random ones over the whole range: another type's bytes, or their order."""
    if raw.dtype != np.int16 or raw.shape[1] < 64:
        return np.zeros(len(raw), dtype=bool)
    if np.median(np.abs(raw[:, ::64].astype(np.int32))) < 16384 * FULL:
        return np.zeros(len(raw), dtype=bool)
    x = raw / 32768.0
    spread = x.std(axis=1)
    x -= x.mean(axis=1, keepdims=True)
    knows = (x[:, 1:] * x[:, :-1]).mean(axis=1) / np.maximum(spread**2, 1e-12)
    full = (np.mean(np.abs(raw.astype(np.int32)) > 16384, axis=1) > FULL) & (spread < 0.75)
    return full & (np.abs(knows) < KNOWS)


def _bins(hz: Floats) -> tuple[NDArray[np.int64], Floats]:
    """(where bins of the spectrum begin, and the last one's end; their middles in Hz): finer than so many in equal
    ratios where there are not so many frequencies."""
    first = 1
    wanted = np.geomspace(hz[first], hz[-1], SPECTRUM_BINS)
    edges = np.unique(np.searchsorted(hz, wanted))
    edges = edges[(edges >= first) & (edges < len(hz))]
    middles = np.array([hz[a:b].mean() for a, b in pairwise(edges)])
    return edges, middles
