"""SpikeInterface's bad channels, in the peers' own virtual environment: a path of a case a line in, a line of JSON out.

    .bench/peers/bin/python benchmarks/channels/peers.py

Run as its documentation says, on the recording as it is: it filters by itself.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np

METHODS = ("coherence+psd", "std", "mad")


def main() -> int:
    """Answer until nobody asks any more."""
    warnings.simplefilter("ignore")
    import probeinterface
    from spikeinterface.core import NumpyRecording
    from spikeinterface.preprocessing import detect_bad_channels

    for line in sys.stdin:
        with np.load(Path(line.strip())) as case:
            bits, rate, gain = case["bits"], float(case["rate"]), float(case["gain"])
            recording = NumpyRecording(bits.T, rate)
            recording.set_channel_gains(gain)
            recording.set_channel_offsets(0)
            probe = probeinterface.Probe(ndim=2, si_units="um")
            probe.set_contacts(positions=case["positions"], shapes="circle", shape_params={"radius": 7.5})
            probe.set_device_channel_indices(np.arange(len(bits)))
            recording = recording.set_probe(probe) or recording  # some versions change it in place
        found = {}
        for method in METHODS:
            try:
                ids, _ = detect_bad_channels(recording, method=method, seed=0)
                found[method] = [int(each) for each in ids]
            except Exception as error:
                found[method] = f"{type(error).__name__}: {error}"
        print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
