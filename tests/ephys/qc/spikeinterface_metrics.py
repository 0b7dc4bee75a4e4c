"""What SpikeInterface makes of a sorted block of tests: run by the Python of the peers (`make bench-peers`).

    PEERS/python tests/ephys/qc/spikeinterface_metrics.py FOLDER NAME FEATURES.npz > metrics.json

FOLDER is one of `blocks.block`; FEATURES.npz has of each unit ``ours`` gives to its own formulas: features and places.
"""

import json
import math
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np

warnings.simplefilter("ignore")

RATE, GAIN = 10_000.0, 0.25


def main(folder: Path, name: str, features: Path) -> None:
    import spikeinterface as si
    import spikeinterface.preprocessing as spre
    from probeinterface import Probe
    from spikeinterface.metrics.quality import compute_quality_metrics
    from spikeinterface.metrics.quality.pca_metrics import (
        d_prime_metric,
        mahalanobis_metrics,
        nearest_neighbors_metrics,
        simplified_silhouette_score,
    )

    trains, positions = {}, []
    given = np.load(features)
    with h5py.File(folder / f"{name}.kwik") as file:
        for shank, group in file["channel_groups"].items():
            positions += [group[f"channels/{k}"].attrs["position"] for k in group.attrs["channel_order"]]
            samples, clusters = group["spikes/time_samples"][...].astype(int), group["spikes/clusters/main"][...]
            for k in np.unique(clusters):
                trains[f"{shank}.{k}"] = np.sort(samples[clusters == k])
    recording = si.BinaryRecordingExtractor(
        folder / f"{name}.dat", RATE, "int16", len(positions), gain_to_uV=GAIN, offset_to_uV=0.0
    )
    probe = Probe(ndim=2)
    probe.set_contacts(np.array(positions), shapes="circle", shape_params={"radius": 5})
    probe.set_device_channel_indices(np.arange(len(positions)))
    recording.set_probe(probe)
    band = spre.bandpass_filter(recording, 500.0, 0.475 * RATE, dtype="float32", filter_order=3)
    sorting = si.NumpySorting.from_unit_dict([trains], RATE)
    analyzer = si.create_sorting_analyzer(
        sorting, band, sparse=False, format="memory", peak_sign="neg", peak_mode="extremum"
    )
    analyzer.compute("random_spikes", method="all")
    for each in ("waveforms", "templates", "noise_levels", "spike_amplitudes"):
        analyzer.compute(each)
    analyzer.compute("spike_locations", method="center_of_mass")
    # the formula for drift is compared, not the way in which spikes are located
    vector = analyzer.sorting.to_spike_vector()
    located = analyzer.get_extension("spike_locations").data["spike_locations"]
    for index, unit in enumerate(analyzer.unit_ids):
        located["y"][vector["unit_index"] == index] = given[f"places {unit}"]
    names = (
        "num_spikes firing_rate presence_ratio snr isi_violation rp_violation sliding_rp_violation amplitude_cutoff "
        "amplitude_median amplitude_cv firing_range drift sd_ratio"
    )
    found = compute_quality_metrics(analyzer, metric_names=names.split(), skip_pc_metrics=True)
    table = {unit: {key: plain(value) for key, value in row.items()} for unit, row in found.to_dict("index").items()}
    for unit in analyzer.unit_ids:
        x, labels = given[f"features {unit}"], given[f"labels {unit}"]
        own = int(unit.split(".")[1])
        distance, ratio = mahalanobis_metrics(x, labels, own)
        hit, miss = nearest_neighbors_metrics(x, labels, own, 10_000, 5)
        values = {
            "isolation_distance": distance,
            "l_ratio": ratio,
            "d_prime": abs(d_prime_metric(x, labels, own)),
            "silhouette": simplified_silhouette_score(x, labels, own),
            "nn_hit_rate": hit,
            "nn_miss_rate": miss,
        }
        table[unit] |= {key: plain(value) for key, value in values.items()}
    print(json.dumps({"spikeinterface": si.__version__, "units": table}, indent=1))


def plain(value: float) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.9g}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
