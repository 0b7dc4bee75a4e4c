"""What came of a sorting: the noun, its summary on disk, and whether the one that is there is the one asked for."""

import hashlib
import json
import platform
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from ..errors import EphysError
from . import result
from .clustering.history import told
from .stage import Input

FORMAT = "labsched sorting 1"


@dataclass(frozen=True)
class Sorting:
    """What came of it: where the results are, the shanks, and what a person should know."""

    name: str
    kwik: Path
    kwx: Path
    summary: Path
    shanks: tuple[result.Shank, ...]
    warnings: tuple[str, ...]
    wall_s: float

    @property
    def spikes(self) -> int:
        """All spikes."""
        return sum(len(shank.samples) for shank in self.shanks)

    @property
    def clusters(self) -> int:
        """All clusters but noise and multi-unit activity."""
        return sum(len(shank.units) for shank in self.shanks)

    def note(self) -> str:
        """One line on it, the warnings included."""
        line = f"{self.spikes:,} spikes in {self.clusters} clusters on {len(self.shanks)} shank" + (
            "s" if len(self.shanks) != 1 else ""
        )
        return "; ".join([line, *(f"WARNING: {warning}" for warning in self.warnings)])


def paths(data: Input) -> tuple[Path, Path, Path]:
    """The final names of the .kwik, the .kwx and the summary."""
    kwik, kwx, summary = (data.folder / f"{data.name}{suffix}" for suffix in (".kwik", ".kwx", ".sorting.json"))
    return kwik, kwx, summary


def finished(
    data: Input, parameters: Mapping[str, Any], seed: int | None, stock: bool = False, sorter: str = "klusta"
) -> Sorting | None:
    """The finished sorting that is there, if it is the one that is asked for; EphysError if it is another one."""
    kwik, kwx, note = paths(data)
    try:
        said = json.loads(note.read_text(encoding="utf-8"))
        if said["denoise"]["blake2b"] != _digest(data):
            return None
        same = said["seed"] == seed and _comparable(said["parameters"]) == _comparable(parameters)
        other = str(said.get("sorter", "klusta"))
        same = same and other == sorter
        # who asks for klusta's own code wants to see what that makes of it
        same = same and (not stock or set(said.get("code", {}).values()) == {"klusta"})
        wall_s, warnings = float(said["wall_s"]), tuple(said["warnings"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # not its size: a .kwik that was looked through by hand is still this sorting
    if not result.complete(kwik):
        return None
    if not same:
        raise EphysError(
            f"{data.name} is sorted already, "
            + (f"by {other}" if other != sorter else "with other parameters or another seed")
            + f" ({kwik} already exists): "
            f"to sort it again and replace the result, submit it with --again (by hand: --overwrite)"
        )
    return Sorting(data.name, kwik, kwx, note, result.read(kwik), warnings, wall_s)


def summary(
    work: Path,
    sorting: Sorting,
    data: Input,
    parameters: Mapping[str, Any],
    seed: int | None,
    threads: int,
    code: Mapping[str, str],
    *,
    sorter: str = "klusta",
    versions: Mapping[str, str | None] | None = None,
) -> dict[str, Any]:
    """What NAME.sorting.json holds; the results still lie in ``work``."""
    return {
        "format": FORMAT,
        "name": data.name,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "sorter": sorter,
        "seed": seed,
        "threads": threads,
        "code": dict(code),
        "versions": dict(_versions() if versions is None else versions),
        "parameters": dict(parameters),
        "denoise": {"file": f"{data.name}.denoise.json", "blake2b": _digest(data)},
        "raw_data_files": [str(path) for path in data.raw],
        "shanks": [
            {
                "shank": shank.number,
                "channels": list(shank.channels),
                "spikes": len(shank.samples),
                "clusters": len(shank.units),
                "unsorted_spikes": int(sum(int((shank.clusters == k).sum()) for k in shank.special)),
            }
            for shank in sorting.shanks
        ],
        "clustering": told(work),
        "spikes": sorting.spikes,
        "clusters": sorting.clusters,
        "warnings": list(sorting.warnings),
        "outputs": {path.name: (work / path.name).stat().st_size for path in (sorting.kwik, sorting.kwx)},
        "wall_s": sorting.wall_s,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
    }


def fingerprint(
    data: Input, parameters: Mapping[str, Any], seed: int | None, versions: Mapping[str, str | None] | None = None
) -> str:
    """What a checkpoint is made from: the data, the parameters, the seed, and whose code with which versions."""
    files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in data.raw]
    made_from = {
        "denoise": _digest(data),
        "probe": hashlib.blake2b(data.prb.read_bytes(), digest_size=16).hexdigest(),
        "raw": files,
        "traces": [data.rate, data.channels, data.dtype],
        "parameters": _comparable(parameters),
        "seed": seed,
        "versions": [dict(versions or _versions()), platform.machine(), platform.python_version()],
    }
    return hashlib.blake2b(json.dumps(made_from, sort_keys=True).encode(), digest_size=16).hexdigest()


def _comparable(table: Any) -> Any:
    """The parameters as JSON holds them, without the number of threads, on which the result does not depend."""
    plain = json.loads(json.dumps(table))
    plain.get("klustakwik2", {}).pop("num_cpus", None)
    return plain


def _digest(data: Input) -> str:
    note = (data.folder / f"{data.name}.denoise.json").read_bytes()
    return hashlib.blake2b(note, digest_size=16).hexdigest()


def _versions() -> dict[str, str | None]:
    return {package: _version(package) for package in ("labsched", "klusta", "klustakwik2", "numpy", "scipy", "h5py")}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
