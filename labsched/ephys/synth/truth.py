"""The ground truth of a block: its units and when they fired; written and read as one small HDF5 file."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import EphysError
from .recipe import PHASES, Array, Plan
from .signal import BEFORE_MS, table

FORMAT = "labsched truth 1"


@dataclass(frozen=True)
class Unit:
    """A known unit.

    ``samples`` are its spikes as (fractional) sample numbers counted over all files, ``times`` the same in seconds of
    the recording's clock (gaps between files included). ``peak`` is the label of the kept channel that sees it best,
    ``amplitude`` its trough there (µV, positive), ``waveform`` (channels, samples) its mean on ``channels``, from 0.8
    ms before the spike on.
    """

    name: str
    shank: int
    x: float
    y: float
    amplitude: float
    peak: str
    channels: tuple[str, ...]
    waveform: Array = field(repr=False)
    samples: Array = field(repr=False)
    times: Array = field(repr=False)


@dataclass(frozen=True)
class Truth:
    """What a block was made of: the rate (Hz), the bad labels, and the units."""

    name: str
    seed: int
    rate: float
    samples: int
    dead: tuple[str, ...]
    noisy: tuple[str, ...]
    units: tuple[Unit, ...]
    spoilt: dict[str, str] = field(default_factory=dict)

    @property
    def omit(self) -> str:
        """The bad channels, as ``--omit`` takes them."""
        return ",".join((*self.dead, *self.noisy, *self.spoilt))


def truth(plan: Plan) -> Truth:
    """The truth about a planned block."""
    recipe = plan.recipe
    bounds = np.array(plan.bounds[1:-1])
    units = []
    for number, cell in enumerate(plan.units):
        rows, waves = table(plan, cell)
        good = [row for row, k in enumerate(rows) if plan.labels[k] not in plan.omit]
        depth = -waves[0].min(axis=1)
        peak = max(good, key=lambda row: depth[row]) if good else None
        samples = cell.ticks / PHASES
        epoch = np.searchsorted(bounds, samples, side="right")
        units.append(
            Unit(
                name=f"{cell.shank}.{number + 1}",
                shank=cell.shank,
                x=cell.x,
                y=cell.y,
                amplitude=float(depth[peak]) if peak is not None else 0.0,
                peak=plan.labels[rows[peak]] if peak is not None else "",
                channels=tuple(plan.labels[k] for k in rows),
                waveform=waves[0],
                samples=samples,
                times=samples / recipe.rate + epoch * recipe.gap,
            )
        )
    return Truth(
        recipe.name, recipe.seed, recipe.rate, recipe.samples, plan.dead, plan.noisy, tuple(units), plan.spoilt
    )


def save(it: Truth, path: Path) -> None:
    """Write it."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["format"] = FORMAT
        for key in ("name", "seed", "rate", "samples", "omit"):
            file.attrs[key] = getattr(it, key)
        file.attrs["dead"], file.attrs["noisy"] = ",".join(it.dead), ",".join(it.noisy)
        file.attrs["spoilt"] = ",".join(f"{kind}:{label}" for label, kind in it.spoilt.items())
        file.attrs["waveform_before_ms"] = BEFORE_MS
        for number, unit in enumerate(it.units):
            group = file.create_group(f"units/{number:04d}")
            for key in ("name", "shank", "x", "y", "amplitude", "peak"):
                group.attrs[key] = getattr(unit, key)
            group.attrs["channels"] = ",".join(unit.channels)
            for key in ("waveform", "samples", "times"):
                group.create_dataset(key, data=getattr(unit, key), track_times=False)


def load(path: str | Path) -> Truth:
    """Read it; EphysError where the file is missing or is something else."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise EphysError(f"{path} is not a ground truth: give the .truth.h5 that synth wrote beside the block")
            groups = [file["units"][key] for key in sorted(file["units"])] if "units" in file else []
            units = tuple(
                Unit(
                    name=str(group.attrs["name"]),
                    shank=int(group.attrs["shank"]),
                    x=float(group.attrs["x"]),
                    y=float(group.attrs["y"]),
                    amplitude=float(group.attrs["amplitude"]),
                    peak=str(group.attrs["peak"]),
                    channels=_split(group.attrs["channels"]),
                    **{key: _array(group[key]) for key in ("waveform", "samples", "times")},
                )
                for group in groups
            )
            return Truth(
                name=str(file.attrs["name"]),
                seed=int(file.attrs["seed"]),
                rate=float(file.attrs["rate"]),
                samples=int(file.attrs["samples"]),
                dead=_split(file.attrs["dead"]),
                noisy=_split(file.attrs["noisy"]),
                units=units,
                spoilt={
                    each.partition(":")[2]: each.partition(":")[0] for each in _split(file.attrs.get("spoilt", ""))
                },
            )
    except FileNotFoundError:
        raise EphysError(f"there is no ground truth {path}: give the .truth.h5 that synth wrote") from None
    except (OSError, KeyError, ValueError) as error:
        raise EphysError(f"{path} cannot be read as a ground truth ({' '.join(str(error).split())})") from None


def _split(text: object) -> tuple[str, ...]:
    return tuple(part for part in str(text).split(",") if part)


def _array(dataset: object) -> NDArray[np.float64]:
    return np.asarray(dataset, dtype=np.float64)
