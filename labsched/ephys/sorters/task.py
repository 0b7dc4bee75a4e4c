"""What the script in a sorter's environment is told to do, and what it has left."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..errors import EphysError
from ..klusta.stage import Input
from ..probes import prb
from ..qc.traces import open_traces
from .kwik import Found

FORMAT = "shank-{}.npz"


def task(data: Input, sorter: str, parameters: Mapping[str, Any], threads: int, seed: int) -> dict[str, Any]:
    """The whole task but for who started it; raises EphysError where data or probe cannot be read."""
    traces = open_traces(data)
    return {
        "sorter": sorter,
        "parameters": dict(parameters),
        "threads": threads,
        "seed": seed,
        "recording": {
            "file": str(data.raw[0]),
            "offset": traces.offset,
            "dtype": traces.data.dtype.str,
            "channels": data.channels,
            "rate": data.rate,
            "gain": data.gain or 1.0,
        },
        "shanks": shanks(data),
    }


def shanks(data: Input) -> list[dict[str, Any]]:
    """Each shank of the .prb that has channels: its number, columns of the data, places (µm) and edges."""
    try:
        probe = prb.read(data.prb.read_text(encoding="utf-8"), data.prb.name)
    except (OSError, UnicodeDecodeError) as error:
        raise EphysError(f"{data.prb} cannot be read ({error}): run the denoise stage again") from None
    found = []
    for number in sorted({site.group for site in probe.sites}):
        sites = [site for site in probe.sites if site.group == number]
        if past := [site.id for site in sites if int(site.id) >= data.channels]:
            raise EphysError(f"{data.prb} names channel {past[0]}, and the data has {data.channels}: mend it")
        edges = [[int(a), int(b)] for a, b in probe.edges.get(number, ())]
        found.append(
            {
                "number": number,
                "channels": [int(site.id) for site in sites],
                "positions": [[site.x, site.y] for site in sites],
                "edges": edges,
            }
        )
    return found


def weed(folder: Path, task: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Remove what an earlier attempt left of a shank where it is not whole: that shank is sorted again."""
    for shank in task["shanks"]:
        path = folder / FORMAT.format(shank["number"])
        if path.exists():
            try:
                _read(path)
            except Damaged as error:
                say(
                    f"{path.name} of an earlier attempt is not whole ({error}): shank {shank['number']} is sorted again"
                )
                path.unlink()


def left(folder: Path, task: Mapping[str, Any]) -> tuple[Found, ...]:
    """What was found on each shank. Raises EphysError for a file that is not there or not whole."""
    every = []
    for shank in task["shanks"]:
        path = folder / FORMAT.format(shank["number"])
        try:
            samples, units = _read(path)
        except Damaged as error:
            raise EphysError(f"{task['sorter']} left no whole {path.name} ({error}): sort it again") from None
        places = tuple((float(x), float(y)) for x, y in shank["positions"])
        edges = tuple((int(a), int(b)) for a, b in shank["edges"])
        every.append(Found(shank["number"], tuple(shank["channels"]), places, edges, samples, units))
    return tuple(every)


class Damaged(Exception):
    """A file of a shank is not there or not whole."""


def _read(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            samples, units = file["samples"].astype(np.int64), file["units"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise Damaged(" ".join(str(error).split())) from None
    if samples.ndim != 1 or samples.shape != units.shape or np.any(np.diff(samples) < 0) or np.any(units < 0):
        raise Damaged("spikes and units do not go together")
    return samples, units
