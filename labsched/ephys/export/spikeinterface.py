"""SpikeInterface's own folder of a sorting: ``spikeinterface.load("NAME.sorting.spikeinterface")``.

Units are named by shank and cluster (0.7), and have what the metrics say as properties. Nothing of SpikeInterface is
needed to write it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..qc.units import Sorted
from ..writers.interface import PACKAGE, VERSION

SPIKE = np.dtype([("sample_index", "<i8"), ("unit_index", "<i8"), ("segment_index", "<i8")])


def write(found: Sorted, rows: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Write it into a new folder; returns nothing to say. Raises OSError."""
    folder.mkdir()
    units = found.units
    trains = [found.train(unit) for unit in units]
    spikes = np.zeros(sum(map(len, trains)), dtype=SPIKE)
    spikes["sample_index"] = np.concatenate(trains)
    spikes["unit_index"] = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    np.save(folder / "spikes.npy", spikes[np.lexsort((spikes["unit_index"], spikes["sample_index"]))])
    info = {"sampling_frequency": found.rate, "unit_ids": [unit.name for unit in units], "num_segments": 1}
    _json(folder / "numpysorting_info.json", info)
    properties = folder / "properties"
    properties.mkdir()
    for key in rows[0]:
        if key in ("unit", "reasons"):
            continue
        values = [row[key] for row in rows]
        if isinstance(values[0], str):
            column = np.array(values)
        elif any(value is None or isinstance(value, float) for value in values):
            column = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        else:
            column = np.array(values)
        # "group" is the shank of a channel there; what people say of a unit is called quality
        np.save(properties / f"{'quality' if key == 'group' else key}.npy", column)
    np.save(properties / "group.npy", np.array([unit.shank for unit in units]))
    annotations = {"name": found.name}
    kind = f"{PACKAGE}.sortingfolder.NumpyFolderSorting"
    outer = {"class": kind, "module": "spikeinterface", "version": VERSION, "kwargs": {"folder_path": "."}}
    _json(folder / "si_folder.json", {**outer, "annotations": annotations, "properties": {}, "relative_paths": True})
    _json(folder / "annotations.json", annotations)
    return ""


def _json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
