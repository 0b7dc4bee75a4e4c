"""What runs in a sorter's own environment: ``python foreign.py TASK.json``; it needs but SpikeInterface and numpy.

TASK.json names the sorter, its parameters, the seed, the threads, the recording (a file of samples × channels) and the
shanks with their channels and places. Each shank is sorted alone, as klusta does it, and leaves ``shank-N.npz``
(``samples`` and ``units`` of its spikes) under that name once it is whole; a shank that has one is not sorted again.
Lines that start with ``@`` are for whoever started it.
"""

import ctypes
import json
import os
import random
import shutil
import signal
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path

MISSING = 69
"""Exit code: the sorter, or something that it needs, is not there."""
REFUSED = 70
"""Exit code: the last line is a sentence for people."""
PR_SET_PDEATHSIG = 1
SEEDED = ("spykingcircus2", "tridesclous2")
"""Sorters with a parameter ``seed``; the others draw from the global sources, or not at all."""


def main(task_file):
    """Sort every shank of the task; returns the exit code."""
    task = json.loads(Path(task_file).read_text(encoding="utf-8"))
    die_with(task["parent"])
    warnings.simplefilter("ignore")
    try:
        import numpy as np
        import spikeinterface
        import spikeinterface.sorters as sorters
        from spikeinterface.core import BinaryRecordingExtractor
    except ImportError as error:
        print(f"{task['sorter']} cannot be imported: {error}", flush=True)
        return MISSING
    name = task["sorter"]
    if name not in sorters.installed_sorters():
        print(f"{name} is not whole in {sys.prefix}: SpikeInterface cannot find it there", flush=True)
        return MISSING
    known = sorters.get_default_sorter_params(name)
    if unknown := [key for key in task["parameters"] if key not in known]:
        print(f"{name} has no parameter {unknown[0]}: it has {', '.join(sorted(known))}", flush=True)
        return REFUSED
    if name == "kilosort4" and task["parameters"].get("torch_device", "auto") == "auto":
        import torch

        if not torch.cuda.is_available():
            print("kilosort4 finds no GPU that it can use: give it one, or take another sorter", flush=True)
            return REFUSED
    spikeinterface.set_global_job_kwargs(
        n_jobs=task["threads"], pool_engine="thread", progress_bar=True, chunk_duration="1s"
    )
    tell("versions", json.dumps(versions(name, sorters)))
    recording = opened(BinaryRecordingExtractor, task["recording"])
    for k, shank in enumerate(task["shanks"]):
        out = Path(f"shank-{shank['number']}.npz")
        if out.exists():
            tell("kept", k)
            continue
        tell("shank", k)
        began = time.monotonic()
        np.random.seed(task["seed"] % 2**32)
        random.seed(task["seed"])
        parameters = dict(task["parameters"])
        if name in SEEDED:
            parameters.setdefault("seed", task["seed"])
        part = placed(recording, shank)
        fitted(name, parameters, len(shank["channels"]), known)
        folder = Path(f"run-{shank['number']}")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            samples, units = sort(sorters, name, part, folder, parameters, np)
        except Exception as error:
            if not nothing(folder, error):
                raise
            # every one of them fails where there is nothing to sort, each with another error
            print(
                f"{name} found nothing on shank {shank['number']} and ended with an error ({said(error)})", flush=True
            )
            samples, units = np.zeros(0, np.int64), np.zeros(0, np.int64)
        new = Path(f"{out}.new")
        with new.open("wb") as file:
            np.savez(file, samples=samples, units=units, seconds=time.monotonic() - began)
            file.flush()
            os.fsync(file.fileno())
        new.replace(out)
        shutil.rmtree(folder, ignore_errors=True)
        tell("done", k, len(samples), len(np.unique(units)))
    return 0


def sort(sorters, name, recording, folder, parameters, np):
    """(When each spike was (samples, rising), the unit of each, from 0)."""
    # in its last words is what it said, not the trace of it in a file that is removed
    sorting = sorters.run_sorter(name, recording, folder=str(folder), verbose=True, raise_error=True, **parameters)
    trains = [np.asarray(sorting.get_unit_spike_train(unit), dtype=np.int64) for unit in sorting.unit_ids]
    trains = [np.unique(train) for train in trains if len(train)]
    samples = np.concatenate(trains) if trains else np.zeros(0, np.int64)
    units = np.repeat(np.arange(len(trains)), [len(train) for train in trains]).astype(np.int64)
    inside = (samples >= 0) & (samples < recording.get_num_samples())
    order = np.lexsort((units, samples))
    order = order[inside[order]]
    return samples[order], units[order]


def opened(extractor, said):
    """The whole recording, mapped."""
    return extractor(
        [said["file"]],
        sampling_frequency=said["rate"],
        dtype=said["dtype"],
        num_channels=said["channels"],
        file_offset=said["offset"],
        gain_to_uV=said["gain"],
        offset_to_uV=0,
    )


def placed(recording, shank):
    """The channels of one shank, with their places."""
    import numpy as np
    from probeinterface import Probe

    part = recording.select_channels([recording.channel_ids[k] for k in shank["channels"]])
    probe = Probe(ndim=2, si_units="um")
    probe.set_contacts(positions=shank["positions"], shapes="circle", shape_params={"radius": 5})
    probe.set_device_channel_indices(np.arange(len(shank["channels"])))
    return part.set_probe(probe)


def fitted(name, parameters, channels, known):
    """Lower defaults that are more than the shank has channels."""
    if name == "kilosort4" and channels < known["nearest_chans"]:
        parameters.setdefault("nearest_chans", channels)


def nothing(folder, error):
    """Whether an error of a sorter says no more than that there were no spikes."""
    text = f"{error}"
    signs = (
        "0 peaks found",
        "No peaks",
        "no peaks",
        "No spikes",
        "no spikes",
        "0 spikes",
        "No templates",
        "no clusters",
    )
    return any(sign in text for sign in signs)


def said(error):
    """Its last line."""
    return (" ".join(f"{error}".strip().splitlines()[-1:]) or type(error).__name__)[:200]


def versions(name, sorters):
    """Of the sorter, and of what it stands on."""
    found = {
        "python": ".".join(map(str, sys.version_info[:3])),
        name: str(sorters.sorter_dict[name].get_sorter_version()),
    }
    for package in ("spikeinterface", "numpy", "scipy", "numba", "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def tell(word, *rest):
    """A line for whoever started us."""
    print("@", word, *rest, flush=True)


def die_with(parent):
    """Have the kernel end us when our parent ends, however it does."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
