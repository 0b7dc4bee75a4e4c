"""A folder that SpikeInterface loads: ``spikeinterface.load("NAME.spikeinterface")``, a few files beside NAME.dat."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from labsched.ephys.probes import Layout

#: Of SpikeInterface, whose folders are written so; later versions read them.
VERSION = "0.101.0"
PACKAGE = "spikeinterface.core"


def write(
    folder: Path, data: str, layout: Layout, *, rate: float, uv_per_bit: float, annotations: dict[str, Any]
) -> None:
    """Describe `data`, a file beside the folder of int16 (samples × ``layout.labels``), in a new folder.

    Channels keep their labels as ids; gains, offsets (µV), shanks and, where a probe is known, places go along.
    """
    labels, count = list(layout.labels), len(layout.labels)
    groups = {label: group.number for group in layout.groups for label in group.labels}
    folder.mkdir()
    kwargs = {
        "file_paths": [f"../{data}"], "sampling_frequency": rate, "num_channels": count, "dtype": "<i2",
        "channel_ids": labels, "t_starts": None, "time_axis": 0, "file_offset": 0, "gain_to_uV": [uv_per_bit] * count,
        "offset_to_uV": [0.0] * count, "is_filtered": annotations["is_filtered"],
    }  # fmt: skip
    common = {"module": "spikeinterface", "version": VERSION, "relative_paths": True}
    kind = f"{PACKAGE}.binaryrecordingextractor.BinaryRecordingExtractor"
    _json(folder / "binary.json", {"class": kind, **common, "kwargs": kwargs})
    outer = {"class": f"{PACKAGE}.binaryfolder.BinaryFolderRecording", **common, "kwargs": {"folder_path": "."}}
    _json(folder / "si_folder.json", {**outer, "annotations": annotations, "properties": {}})
    _json(folder / "annotations.json", annotations)
    properties = folder / "properties"
    properties.mkdir()
    np.save(properties / "gain_to_uV.npy", np.full(count, uv_per_bit))
    np.save(properties / "offset_to_uV.npy", np.zeros(count))
    np.save(properties / "group.npy", np.array([groups[label] for label in labels]))
    if layout.known:
        # It is called so since version 0.105, and was probe.json before.
        for name in ("probegroup.json", "probe.json"):
            _probe(folder / name, layout)


def _json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _probe(path: Path, layout: Layout) -> None:
    """Contacts in the order of the channels."""
    from probeinterface import Probe, ProbeGroup, write_probeinterface

    places: dict[str, tuple[float, float]] = {}
    shanks: dict[str, str] = {}
    for group in layout.groups:
        for label, place in zip(group.labels, group.geometry, strict=True):
            places[label], shanks[label] = place, str(group.number)
    labels = list(layout.labels)
    probe = Probe(ndim=2, si_units="um")
    probe.set_contacts(
        positions=[places[label] for label in labels],
        shapes="circle",
        shape_params={"radius": 5},
        shank_ids=[shanks[label] for label in labels],
        contact_ids=list(layout.sites) or None,
    )
    probe.set_device_channel_indices(np.arange(len(labels)))
    together = ProbeGroup()
    together.add_probe(probe)
    write_probeinterface(path, together)
