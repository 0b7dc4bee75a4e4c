"""Run with a Python that has SpikeInterface and pynwb: ``peer.py write FOLDER`` saves recordings with these libraries
themselves, ``peer.py read FOLDER...`` tells what SpikeInterface makes of folders, as JSON."""

import json
import sys
from pathlib import Path

import numpy as np


def write(folder: Path) -> None:
    import spikeinterface.core as si
    from probeinterface import Probe, ProbeGroup

    random = np.random.default_rng(0)
    data = [random.integers(-500, 500, (n, 6)).astype("int16") for n in (30000, 12000)]
    np.save(folder / "truth.npy", np.concatenate(data).T)
    ids = ["e5", "e4", "e3", "e2", "e1", "e0"]
    recording = si.NumpyRecording(data, 25000.0, channel_ids=ids, t_starts=[0.0, 10.0])
    recording.set_channel_gains([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    recording.set_channel_offsets([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    probe = Probe(ndim=2, si_units="um")
    places = [[0.0, 25.0 * (k % 3) + 200.0 * (k // 3)] for k in range(6)]
    probe.set_contacts(places, shapes="circle", shape_params={"radius": 5}, shank_ids=[str(k // 3) for k in range(6)])
    probe.set_device_channel_indices(np.arange(6))
    group = ProbeGroup()
    group.add_probe(probe)
    recording = recording.set_probegroup(group) or recording
    quiet = {"progress_bar": False, "n_jobs": 1, "chunk_size": 7000}
    recording.save(folder=folder / "binary", **quiet)
    recording.save(folder=folder / "zarr.zarr", format="zarr", **quiet)
    scaled = si.NumpyRecording([data[0].astype("float32") * np.float32(0.5)], 25000.0, channel_ids=ids)
    scaled.set_channel_gains(1.0)
    scaled.set_channel_offsets(0.0)
    scaled.save(folder=folder / "float", **quiet)
    _nwb(folder, data[0])


def _nwb(folder: Path, data: np.ndarray) -> None:
    from datetime import UTC, datetime

    from pynwb import NWBHDF5IO, H5DataIO, NWBFile
    from pynwb.ecephys import LFP, ElectricalSeries

    file = NWBFile("d", "id", datetime(2024, 1, 1, tzinfo=UTC))
    device = file.create_device("probe")
    groups = [file.create_electrode_group(f"shank{k}", "d", "CA1", device) for k in range(2)]
    file.add_electrode_column("channel_name", "the channel's name")
    for k in range(6):
        file.add_electrode(
            group=groups[k // 3], location="CA1", rel_x=0.0, rel_y=25.0 * (k % 3), channel_name=f"AD{k}",
        )  # fmt: skip
    rows = file.create_electrode_table_region(list(range(6)), "all")
    wide = ElectricalSeries(
        name="Wide", data=H5DataIO(data, compression="gzip", chunks=(5000, 3)), electrodes=rows, starting_time=2.0,
        rate=25000.0, conversion=0.2e-6, offset=1e-6,
    )  # fmt: skip
    file.add_acquisition(wide)
    stamps = np.arange(1000) / 1250.0
    stamps[600:] += 3.0
    low = ElectricalSeries(name="LFP", data=data[:1000, :2], timestamps=stamps, conversion=1e-6,
                           electrodes=file.create_electrode_table_region([4, 1], "two"))  # fmt: skip
    file.create_processing_module("ecephys", "d").add(LFP(electrical_series=low))
    with NWBHDF5IO(str(folder / "made.nwb"), "w") as io:
        io.write(file)


def read(folders: list[str]) -> None:
    import spikeinterface.core as si

    found = []
    for each in folders:
        recording = si.load(each)
        probe = recording.get_probegroup()
        found.append(
            {
                "ids": [str(each) for each in recording.channel_ids],
                "rate": recording.sampling_frequency,
                "samples": recording.get_total_samples(),
                "gains": recording.get_channel_gains().tolist(),
                "offsets": recording.get_channel_offsets().tolist(),
                "dtype": str(recording.get_dtype()),
                "groups": [int(each) for each in recording.get_channel_groups()],
                "places": recording.get_channel_locations().tolist() if probe is not None else None,
                "head": recording.get_traces(start_frame=0, end_frame=50).T.tolist(),
                "tail": recording.get_traces(start_frame=recording.get_total_samples() - 50).T.tolist(),
                "annotations": {key: recording.get_annotation(key) for key in ("omitted_channels", "reference")},
            }
        )
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]))
    else:
        read(sys.argv[2:])
