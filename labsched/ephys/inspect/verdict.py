"""Which channels are bad, and why: the rule, from the measures and where the channels lie.

A level is compared with that of the median channel, among those that go along with the others where there are such. A
channel that is merely less loud than the others in everything is good. `benchmarks.channels` counts what the rule
finds, and whom it accuses falsely.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.inspect.measure import Floats, Measures

#: Of the windows: what is so in fewer of them is not said of the channel.
PART = 0.25
#: Of the values of a channel that is not clipped, at most so many lie at its extremes: at once, or again and again.
CLIPPED, CLIPPED_OFTEN = 1e-3, 1.5e-4
#: Times the median level: a channel below the first has no signal, one below the second that follows nobody neither.
SILENT, WEAK = 0.1, 0.4
#: Times the median of what others do not foretell of a channel.
NOISY = 3.0
#: A level so many times the median is noise of its own, not another recording's signal.
LOUD = 2.0
#: The others foretell so little of it, as a part of what they foretell of most channels: spikes' band, field.
ALONE, ALONE_FIELD = 0.2, 0.4
#: Most channels follow the others where these foretell at least so much of them.
TOGETHER, TOGETHER_FIELD = 0.2, 0.4
#: Nearly all channels have so much in common that what two of them share says nothing; else, so much is something.
STRONG, BESIDE = 0.5, 0.05
#: Outside of the brain: so much of the field of the sites below, and so much less foretold of it than of the others.
FAINT, VERY_FAINT, PALER = 0.5, 0.4, 0.97
#: Sites of a shank that make it long enough to reach out of the brain, and how many of them at most may be outside.
LONG, MOST_OUTSIDE = 6, 0.5
#: µV: a median channel's level beyond these is no brain's.
STRANGE_UV = (0.2, 5000.0)


@dataclass(frozen=True)
class Finding:
    """A bad channel: its index, its kind (one of `KINDS`) and the reason in words and figures."""

    channel: int
    kind: str
    reason: str


KINDS = ("not a number", "flat", "dead", "clipped", "uncorrelated", "noisy", "outside")


@dataclass(frozen=True)
class Verdict:
    """Bad channels in order, and sentences about the recording as a whole."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def judge(measures: Measures, positions: Floats, shanks: NDArray[np.int64], gain_known: bool = True) -> Verdict:
    """`positions` (c, 2) in µm and `shanks` (c,) say where the channels lie."""
    found: dict[int, Finding] = {}

    def accuse(channels: NDArray[np.bool_], kind: str, words: "list[str] | np.ndarray") -> None:
        for channel in np.flatnonzero(channels):
            found.setdefault(int(channel), Finding(int(channel), kind, words[channel]))

    m = measures
    n = len(m.level)
    broken = m.wrong > 0
    accuse(
        broken,
        "not a number",
        [f"{_percent(part)} of its values are NaN, infinite, or no voltage at all" for part in m.wrong],
    )
    flat = (m.flat >= PART) & ~broken
    accuse(flat, "flat", [f"constant{_during(part)}" for part in m.flat])
    alive = ~flat & ~broken
    if not alive.any():
        return Verdict(tuple(found.values()), _notes(m, found, gain_known))
    follows, alone = _alone(m, alive, positions, shanks)
    core = alive & ~alone if (alive & ~alone).sum() >= 2 else alive
    level, own = _median(m.level[core]), _median(m.own[core])
    ratio = m.level / level if level > 1e-9 else np.zeros(n)
    own_ratio = m.own / own if own > 1e-9 else np.ones(n)
    of, own_of = f"the median of {level:.3g} µV", f"the median of {own:.3g} µV"

    often_clipped = (m.clipped >= CLIPPED_OFTEN) & (m.clips >= PART)
    clipped = (
        alive
        & ((m.clipped >= CLIPPED) | often_clipped)
        & (m.clipped >= 5 * _median(m.clipped[alive]))
        & (ratio > SILENT)
    )
    accuse(
        clipped, "clipped", [f"{_percent(part)} of its values lie at its lowest or highest one" for part in m.clipped]
    )

    still = _still(m, core)
    dead = alive & ((ratio < SILENT) | (alone & (ratio < WEAK)) | (still >= PART))
    words = [f"{v:.3g} µV above 300 Hz, {r:.2g} times {of}, and it does not follow the other channels"
             if alone[k] else f"{v:.3g} µV above 300 Hz{_during(still[k])}, {r:.2g} times {of}"
             for k, (v, r) in enumerate(zip(m.level, ratio, strict=True))]  # fmt: skip
    accuse(dead, "dead", words)

    if n > 2:
        words = [f"the other channels foretell {_percent(one)} of it above 300 Hz and {_percent(two)} below 200 Hz, "
                 f"of the median channel {_percent(follows[0])} and {_percent(follows[1])}"
                 for one, two in zip(m.follows, m.follows_field, strict=True)]  # fmt: skip
        accuse(alone & (ratio < LOUD), "uncorrelated", words)
        often = _often(m, core)
        words = [f"{v:.3g} µV of noise of its own above 300 Hz{_during(often[k])}, {r:.2g} times {own_of}"
                 for k, (v, r) in enumerate(zip(m.own, own_ratio, strict=True))]  # fmt: skip
        accuse(alive & ((own_ratio > NOISY) | (often >= PART) | (alone & (ratio >= LOUD))), "noisy", words)
        outside, faint = _outside(m, ratio, positions, shanks, np.array([k in found for k in range(n)]))
        words = [f"at an end of its shank, with {part:.2g} times the field potential of the sites next to them"
                 for part in faint]  # fmt: skip
        accuse(outside, "outside", words)
    ordered = tuple(found[k] for k in sorted(found))
    return Verdict(ordered, _notes(m, found, gain_known))


def _median(values: Floats) -> float:
    """The median; of an even number of values, the higher of the two in the middle."""
    return float(np.sort(values)[len(values) // 2])


def _alone(
    m: Measures, alive: NDArray[np.bool_], positions: Floats, shanks: NDArray[np.int64]
) -> tuple[tuple[float, float], NDArray[np.bool_]]:
    """(what the others foretell of most channels in either band; who goes along in none where most channels do).

    Where not nearly all channels have much in common, those that have some with the sites beside them are not alone.
    """
    # Many silent channels must not make it look as if the others had nothing in common.
    loud = alive & (m.level >= WEAK * np.quantile(m.level[alive], 0.75))
    usual = [float(np.quantile(each[loud], 0.6)) for each in (m.follows, m.follows_field)]
    alone = alive.copy()
    told = False
    for part, most, enough, share in (
        (m.follows, usual[0], TOGETHER, ALONE),
        (m.follows_field, usual[1], TOGETHER_FIELD, ALONE_FIELD),
    ):
        if most >= enough and np.quantile(part[loud], 0.35) >= 0.5 * most:
            told = True
            alone &= part < share * most
    if not np.quantile(m.follows[loud], 0.35) >= STRONG:
        alone &= _beside(m, alive, positions, shanks) < BESIDE
    return (usual[0], usual[1]), alone if told and alive.sum() > 2 else np.zeros(len(alive), dtype=bool)


def _beside(m: Measures, alive: NDArray[np.bool_], positions: Floats, shanks: NDArray[np.int64]) -> Floats:
    """Each channel's largest squared correlation, above 300 Hz, with one of the two nearest sites of its shank."""
    found = np.zeros(len(alive))
    for channel in np.flatnonzero(alive):
        others = np.flatnonzero(alive & (shanks == shanks[channel]) & (np.arange(len(alive)) != channel))
        away = np.hypot(*(positions[others] - positions[channel]).T)
        near = others[np.argsort(away, kind="stable")[:2]]
        found[channel] = max((m.correlation[channel, near] ** 2).tolist(), default=0.0)
    return found


def _still(m: Measures, core: NDArray[np.bool_]) -> Floats:
    """The part of the calm windows in which a channel has no signal."""
    levels = m.levels[m.calm]
    return np.mean(levels < SILENT * np.median(levels[:, core], axis=1, keepdims=True), axis=0)


def _often(m: Measures, core: NDArray[np.bool_]) -> Floats:
    """The part of the calm windows in which a channel is noisy."""
    owns = m.owns[m.calm]
    return np.mean(owns > NOISY * np.median(owns[:, core], axis=1, keepdims=True), axis=0)


def _outside(
    m: Measures, ratio: Floats, positions: Floats, shanks: NDArray[np.int64], bad: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Floats]:
    """Runs of sites from an end of a shank on whose field is far below that of those next to them, while the spikes'
    band is not; and how far."""
    outside, faint = np.zeros(len(ratio), dtype=bool), np.ones(len(ratio))
    if not np.isfinite(m.slow).all() or np.quantile(m.follows_field, 0.6) < TOGETHER_FIELD:
        return outside, faint
    usual = float(np.quantile(m.follows_field[~bad], 0.6)) if (~bad).any() else 1.0
    # What is less loud in everything is not outside.
    field = m.slow / np.clip(ratio, 0.05, 1.0)
    for shank in np.unique(shanks):
        of = np.flatnonzero((shanks == shank) & ~bad)
        of = of[np.argsort(positions[of, 1], kind="stable")]
        if np.count_nonzero(shanks == shank) < LONG or len(of) < 3:
            continue
        for way in (of, of[::-1]):
            for length in range(int(len(way) * MOST_OUTSIDE), 0, -1):
                run, inside = way[:length], way[length : length + 4]
                part = field[run] / np.median(field[inside])
                pale = (m.follows_field[run] < PALER * usual) | (part < VERY_FAINT)
                if np.all((part < FAINT) & pale):
                    outside[run], faint[run] = True, part
                    break
    return outside, faint


def _notes(m: Measures, found: dict[int, Finding], gain_known: bool) -> tuple[str, ...]:
    """About the recording as a whole."""
    notes = []
    n = len(m.level)
    level = float(np.median(m.level))
    if absurd := (m.absurd > 0.5).sum() >= 0.3 * n:
        notes.append(
            "the values look like random numbers over all that 16 bits can hold: the file's type, byte order or number "
            "of channels is probably not what is said of it"
        )
    elif gain_known and level > 0 and not STRANGE_UV[0] <= level <= STRANGE_UV[1]:
        notes.append(f"the median channel has {level:.3g} µV above 300 Hz, which is no brain's: look at gain and units")
    if float(np.median(m.clipped)) >= CLIPPED and not absurd:
        notes.append(f"most channels are clipped ({_percent(float(np.median(m.clipped)))} of the median one's values)")
    if len(found) > n / 2:
        notes.append(f"{len(found)} of {n} channels look bad: look at the recording itself before you omit them")
    return tuple(notes)


def _during(part: float) -> str:
    return f" during {_percent(part)} of the time" if PART <= part < 1 else ""


def _percent(part: float) -> str:
    percent = 100 * part
    return (
        f"{percent:.0f} %"
        if percent >= 10 or percent == 0
        else f"{percent:.1f} %"
        if percent >= 0.1
        else f"{percent:.1g} %"
    )
