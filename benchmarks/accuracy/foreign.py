"""Peers, as their documentation runs them: ``foreign.py NAME given.npz got.npy``, in the peers' own interpreter.

given.npz: x (channels, samples; µV), rate (Hz), sites (channels, 2; µm).
"""

import sys

import numpy as np


def spikeinterface(x, rate, operator):
    """Band-pass (300 to 6000 Hz, its default), then a common reference over all channels."""
    from spikeinterface.core import NumpyRecording
    from spikeinterface.preprocessing import bandpass_filter, common_reference

    recording = NumpyRecording([np.ascontiguousarray(x.T)], sampling_frequency=rate)
    recording = bandpass_filter(recording, freq_min=300.0, freq_max=6000.0)
    recording = common_reference(recording, reference="global", operator=operator)
    return recording.get_traces(return_in_uV=False).T


def ibl(x, rate, sites):
    """destripe with its defaults, over all channels, which were sampled at once: high-pass, k-filter.

    The k-filter needs more channels than a tetrode has: there it is destripe's other choice, the common median.
    """
    from ibldsp.voltage import destripe

    header = {"sample_shift": np.zeros(len(x)), "x": sites[:, 0], "y": sites[:, 1], "shank": np.zeros(len(x))}
    size, margin, got = 1 << 16, 1 << 10, np.empty_like(x)
    for start in range(0, x.shape[1], size):
        low, high = max(start - margin, 0), min(start + size + margin, x.shape[1])
        piece = destripe(
            x[:, low:high].astype(np.float64) * 1e-6, rate, h=header, neuropixel_version=None, k_filter=len(x) >= 8
        )
        stop = min(start + size, x.shape[1])
        got[:, start:stop] = piece[:, start - low : stop - low] * 1e6
    return got


def main():
    """Run one of them."""
    name, given, got = sys.argv[1:]
    data = np.load(given)
    x, rate = data["x"], float(data["rate"])
    if name == "ibl":
        y = ibl(x, rate, data["sites"])
    else:
        y = spikeinterface(x, rate, {"si_median": "median", "si_mean": "average"}[name])
    np.save(got, np.asarray(y, dtype=np.float32))


if __name__ == "__main__":
    main()
