"""Artefacts: what no cell does. Saturations are blanked; movements, which referencing takes away, are listed.

Both rules look at samples at fixed places and compare with robust levels that the first pass gives, so that nothing
depends on how a recording is read:

- **saturation**: a channel stands still (the same number again and again) far from where it usually is;
- **movement**: for 50 ms or longer the median channel is louder than usual above the slow field, or far from where it
  usually is. The mean of amplitudes that are cut at three standard deviations says how loud, since spikes, which are
  short, hardly change it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.chain import Chain
from labsched.ephys.recording import Recording
from labsched.ephys.statistics import Statistics
from labsched.ephys.stream import Block, block_length

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: A channel that stands still is saturated where it is so many of its standard deviations from its median.
FAR = 6.0
#: It stands still when so many samples, each eighth one looked at, are equal.
STEP, STILL = 8, 5
#: The mean of amplitudes cut at `CUT` standard deviations; 0.80 for normal noise, 1.2 for one 1.6 times as loud.
CUT, LOUD, STILL_LOUD = 3.0, 1.25, 1.0
#: Differences over so many samples are what is above the slow field; one in so many samples is looked at.
LAG, EACH = 4, 16
#: Or so many standard deviations from its mean, on the mean of 50 ms.
AWAY = 5.0
#: Blanked beyond each end, and then the time in which the signal comes back, s: until filters have forgotten it.
PAD_S, TAPER_S = 0.006, 0.004
#: Stretches of one kind that are closer than this are one, s.
JOINED_S = {"saturation": 0.05, "movement": 0.1}
ACTIONS = {"saturation": "blanked", "movement": "referenced"}


@dataclass(frozen=True)
class Stretch:
    """Output samples `start` to `stop`; `channels` are indices, () for all."""

    kind: str
    start: int
    stop: int
    channels: tuple[int, ...] = ()


def saturated(raw: NDArray[Any], middle: Floats, width: Floats, first: int) -> tuple[Flags, tuple[int, ...]]:
    """Which samples of raw numbers (channels, n) are saturated on any channel, and the channels.

    `first` is the place of the first one in its segment: samples at multiples of `STEP` there are looked at.
    """
    begin = -first % STEP
    seen = raw[:, begin::STEP]
    flags = np.zeros(raw.shape[1], dtype=bool)
    if seen.shape[1] < STILL:
        return flags, ()
    limit = FAR * np.maximum(width, 1e-30)
    high, low = (middle + limit)[:, None], (middle - limit)[:, None]
    # Most blocks have nothing far out, and are done here.
    top, bottom = _extremes(seen)
    loud = np.flatnonzero((top > high[:, 0]) | (bottom < low[:, 0]))
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
    return flags, tuple(channels)


def _extremes(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The largest and the smallest value of each row; in long rows, since numpy is slow in short ones."""
    along = np.ascontiguousarray(x.T)
    rows, fold = len(along), 16 if len(along) >= 16 else 1
    whole = along[: rows - rows % fold].reshape(-1, fold * len(x))
    rest = along[rows - rows % fold :]
    top, bottom = whole.max(axis=0).reshape(fold, -1), whole.min(axis=0).reshape(fold, -1)
    return np.concatenate([top, rest]).max(axis=0), np.concatenate([bottom, rest]).min(axis=0)


def bin_size(rate: float) -> int:
    """Samples of which one loudness is told: a power of two, about 50 ms."""
    return max(1 << round(np.log2(0.0512 * rate)), EACH)


def reach(rate: float) -> int:
    """Samples beyond a block that decide on what is blanked in it: a multiple of `STEP`."""
    return STEP * (round(rate * (PAD_S + TAPER_S)) // STEP + STILL)


def loudness(x: NDArray[np.float32], means: Floats, noise: Floats, fast: Floats, size: int) -> Floats:
    """How loud each `size` samples of x (n, channels) are, 0.8 being usual; the last ones, if fewer, count as one.

    `means` and `noise` (a standard deviation) are those of x, `fast` is that of its differences over `LAG` samples.
    Where the mean of x is `AWAY` from its mean it is infinite.
    """
    one, other = x[::EACH], x[LAG::EACH]
    if not len(other):
        return np.zeros(0)
    here = np.abs(other - one[: len(other)]) / np.maximum(fast, 1e-30).astype(np.float32)
    np.minimum(here, np.float32(CUT), out=here)
    step = size // EACH
    loud = _medians(_means(here, step))
    level = _means(one[: len(other)], step)
    away = _medians(np.abs(level - means) / np.maximum(noise, 1e-30))
    result: Floats = np.where(away > AWAY, np.inf, loud)
    return result


def _medians(x: NDArray[Any]) -> NDArray[Any]:
    """The median of each row; np.median takes ten times as long for so few values."""
    ordered, middle = np.sort(x, axis=1), x.shape[1] // 2
    return ordered[:, middle] if x.shape[1] % 2 else (ordered[:, middle - 1] + ordered[:, middle]) / 2


def _means(x: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Means of each `step` rows; the last ones, if fewer, count as one."""
    whole = len(x) // step
    means: NDArray[np.float32] = x[: whole * step].reshape(whole, step, x.shape[1]).mean(axis=1)
    return means if whole * step == len(x) else np.concatenate([means, x[whole * step :].mean(axis=0)[None]])


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


def movements(levels: Sequence[Sequence[Floats]], watch: "Watch", recording: Recording) -> list[Stretch]:
    """Stretches that are loud, with what is next to them and still louder than usual.

    `levels`: for each segment, those of its blocks, as `Watch.levels` gives them.
    """
    found, begin = [], 0
    for segment, mine in zip(recording.segments, levels, strict=True):
        q, end = np.concatenate([*mine, np.zeros(0)]), begin + segment.n_samples
        for start, stop in runs(q > STILL_LOUD):
            if q[start:stop].max() > LOUD:
                found.append(Stretch("movement", begin + start * watch.size, min(begin + stop * watch.size, end)))
        begin = end
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


class Watch:
    """Looks for artefacts block by block; what it finds in a block depends on the block and its surroundings alone."""

    def __init__(self, chain: Chain, before: Statistics) -> None:
        """`before` is of the same chain."""
        self.rate = chain.recording.rate
        self.reach = reach(self.rate)
        self.size = min(bin_size(self.rate), block_length(chain.channels))
        self._lengths = [segment.n_samples for segment in chain.recording.segments]
        units = np.abs(chain.units)
        self._means = before.means
        self._noise, self._fast = before.noise / units, before.fast / units
        ratios = [np.ones(chain.channels) if link.ratio is None else link.ratio for link in chain.links]
        self._middle = [(link.base + mean) / r for link, mean, r in zip(chain.links, before.means, ratios, strict=True)]
        self._width = [
            before.broad / units / np.abs(r) for r in ratios
        ]  # of raw numbers: no band-pass has touched them

    def saturations(self, raw: NDArray[Any], block: Block) -> tuple[list[Stretch], NDArray[np.float32] | None]:
        """Those that touch a block, and what its samples are multiplied with; `raw` has `reach` more on either side."""
        at = block.segment
        # Before its first and after its last sample a segment repeats them, which is no standing still.
        first = block.start - self.reach
        before = max(-first, 0)
        after = max(first + raw.shape[1] - self._lengths[at], 0)
        inner = raw[:, before : raw.shape[1] - after]
        bad, channels = saturated(inner, self._middle[at], self._width[at], first + before)
        bad = np.pad(bad, (before, after))
        curve = gain(bad, self.rate)
        if curve is None:
            return [], None
        inside = slice(self.reach, len(bad) - self.reach)
        found = [Stretch("saturation", block.output + a, block.output + b, channels) for a, b in runs(bad[inside])]
        return found, curve[inside] if curve[inside].min() < 1 else None

    def levels(self, x: NDArray[np.float32], block: Block) -> Floats:
        """How loud each `size` samples of a block are."""
        return loudness(x, self._means[block.segment], self._noise, self._fast, self.size)


def listed(stretches: Sequence[Stretch], recording: Recording) -> list[dict[str, Any]]:
    """For the JSON: times in s on the clock of the file that a stretch begins in."""
    starts = np.cumsum([0, *(segment.n_samples for segment in recording.segments)])
    found = []
    for each in stretches:
        segment = recording.segments[at := int(np.searchsorted(starts, each.start, side="right")) - 1]
        begin = segment.start_s + (each.start - int(starts[at])) / recording.rate
        found.append(
            {
                "kind": each.kind,
                "action": ACTIONS[each.kind],
                "start_s": round(begin, 6),
                "end_s": round(begin + (each.stop - each.start) / recording.rate, 6),
                "output_first_sample": each.start,
                "n_samples": each.stop - each.start,
                "channels": [recording.labels[index] for index in each.channels] or list(recording.labels),
            }
        )
    return found


def told(stretches: Sequence[Stretch], rate: float) -> str:
    """One line for people."""
    words = []
    for kind, action in ACTIONS.items():
        those = [each for each in stretches if each.kind == kind]
        if those:
            seconds = sum(each.stop - each.start for each in those) / rate
            words.append(f"{len(those)} {kind}{'s' if len(those) > 1 else ''} ({seconds:.2f} s, {action})")
    return f"artefacts: {', '.join(words) or 'none'}"
