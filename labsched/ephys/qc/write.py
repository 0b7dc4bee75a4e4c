"""NAME.metrics.csv and NAME.metrics.json beside a sorting: whole, or as they were before."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..provenance import versions
from ..writers.target import sentence
from .labels import GOOD, NOISE
from .metrics import table
from .units import Sorted, load

FORMAT = "labsched metrics 1"


def measure(folder: str | Path, name: str, say: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Compute the metrics of a finished sorting, write both files, and return the rows. Raises EphysError."""
    found = load(folder, name)
    rows = table(found)
    write(found, rows)
    say(f"{name}: {counted(rows)}")
    return rows


def counted(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many clusters have which label, in words."""
    counts = Counter(row["label"] for row in rows)
    return f"{len(rows)} clusters: {counts['good']} good, {counts['mua']} multi-unit, {counts['noise']} noise"


def write(found: Sorted, rows: Sequence[Mapping[str, Any]]) -> tuple[Path, Path]:
    """Write both files under temporary names and rename them; returns where they are. Raises EphysError."""
    # a row of the CSV is flat: reasons in one cell
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "reasons": "; ".join(row["reasons"])} for row in rows)
    document = {
        "format": FORMAT,
        "name": found.name,
        "rate_hz": found.rate,
        "duration_s": found.duration_s,
        "gain_known": found.gain_known,
        "versions": versions(("labsched", "numpy", "scipy", "h5py")),
        "thresholds": {
            word: [{key: value for key, value in asdict(each).items() if value is not None} for each in thresholds]
            for word, thresholds in (("noise", NOISE), ("good", GOOD))
        },
        "labels": dict(Counter(row["label"] for row in rows)),
        "units": list(rows),
    }
    csv_path, json_path = (found.folder / f"{found.name}.metrics{suffix}" for suffix in (".csv", ".json"))
    replace(csv_path, text.getvalue())
    replace(json_path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return csv_path, json_path


def replace(path: Path, text: str) -> None:
    """Give a file its text in one step. Raises EphysError where it cannot be written."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise sentence(error, path.parent) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
