"""What a synthetic block is made of: the nouns, and the draws that decide units, labels and spikes."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..errors import EphysError

Array = NDArray[np.float64]

PHASES = 64
"""Spike times lie on a grid of this many steps a sample, so a table of waveforms has them exactly."""

AMPLITUDES_UV = (230.0, 180.0, 140.0, 112.0, 90.0)
SHANK_PITCH_UM = 200.0
SITE_PITCH_UM = 20.0
DECAY_UM = 26.0
VELOCITY_UM_PER_MS = 550.0
REFRACTORY_S = 0.0025
LAYOUTS = ("staggered", "linear", "two-column", "tetrode")


@dataclass(frozen=True)
class Recipe:
    """How a block is to be: see the fields. Rates in Hz, times in s, amplitudes in µV (standard deviations)."""

    name: str = "demo_Site01"
    seconds: float = 60.0
    seed: int = 1
    shanks: int = 2
    sites: int = 8
    units: int = 5
    rate: float = 20000.0
    epochs: int = 2
    gap: float = 5.0
    noise: float = 8.0
    common: float = 22.0
    spread: float = 0.4
    hum: float = 60.0
    lfp: float = 90.0
    movement: float = 600.0
    dead: int = 1
    noisy: int = 1
    format: str = "v7.3"
    dtype: str = "int16"
    times: bool = True
    layout: str = "staggered"
    pitch: float = SITE_PITCH_UM
    movements: float = 5.0
    saturations: float = 0.0
    mains: float = 50.0
    skew: bool = True
    flat: int = 0
    clipped: int = 0
    uncorrelated: int = 0
    outside: int = 0

    @property
    def channels(self) -> int:
        """How many channels the block has."""
        return self.shanks * self.sites

    @property
    def samples(self) -> int:
        """How many samples each channel has, over all files."""
        return round(self.seconds * self.rate)

    def checked(self) -> "Recipe":
        """Itself; EphysError where such a block cannot be made."""
        rules = (
            (1 <= self.shanks <= 32, f"{self.shanks} shanks: ask for 1 to 32"),
            (2 <= self.sites <= 64, f"{self.sites} sites a shank: ask for 2 to 64"),
            (0 <= self.units <= 50, f"{self.units} units a shank: ask for 0 to 50"),
            (5000 <= self.rate <= 100_000, f"a rate of {self.rate:g} Hz: ask for 5000 to 100000"),
            (1 <= self.seconds <= 864_000, f"{self.seconds:g} seconds: ask for at least 1"),
            (1 <= self.epochs <= 100, f"{self.epochs} files: ask for 1 to 100"),
            (self.seconds / max(self.epochs, 1) >= 0.5, f"{self.epochs} files: each must have half a second or more"),
            (self.gap >= 0, f"a gap of {self.gap:g} s: it cannot be negative"),
            (self.dead + self.noisy < self.channels, "every channel is dead or noisy: ask for fewer of them"),
            (
                self.dead + self.noisy + self.outside + self.flat + self.clipped + self.uncorrelated < self.channels,
                "so many bad channels: leave some good ones",
            ),
            (self.outside < self.sites, f"{self.outside} sites out of the brain: a shank has {self.sites}"),
            (min(self.flat, self.clipped, self.uncorrelated, self.outside) >= 0, "less than none of a kind"),
            (min(self.dead, self.noisy, self.seed) >= 0, "dead, noisy and seed cannot be negative"),
            (self.layout in LAYOUTS, f"layout {self.layout}: it is one of {', '.join(LAYOUTS)}"),
            (1 <= self.pitch <= 1000, f"a pitch of {self.pitch:g} µm: ask for 1 to 1000"),
            (0 <= self.movements <= 600, f"{self.movements:g} movements a minute: ask for 0 to 600"),
            (0 <= self.saturations <= 600, f"{self.saturations:g} saturations a minute: ask for 0 to 600"),
            (1 <= self.mains <= 400, f"mains of {self.mains:g} Hz: ask for 1 to 400"),
            (self.format in ("v7.3", "v5"), f"format {self.format}: it is v7.3 or v5"),
            (self.dtype in ("int16", "single", "double"), f"dtype {self.dtype}: it is int16, single or double"),
            (
                bool(self.name) and self.name not in (".", "..") and not set(self.name) & set("/\\\0"),
                f"name {self.name!r}: a block's name is the name of a folder",
            ),
        )
        for good, said in rules:
            if not good:
                raise EphysError(f"no block can be made with {said}")
        return self


@dataclass(frozen=True)
class Cell:
    """One neuron: where it is (µm; z is its distance from the plane of the sites), its waveform and its spikes.

    ``amplitude`` is the depth of the trough (µV) on the site that sees it best. The waveform is a sum of three
    Gaussians (time in ms): a small peak before, the trough, and the slow peak after it.
    """

    shank: int
    x: float
    y: float
    z: float
    amplitude: float
    width: float
    after: float
    after_at: float
    after_width: float
    before: float
    rate: float
    ticks: NDArray[np.int64] = field(repr=False)
    scales: Array = field(repr=False)

    def seen(self, x: float, y: float) -> tuple[float, float]:
        """Its distance (µm) to a site at ``x``, ``y``, and the fall-off of its amplitude there (1 at distance 0)."""
        distance = math.sqrt((self.x - x) ** 2 + (self.y - y) ** 2 + self.z**2)
        return distance, math.exp(-distance / DECAY_UM)

    def wave(self, ms: Array, distance: float) -> Array:
        """The waveform (trough −1) at ``ms`` after the spike, at ``distance`` µm: later and wider farther away."""
        t = ms - distance / VELOCITY_UM_PER_MS
        w = 1.0 + 0.002 * distance
        result: Array = -np.exp(-0.5 * (t / (self.width * w)) ** 2)
        result += self.after * np.exp(-0.5 * ((t - self.after_at * w) / (self.after_width * w)) ** 2)
        result += self.before * np.exp(-0.5 * ((t + 0.3 * w) / (0.12 * w)) ** 2)
        return result


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before a sample is made.

    ``labels`` in the order of sampling; ``place`` is the index of the site (shank by shank, from the tip) that each
    label is wired to; ``sites`` (n, 2) positions in µm; ``delays`` when each is sampled after the tick, in samples;
    ``spoilt`` which labels are flat, clipped, uncorrelated or outside.
    """

    recipe: Recipe
    labels: tuple[str, ...]
    place: tuple[int, ...]
    sites: Array
    delays: Array
    gains: Array
    dead: tuple[str, ...]
    noisy: tuple[str, ...]
    units: tuple[Cell, ...]
    crowd: tuple[Cell, ...]
    bounds: tuple[int, ...]
    spoilt: dict[str, str] = field(default_factory=dict)

    @property
    def omit(self) -> tuple[str, ...]:
        """The labels that a person would leave out."""
        bad = {*self.dead, *self.noisy, *self.spoilt}
        return tuple(label for label in self.labels if label in bad)

    @property
    def deaf(self) -> set[str]:
        """The labels that see no spike."""
        return {*self.dead, *(label for label, kind in self.spoilt.items() if kind != "clipped")}


def stream(recipe: Recipe, purpose: int) -> np.random.Generator:
    """An independent, reproducible source of uniform numbers for one purpose."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([recipe.seed, purpose])))


def positions(recipe: Recipe) -> Array:
    """The sites of all shanks, (channels, 2) µm, from the tip upwards.

    ``staggered`` as on a Buzsaki probe, ``linear`` in a row, ``two-column`` in two that are staggered against each
    other by half a pitch, ``tetrode`` in a square (more than four sites: in a grid of two columns).
    """
    at, pitch = np.arange(recipe.sites), recipe.pitch
    side = np.where(at % 2, 1.0, -1.0)
    x, y = {
        "staggered": (-side * np.where(at > 0, 8.0 + 1.4 * (at - 1), 0.0), pitch * at),
        "linear": (0.0 * at, pitch * at),
        "two-column": (0.43 * pitch * side, pitch * (at // 2 + 0.5 * (at % 2))),
        "tetrode": (0.5 * pitch * side, pitch * (at // 2)),
    }[recipe.layout]
    shanks = [np.stack([x + SHANK_PITCH_UM * k, y], axis=1) for k in range(recipe.shanks)]
    return np.concatenate(shanks).astype(np.float64)


def plan(recipe: Recipe) -> Plan:
    """Decide it all: labels, wiring, bad channels, units and every spike. The same seed gives the same block."""
    n, draw = recipe.channels, stream(recipe.checked(), 0)
    place = _shuffled(draw, n)
    labels = tuple(f"Port_{k + 1}" for k in range(n))
    bad = _shuffled(draw, n)[: recipe.dead + recipe.noisy]
    if recipe.shanks > 1 and len(bad) == 2:
        # one bad channel a shank at most where there are only two: a shank is small enough as it is
        other = [k for k in range(n) if place[k] // recipe.sites != place[bad[0]] // recipe.sites]
        bad = (bad[0], other[int(draw.random() * len(other))])
    sites, bounds = positions(recipe), _bounds(recipe)
    spoilt = _spoilt(recipe, place, sites, bad)
    good = [place[k] for k in range(n) if k not in bad and spoilt.get(k, "clipped") == "clipped"]
    units = tuple(
        cell
        for shank in range(recipe.shanks)
        for cell in _units(recipe, draw, shank, sites, [k for k in good if k // recipe.sites == shank], bounds)
    )
    crowd = tuple(cell for shank in range(recipe.shanks) for cell in _crowd(recipe, draw, shank, sites, bounds))
    return Plan(
        recipe=recipe,
        labels=labels,
        place=place,
        sites=sites,
        delays=np.arange(n) / n * recipe.skew,
        gains=1.0 + recipe.spread * (2.0 * draw.random(n) - 1.0),
        dead=tuple(labels[k] for k in bad[: recipe.dead]),
        noisy=tuple(labels[k] for k in bad[recipe.dead :]),
        units=units,
        crowd=crowd,
        bounds=bounds,
        spoilt={labels[k]: kind for k, kind in spoilt.items()},
    )


def _spoilt(recipe: Recipe, place: tuple[int, ...], sites: Array, bad: tuple[int, ...]) -> dict[int, str]:
    """Which channels are bad in other ways than dead and noisy: those outside are the uppermost of the first shank."""
    shank = [k for k in range(recipe.channels) if place[k] < recipe.sites and k not in bad]
    shank.sort(key=lambda k: (-sites[place[k], 1], place[k]))
    found = dict.fromkeys(shank[: recipe.outside], "outside")
    left = iter([k for k in _shuffled(stream(recipe, 4), recipe.channels) if k not in bad and k not in found])
    for kind, count in (("flat", recipe.flat), ("clipped", recipe.clipped), ("uncorrelated", recipe.uncorrelated)):
        found.update((next(left), kind) for _ in range(count))
    return found


def _bounds(recipe: Recipe) -> tuple[int, ...]:
    return tuple(round(recipe.samples * k / recipe.epochs) for k in range(recipe.epochs + 1))


def _shuffled(draw: np.random.Generator, n: int) -> tuple[int, ...]:
    return tuple(int(k) for k in np.argsort(draw.random(n), kind="stable"))


def _units(
    recipe: Recipe, draw: np.random.Generator, shank: int, sites: Array, good: list[int], bounds: tuple[int, ...]
) -> list[Cell]:
    """The units of a shank: spread along it, loud and faint ones, none on top of another."""
    order = _shuffled(draw, recipe.units)
    # around a tetrode, and along everything else
    beyond = recipe.pitch if recipe.layout == "tetrode" else 0.0
    length = float(sites[:, 1].max()) + 2 * beyond
    cells = []
    for k in range(recipe.units):
        step = length / max(recipe.units, 1)
        y = (k + 0.5) * step + 0.2 * step * (2 * draw.random() - 1) - beyond
        x = SHANK_PITCH_UM * shank + 24.0 * (2 * draw.random() - 1)
        z = 14.0 + 14.0 * draw.random()
        loud = AMPLITUDES_UV[order[k] % len(AMPLITUDES_UV)] * (1 + 0.08 * (2 * draw.random() - 1))
        fast = draw.random() < 0.35
        shape = {
            "width": (0.075 if fast else 0.105) + 0.03 * draw.random(),
            "after": 0.25 + 0.25 * draw.random(),
            "after_at": (0.26 if fast else 0.42) + 0.14 * draw.random(),
            "after_width": (0.12 if fast else 0.2) + 0.08 * draw.random(),
            "before": 0.12 * draw.random(),
        }
        rate = 2.5 + 9.0 * draw.random() ** 1.5
        ticks, scales = _train(recipe, draw, rate, 0.05, bounds)
        cell = Cell(shank, x, y, z, 1.0, **shape, rate=rate, ticks=ticks, scales=scales)
        best = max((cell.seen(*sites[at])[1] for at in good), default=1.0)
        cells.append(Cell(shank, x, y, z, loud / best, **shape, rate=rate, ticks=ticks, scales=scales))
    return cells


def _crowd(recipe: Recipe, draw: np.random.Generator, shank: int, sites: Array, bounds: tuple[int, ...]) -> list[Cell]:
    """The many cells too far away to be told apart: the background activity of a shank."""
    cells = []
    for _ in range(30):
        angle = 2 * math.pi * draw.random()
        away = 70.0 + 60.0 * draw.random()
        y = (float(sites[:, 1].max()) + recipe.pitch) * draw.random()
        x = SHANK_PITCH_UM * shank + away * math.cos(angle)
        rate = 2.0 + 8.0 * draw.random()
        ticks, scales = _train(recipe, draw, rate, 0.1, bounds)
        cells.append(
            Cell(shank, x, y, abs(away * math.sin(angle)), 260.0, 0.11, 0.35, 0.45, 0.25, 0.05, rate, ticks, scales)
        )
    return cells


def _train(
    recipe: Recipe, draw: np.random.Generator, rate: float, wobble: float, bounds: tuple[int, ...]
) -> tuple[NDArray[np.int64], Array]:
    """Spike times (in 1/64 sample) and amplitude factors of a cell that fires at ``rate`` Hz.

    Intervals are refractory plus log-normal (coefficient of variation about 1); a spike soon after another is
    smaller, as in bursts. No spike lies within 3 ms of the ends of a file.
    """
    count = int(rate * recipe.seconds * 1.5) + 40
    sigma, mean = 0.85, max(1.0 / rate - REFRACTORY_S, REFRACTORY_S)
    gaps = REFRACTORY_S + mean * np.exp(sigma * normals(draw, count) - sigma**2 / 2)
    at = np.cumsum(gaps)
    ticks = np.round(at * recipe.rate * PHASES).astype(np.int64)
    scales = (1.0 + wobble * normals(draw, count)) * (1.0 - 0.15 * np.exp(-gaps / 0.010))
    edge = round(0.003 * recipe.rate) * PHASES
    inside = np.zeros(count, dtype=bool)
    for start, stop in pairwise(bounds):
        inside |= (ticks >= start * PHASES + edge) & (ticks < stop * PHASES - edge)
    return ticks[inside], scales[inside]


def normals(draw: np.random.Generator, count: int) -> Array:
    """Nearly normal numbers from sums of uniform ones, whose stream does not change between versions of numpy."""
    total = draw.random(count)
    for _ in range(5):
        total += draw.random(count)
    result: Array = (total - 3.0) * math.sqrt(2.0)
    return result
