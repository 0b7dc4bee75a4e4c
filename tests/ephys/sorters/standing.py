"""An environment whose "SpikeInterface" is a few lines, so that the stage's own doings are tried in a second.

Its one sorter takes what is under -60 µV on the first and the last channel of a shank. STANDING="fail:X kill:Y wait:Z"
has it fail, die or wait on the shank whose first sample is that (µV).
"""

import json
import sys
from pathlib import Path

CORE = """
import numpy as np
class BinaryRecordingExtractor:
    def __init__(self, files, sampling_frequency, dtype, num_channels, file_offset, gain_to_uV, offset_to_uV):
        flat = np.memmap(files[0], dtype, "r", file_offset)
        self.data = flat.reshape(-1, num_channels) * gain_to_uV
        self.channel_ids = np.arange(num_channels)
    def select_channels(self, ids):
        self.data = np.asarray(self.data); part = object.__new__(type(self))
        part.data = self.data[:, ids]; part.channel_ids = ids
        return part
    def set_probe(self, probe):
        assert len(probe.positions) == self.data.shape[1]
        return self
    def get_num_samples(self):
        return len(self.data)
"""
SORTERS = """
import os, pathlib, time
import numpy as np
class Sorter:
    @staticmethod
    def get_sorter_version():
        return "7"
sorter_dict = {"mountainsort5": Sorter, "kilosort4": Sorter}
def installed_sorters():
    return list(sorter_dict)
def get_default_sorter_params(name):
    return {"threshold": 60, "nearest_chans": 10}
class Sorting:
    def __init__(self, trains):
        self.trains, self.unit_ids = trains, list(range(len(trains)))
    def get_unit_spike_train(self, unit):
        return self.trains[unit]
def run_sorter(name, recording, folder, verbose, raise_error, threshold=60):
    print("find spikes (no parallelization):  40%|####      | 24/60", flush=True)
    for wish in os.environ.get("STANDING", "").split():
        what, _, first = wish.partition(":")
        if float(recording.data[0, 0]) == float(first):
            if what == "fail": raise RuntimeError("the sorter is unhappy")
            if what == "kill": os.kill(os.getpid(), 9)
            if what == "wait": time.sleep(600)
    trains = []
    for channel in (0, recording.data.shape[1] - 1):
        x = recording.data[:, channel]
        at = np.flatnonzero((x[1:-1] < -threshold) & (x[1:-1] < x[:-2]) & (x[1:-1] <= x[2:])) + 1
        trains.append(at)
    return Sorting(trains)
"""
PROBE = """
class Probe:
    def __init__(self, ndim, si_units): pass
    def set_contacts(self, positions, shapes, shape_params): self.positions = positions
    def set_device_channel_indices(self, indices): pass
"""


def environment(sorters: Path, name: str = "mountainsort5") -> Path:
    """Such an environment, as installed; returns the folder of all."""
    folder = sorters / name
    site = folder / "site"
    for path, text in {
        "spikeinterface/__init__.py": "def set_global_job_kwargs(**said): pass\n",
        "spikeinterface/core.py": CORE, "spikeinterface/sorters.py": SORTERS, "probeinterface.py": PROBE,
        "torch.py": "class cuda:\n    is_available = staticmethod(lambda: False)\n",
    }.items():  # fmt: skip
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    (folder / "bin").mkdir()
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    versions = {"spikeinterface": "0", name: "7"}
    (folder / "installed.json").write_text(json.dumps({"format": "labsched sorter 1", "versions": versions}))
    return sorters
