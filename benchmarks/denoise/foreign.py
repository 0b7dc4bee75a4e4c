"""``foreign.py NAME [N_JOBS] FILE CHANNELS RATE GAIN OUT``: a peer, as its documentation runs it on one machine."""

import shutil
import sys
from pathlib import Path

import numpy as np


def spikeinterface(file, channels, rate, gain, out, jobs, shifted):
    """Band-pass of 300 to 6000 Hz, then the common median; with `shifted`, realignment before (its phase_shift)."""
    from spikeinterface.core import read_binary
    from spikeinterface.preprocessing import bandpass_filter, common_reference, phase_shift

    recording = read_binary(
        file, sampling_frequency=rate, dtype="int16", num_channels=channels, gain_to_uV=gain, offset_to_uV=0
    )
    if shifted:
        recording = phase_shift(recording, inter_sample_shift=np.arange(channels) / channels)
    recording = bandpass_filter(recording, freq_min=300.0, freq_max=6000.0)
    recording = common_reference(recording, reference="global", operator="median")
    shutil.rmtree(out, ignore_errors=True)
    recording.save(folder=out, format="binary", n_jobs=jobs, chunk_duration="1s", progress_bar=False)


def ibl(file, channels, rate, gain, out):
    """destripe with its defaults (high-pass, k-filter), in pieces that overlap."""
    from ibldsp.voltage import destripe

    header = {"sample_shift": np.zeros(channels), "x": np.zeros(channels), "y": np.arange(channels) * 20.0}
    header["shank"] = np.zeros(channels)
    data = np.memmap(file, "<i2", "r").reshape(-1, channels)
    size, margin, bit = 1 << 16, 1 << 10, gain * 1e-6
    with Path(out).open("wb") as target:
        for start in range(0, len(data), size):
            low, high = max(start - margin, 0), min(start + size + margin, len(data))
            piece = destripe(data[low:high].T * bit, rate, h=header, neuropixel_version=None)
            piece = piece[:, start - low : min(start + size, len(data)) - low]
            target.write(np.rint(piece.T / bit).clip(-32768, 32767).astype("<i2").tobytes())


def main():
    """Run one of them."""
    name, *jobs, file, channels, rate, gain, out = sys.argv[1:]
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    Path(out).unlink(missing_ok=True)
    if name == "ibl":
        ibl(file, int(channels), float(rate), float(gain), out)
    else:
        spikeinterface(file, int(channels), float(rate), float(gain), out, int(jobs[0]), name == "shifted")


if __name__ == "__main__":
    main()
