"""What each channel is like, in numbers: levels, saturation, and how well the others foretell it."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labsched.ephys import reference
from labsched.ephys.inspect import window
from labsched.ephys.inspect.follow import correlations, follows
from labsched.ephys.inspect.sample import Window

Floats = NDArray[np.float64]
#: Others that foretell a channel, at most: in the spikes' band, and in that of the field (which has fewer bins).
REGRESSORS, SLOW_REGRESSORS = 24, 12
#: µV (or its square): less is nothing.
TINY = 1e-9
#: So many values at a channel's extremes in one window are no chance.
SOME = 3


@dataclass(frozen=True)
class Measures:
    """Per channel (c) unless it says otherwise; levels are robust standard deviations in µV, medians over windows.

    `level`: in the spikes' band; `own`: of what the other channels do not foretell of it; `levels`, `owns`: the same
    by window (w, c); `slow`: of the field below 40 Hz, hum left out (NaN in too short windows); `rms`: unfiltered;
    `hum`: of the mains' harmonics. `follows`, `follows_field`: the part of the variance, in the spikes' and the
    field's band, that the others foretell (0 to 1), its closest partners left out. `flat`, `absurd`: the part of the
    windows that are constant, and that look like random numbers over all that the type can hold; `wrong`: the part of
    the values that are NaN, infinite or beyond any voltage; `clipped`: the part of the values of calm windows that lie
    at the channel's own extremes, `clips` the part of the calm windows that have some (0 where its steps are so coarse
    that chance does it). `frequency` (f,) and `spectrum` (c, f): µV²/Hz; `correlation`: (c, c), in the
    spikes' band;
    `traces` and `band`: (c, n) µV of the calmest window, as it is and in the spikes' band; `calm`: (w,) which windows
    have no artefact; `starts`: (w,) where they lie (samples of the output).
    """

    rate: float
    seconds: float
    level: Floats
    levels: Floats
    own: Floats
    owns: Floats
    slow: Floats
    rms: Floats
    hum: Floats
    follows: Floats
    follows_field: Floats
    flat: Floats
    absurd: Floats
    wrong: Floats
    clipped: Floats
    clips: Floats
    frequency: Floats
    spectrum: Floats
    correlation: Floats
    traces: NDArray[np.float32]
    band: NDArray[np.float32]
    calm: NDArray[np.bool_]
    starts: NDArray[np.int64]


def measure(
    windows: Iterable[Window],
    rate: float,
    gains: Sequence[Sequence[float]],
    shifts: Sequence[Sequence[float]],
    threads: int = 1,
) -> Measures:
    """`gains` (µV of a unit) and `shifts` (samples) are by segment, then by channel. All windows are equally long."""

    def piece(each: Window) -> window.Piece:
        return window.piece(each, rate, np.array(gains[each.segment]), np.array(shifts[each.segment]))

    with ThreadPoolExecutor(threads, thread_name_prefix="inspect") as pool:
        found = list(map(piece, windows) if threads == 1 else pool.map(piece, windows))
    pieces = sorted(found, key=lambda piece: piece.start)
    rms = np.stack([piece.rms for piece in pieces])
    # Where most channels are louder than they mostly are, somebody moved.
    loudness = np.median(rms, axis=1)
    calm = loudness <= 2 * np.median(np.sort(loudness)[: (len(pieces) + 1) // 2])
    calmest = int(np.argmin(loudness))
    quiet = [piece for piece, ok in zip(pieces, calm, strict=True) if ok]
    covariance = _covariance(quiet)
    correlation = correlations(covariance)
    residual = reference.war(covariance).astype(np.float32)
    owns = np.stack([window.mad(residual @ piece.spikes) for piece in pieces])
    levels = np.stack([window.mad(piece.spikes) for piece in pieces])
    field = _whitened(quiet)
    clipped, clips = _clipped(pieces, calm, pieces[0].trace.shape[1])
    n, count = pieces[0].trace.shape[1], len(pieces)
    return Measures(
        rate=rate,
        seconds=n * count / rate,
        level=np.median(levels[calm], axis=0),
        levels=levels,
        own=np.median(owns[calm], axis=0),
        owns=owns,
        slow=np.sqrt(np.median([piece.slow for piece in quiet], axis=0)),
        rms=np.median(rms, axis=0),
        hum=np.sqrt(np.median([piece.hum for piece in pieces], axis=0)),
        follows=follows(covariance, correlation, len(quiet) * pieces[0].spikes.shape[1], REGRESSORS),
        follows_field=follows(np.real(field @ field.conj().T), correlation, field.shape[1], SLOW_REGRESSORS),
        flat=np.mean([piece.flat for piece in pieces], axis=0),
        absurd=np.mean([piece.absurd for piece in pieces], axis=0),
        wrong=np.mean([piece.wrong for piece in pieces], axis=0),
        clipped=clipped,
        clips=clips,
        frequency=pieces[0].frequency,
        spectrum=np.median([piece.spectrum for piece in pieces], axis=0),
        correlation=correlation,
        traces=pieces[calmest].trace,
        band=pieces[calmest].spikes,
        calm=calm,
        starts=np.array([piece.start for piece in pieces]),
    )


def _covariance(pieces: Sequence[window.Piece]) -> Floats:
    """Of the spikes' band, each window as important as any other."""
    total = 0.0
    for piece in pieces:
        product = (piece.spikes @ piece.spikes.T).astype(np.float64) / piece.spikes.shape[1]
        typical = np.median(np.diag(product))
        total = total + product / (typical if typical > TINY else 1.0)
    level = np.median([np.median(piece.spikes.var(axis=1)) for piece in pieces])
    return np.asarray(total) / len(pieces) * (level if level > TINY else 1.0)


def _whitened(pieces: Sequence[window.Piece]) -> NDArray[np.complex128]:
    """Bins of the field's band of all windows (c, bins), each frequency divided by what it is in most channels."""
    together = np.stack([piece.field for piece in pieces])
    if not together.size:  # too short a window to have a frequency so low
        return np.zeros((together.shape[1], 0), dtype=np.complex128)
    typical = np.median(np.abs(together), axis=(0, 1))
    white = together / np.where(typical > TINY, typical, 1.0)
    return np.asarray(white.transpose(1, 0, 2).reshape(white.shape[1], -1), dtype=np.complex128)


def _clipped(pieces: Sequence[window.Piece], calm: NDArray[np.bool_], n: int) -> tuple[Floats, Floats]:
    """The part of the values of calm windows that lie at the lowest or the highest value that a channel has at all; and
    the part of the calm windows that have `SOME` of them."""
    low = np.min([piece.low for piece in pieces], axis=0)
    high = np.max([piece.high for piece in pieces], axis=0)
    total, often = np.zeros(len(low)), np.zeros(len(low))
    for piece, ok in zip(pieces, calm, strict=True):
        if ok:
            here = np.where(piece.low == low, piece.at_low, 0) + np.where(piece.high == high, piece.at_high, 0)
            total += here
            often += (here >= SOME) & piece.fine
    count = max(int(calm.sum()), 1)
    return np.where(high > low, total / (n * count), 0.0), np.where(high > low, often / count, 0.0)
