"""Families of recordings: a probe, how unequal the channels' shares of the common noise are, artefacts, hum.

A family is written ``PROBE-SPREAD-ARTEFACTS``, with ``-hum`` behind it where there is mains hum, as in
``linear-40-some-hum``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from labsched.ephys.synth import Recipe

#: Recipe's fields by probe: units are known units a shank, pitch is in µm.
PROBES: dict[str, dict[str, int | float | str]] = {
    "linear": {"shanks": 1, "sites": 16, "units": 13, "layout": "linear", "pitch": 50.0},
    "dense": {"shanks": 1, "sites": 16, "units": 8, "layout": "staggered", "pitch": 20.0},
    "shanks": {"shanks": 4, "sites": 8, "units": 5, "layout": "staggered", "pitch": 20.0},
    "two_column": {"shanks": 1, "sites": 16, "units": 9, "layout": "two-column", "pitch": 40.0},
    "tetrodes": {"shanks": 4, "sites": 4, "units": 4, "layout": "tetrode", "pitch": 25.0},
    "tetrode": {"shanks": 1, "sites": 4, "units": 4, "layout": "tetrode", "pitch": 25.0},
}
SPREADS = (5, 10, 20, 40, 50)
#: Movements and saturations a minute.
ARTEFACTS = {"none": (0.0, 0.0), "some": (5.0, 0.0), "many": (15.0, 6.0)}


@dataclass(frozen=True)
class Family:
    """One family; ``spread`` in per cent."""

    probe: str
    spread: int
    artefacts: str
    hum: bool

    @property
    def name(self) -> str:
        """As it is written."""
        return f"{self.probe}-{self.spread}-{self.artefacts}" + ("-hum" if self.hum else "")

    def recipe(self, seed: int, seconds: float) -> Recipe:
        """The recipe of its recording with a seed: all channels sampled at once, no bad ones, one file."""
        movements, saturations = ARTEFACTS[self.artefacts]
        ready = Recipe(
            name="block", seconds=seconds, seed=seed, epochs=1, dead=0, noisy=0, times=False, skew=False,
            spread=self.spread / 100, movements=movements, saturations=saturations,
        )  # fmt: skip
        return replace(ready, **PROBES[self.probe], hum=ready.hum if self.hum else 0.0)


def clean(recipe: Recipe) -> Recipe:
    """The same recording without what stage 1 is there to remove: each channel's own noise and far cells stay."""
    return replace(recipe, common=0.0, hum=0.0, lfp=0.0, movement=0.0, saturations=0.0)


def every() -> list[Family]:
    """All of them."""
    return [Family(p, s, a, h) for p in PROBES for s in SPREADS for a in ARTEFACTS for h in (False, True)]


def usual() -> list[Family]:
    """Each probe with each spread; artefacts and hum go round, so that each meets each probe and each spread."""
    kinds = list(ARTEFACTS)
    return [
        Family(probe, spread, kinds[(i + j) % len(kinds)], (i + j) % 2 == 0)
        for i, probe in enumerate(PROBES)
        for j, spread in enumerate(SPREADS)
    ]


def chosen(words: Sequence[str]) -> list[Family]:
    """The families that patterns such as ``dense-*`` or names stand for; ValueError where one stands for none."""
    if not words:
        return usual()
    found: dict[Family, None] = {}
    for word in words:
        those = [family for family in every() if fnmatchcase(family.name, word)]
        if not those:
            raise ValueError(
                f"no family is called {word!r}: it is PROBE-SPREAD-ARTEFACTS or PROBE-SPREAD-ARTEFACTS-hum, "
                f"PROBE one of {', '.join(PROBES)}; SPREAD one of {', '.join(map(str, SPREADS))}; "
                f"ARTEFACTS one of {', '.join(ARTEFACTS)}; * stands for anything"
            )
        found |= dict.fromkeys(those)
    return list(found)
