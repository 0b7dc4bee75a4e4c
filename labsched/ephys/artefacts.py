"""Artefacts: what no cell does. Saturations and transients are blanked, movements (which referencing takes) listed.

Three rules, each of robust levels that the first pass gives, each for samples at fixed places, so that nothing depends
on how a recording is read:

- **saturation**: a channel stands still (the same number again and again) far from where it usually is;
- **transient**: nearly all channels are far beyond their noise at once, which no cell can do on eight sites or more;
- **movement**: for 25 ms or longer the channels are louder than they usually are, by their median. The mean of
  amplitudes that are cut at three standard deviations says how loud, since spikes hardly change it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: A channel that stands still is saturated where it is so many of its standard deviations from its median.
FAR = 6.0
#: It stands still when so many samples, each fourth one looked at, are equal.
STEP, STILL = 4, 4
#: So many standard deviations on this part of the channels, where there are so many of them, are no spike.
LARGE, NEARLY_ALL, ENOUGH = 10.0, 0.9, 8
#: The mean of amplitudes cut at `CUT` standard deviations; 0.80 for normal noise, 1.2 for one 1.6 times as loud.
CUT, LOUD, STILL_LOUD = 3.0, 1.25, 1.0
#: Blanked beyond each end, and then the time in which the signal comes back, s: until filters have forgotten it.
PAD_S, TAPER_S = 0.006, 0.002
#: Stretches of one kind that are closer than this are one, s.
JOINED_S = {"saturation": 0.05, "transient": 0.02, "movement": 0.1}
ACTIONS = {"saturation": "blanked", "transient": "blanked", "movement": "referenced"}


@dataclass(frozen=True)
class Levels:
    """What is usual, from the first pass, by channel: raw numbers (median, robust standard deviation) by segment, and
    the robust standard deviation of the samples that are referenced, in their unit."""

    middle: Floats
    width: Floats
    noise: Floats
    rate: float

    @property
    def reach(self) -> int:
        """Samples beyond a block that decide on what is blanked in it."""
        return round(self.rate * (PAD_S + TAPER_S)) + STEP * STILL

    @property
    def bin(self) -> int:
        """Samples of which one loudness is told: a power of two, about 25 ms."""
        return max(1 << round(np.log2(0.0256 * self.rate)), 32)


@dataclass(frozen=True)
class Stretch:
    """Output samples `start` to `stop`; `channels` are indices, () for all."""

    kind: str
    start: int
    stop: int
    channels: tuple[int, ...] = ()


def saturated(raw: NDArray[Any], middle: Floats, width: Floats, first: int) -> tuple[Flags, NDArray[np.intp]]:
    """Which samples of raw numbers (channels, n) are saturated on any channel, and the channels.

    `first` is the place of the first one in its segment: samples at multiples of `STEP` there are looked at.
    """
    begin = -first % STEP
    seen = raw[:, begin::STEP]
    flags = np.zeros(raw.shape[1], dtype=bool)
    none = np.zeros(0, dtype=np.intp)
    if seen.shape[1] < STILL:
        return flags, none
    limit = FAR * np.maximum(width, 1e-30)
    high, low = (middle + limit)[:, None], (middle - limit)[:, None]
    # Most blocks have nothing far out, and are done here.
    loud = np.flatnonzero((seen.max(axis=1) > high[:, 0]) | (seen.min(axis=1) < low[:, 0]))
    channels = []
    for channel in loud.tolist():
        mine = seen[channel]
        far = (mine > high[channel]) | (mine < low[channel])
        same = far[1:] & (mine[1:] == mine[:-1])
        # STILL - 1 equal neighbours in a row; then all the samples that they are
        run = np.convolve(same, np.ones(STILL - 1), "valid") > STILL - 1.5
        if not run.any():
            continue
        channels.append(channel)
        for start in np.flatnonzero(run).tolist():
            flags[begin + start * STEP : begin + (start + STILL - 1) * STEP + 1] = True
    return flags, np.array(channels, dtype=np.intp)


def transient(x: NDArray[np.float32], noise: Floats) -> Flags:
    """Which samples of x (n, channels) are far beyond the noise on nearly all channels at once."""
    flags = np.zeros(len(x), dtype=bool)
    if x.shape[1] < ENOUGH:
        return flags
    limit = (LARGE * noise).astype(np.float32)
    # One channel in four is looked at first: where nothing is large there, nothing is on nearly all.
    some = np.arange(0, x.shape[1], 4)
    at = np.flatnonzero((np.abs(x[:, some]) > limit[some]).sum(axis=1) >= len(some) / 2)
    if len(at):
        flags[at] = (np.abs(x[at]) > limit).mean(axis=1) >= NEARLY_ALL
    return flags


def loudness(x: NDArray[np.float32], noise: Floats, size: int) -> Floats:
    """How loud each `size` samples of x (n, channels) are: see `CUT`. The last ones, if fewer, count as one."""
    starts = np.arange(0, len(x), size)
    seen = np.abs(x[::8]) / np.maximum(noise, 1e-30).astype(np.float32)
    np.minimum(seen, np.float32(CUT), out=seen)
    sums = np.add.reduceat(seen, starts // 8, axis=0, dtype=np.float64)
    counts = np.diff(np.append(starts // 8, len(seen)))[:, None]
    return np.median(sums / counts, axis=1)


def gain(bad: Flags, rate: float) -> NDArray[np.float32] | None:
    """What the samples are multiplied with: 0 within `PAD_S` of a bad one, then back to 1 along half a cosine.

    None where there is nothing to do.
    """
    if not bad.any():
        return None
    at = np.arange(len(bad))
    where = np.flatnonzero(bad)
    after = np.searchsorted(where, at)
    to_next = np.where(after < len(where), where[np.minimum(after, len(where) - 1)] - at, len(bad))
    to_last = np.where(after > 0, at - where[np.maximum(after - 1, 0)], len(bad))
    away = (np.minimum(to_next, to_last) - PAD_S * rate) / (TAPER_S * rate)
    return (0.5 - 0.5 * np.cos(np.pi * np.clip(away, 0, 1))).astype(np.float32)


def runs(bad: Flags) -> list[tuple[int, int]]:
    """Where it is True: (start, stop)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def movements(levels: Sequence[float], size: int, begin: int, end: int) -> list[Stretch]:
    """Stretches that are loud, and what is next to them and still louder than usual; `levels` of one segment's bins.

    The segment is output samples `begin` to `end`.
    """
    q = np.asarray(levels)
    found = []
    for start, stop in runs(q > STILL_LOUD):
        if q[start:stop].max() > LOUD:
            found.append(Stretch("movement", begin + start * size, min(begin + stop * size, end)))
    return found


def joined(stretches: Iterable[Stretch], rate: float) -> list[Stretch]:
    """In order; those of one kind that are close to each other become one."""
    result: list[Stretch] = []
    latest: dict[str, int] = {}
    for each in sorted(stretches, key=lambda one: (one.start, one.stop, one.kind)):
        place = latest.get(each.kind)
        if place is not None and each.start - result[place].stop <= JOINED_S[each.kind] * rate:
            before = result[place]
            channels = tuple(sorted({*before.channels, *each.channels}))
            result[place] = replace(before, stop=max(before.stop, each.stop), channels=channels)
        else:
            latest[each.kind] = len(result)
            result.append(each)
    return result
