"""A finished block as the report finds it: what stage 1 and stage 2 say of it, its probe and its samples."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EphysError
from ..klusta import stage
from ..probes import prb
from ..qc.traces import Traces, open_traces

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Site:
    """Where a channel lies: its label, column of the data (None: omitted), shank, and place (µm)."""

    label: str
    column: int | None
    shank: int
    x: float
    y: float
    site: str = ""


@dataclass(frozen=True)
class Block:
    """What there is of a block. `traces` is None where the de-noised data is gone, `sorting` where it is not sorted;
    `problems` are sentences about what is missing."""

    folder: Path
    name: str
    note: dict[str, Any]
    sorting: dict[str, Any] | None
    labels: tuple[str, ...]
    sites: tuple[Site, ...]
    rate: float
    traces: Traces | None
    problems: list[str] = field(default_factory=list)

    @property
    def n_samples(self) -> int:
        """Samples per channel."""
        return len(self.traces.data) if self.traces else int(self.note.get("n_samples") or 0)

    def read(self, start: int, stop: int) -> Floats:
        """De-noised samples `start` to `stop`, (channels, n) µV; only where there are traces."""
        assert self.traces is not None
        return np.ascontiguousarray(self.traces.data[start:stop].T, dtype=np.float32) * np.float32(self.traces.gain)


def read(folder: Path, name: str) -> Block:
    """Raises EphysError where there is no stage 1 to report on; what else is missing is among the block's problems."""
    note = _json(folder / f"{name}.denoise.json")
    if note is None:
        raise EphysError(
            f"{folder} has no finished denoise stage of {name} (no {name}.denoise.json): "
            "name the folder of its results, and with --name the block"
        )
    problems: list[str] = []
    sorting = _json(folder / f"{name}.sorting.json")
    data = traces = None
    try:
        data = stage.whole(folder, name)
        traces = open_traces(data)
    except EphysError as error:
        problems.append(f"The de-noised data cannot be shown: {error}")
    channels = data.channels if data else len(note.get("labels") or ())
    labels = tuple(str(each) for each in note.get("labels") or ())
    if len(labels) != channels:
        labels = tuple(f"channel {k}" for k in range(channels))
    rate = float(data.rate if data else note.get("rate_hz") or 0)
    if rate <= 0:
        raise EphysError(f"{name}.denoise.json does not say the sampling rate: run the denoise stage again")
    sites = (*_sites(folder, name, note, labels, problems), *_omitted(note))
    return Block(folder, name, note, sorting, labels, sites, rate, traces, problems)


def _json(path: Path) -> dict[str, Any] | None:
    """A JSON object of ours, or None where there is none. Raises EphysError where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EphysError(f"{path} cannot be read ({' '.join(str(error).split())}): run the stage again") from None
    if not isinstance(found, dict):
        raise EphysError(f"{path} is not what the stage wrote: run it again")
    return found


def _sites(folder: Path, name: str, note: Any, labels: Sequence[str], problems: list[str]) -> list[Site]:
    """The sites of the .prb that the block was sorted with."""
    path = folder / f"{name}.prb"
    try:
        probe = prb.read(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError, EphysError) as error:
        problems.append(f"The probe cannot be drawn: {' '.join(str(error).split())}")
        return []
    named = note.get("sites") or {}
    found = []
    for each in probe.sites:
        column = int(each.id)
        if column < len(labels):
            label = labels[column]
            found.append(Site(label, column, each.group, each.x, each.y, str(named.get(label, ""))))
    return found


def _omitted(note: dict[str, Any]) -> list[Site]:
    """Where omitted channels lie, as far as stage 1 says."""
    found = []
    for label, place in (note.get("omitted_sites") or {}).items():
        try:
            found.append(
                Site(str(label), None, int(place["shank"]), float(place["x"]), float(place["y"]), str(place["site"]))
            )
        except (KeyError, TypeError, ValueError):
            continue
    return found
