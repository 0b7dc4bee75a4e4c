"""How long clustering took in earlier blocks, kept in their NAME.sorting.json: what an estimate rests on at first."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

NAME = "history.json"
BLOCKS = 20


def record(folder: Path, shanks: Sequence[Mapping[str, float]]) -> None:
    """Leave what each shank took (shank, spikes, iterations, seconds each) in the folder of checkpoints."""
    (folder / NAME).write_text(json.dumps(list(shanks)), encoding="utf-8")


def told(work: Path) -> list[Any]:
    """What `record` left below the folder that klusta works in; nothing where all was klusta's own."""
    try:
        found = json.loads((work / "clustering" / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def usual(target: Path) -> tuple[float, float] | None:
    """The median number of iterations, and of seconds for a million spikes in one, in the newest blocks around.

    ``target`` is a block's folder: the blocks in it and beside it count. None where none says so.
    """
    found: list[tuple[float, Path]] = []
    for path in {*target.glob("*.sorting.json"), *target.parent.glob("*/*.sorting.json")}:
        try:
            found.append((path.stat().st_mtime, path))
        except OSError:
            continue
    iterations, paces = [], []
    for _, path in sorted(found, reverse=True)[:BLOCKS]:
        try:
            for shank in json.loads(path.read_text(encoding="utf-8")).get("clustering", ()):
                spikes, count, each = (float(shank[key]) for key in ("spikes", "iterations", "seconds_each"))
                if spikes > 0 and count > 0 and each > 0:
                    iterations.append(count)
                    paces.append(1e6 * each / spikes)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return (median(iterations), median(paces)) if iterations else None
