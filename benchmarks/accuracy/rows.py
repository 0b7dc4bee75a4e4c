"""What is compared: each row turns a recording into what klusta gets. µV, float32, (channels, samples)."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

Traces = NDArray[np.float32]
BAND_HZ = (300.0, 6000.0)

#: Rows by name, in the table's order; the first and the last two are no peers.
TITLES = {
    "clean": "clean: no common noise was added",
    "raw": "raw: nothing is done",
    "si_median": "SpikeInterface: band-pass, median reference",
    "si_mean": "SpikeInterface: band-pass, mean reference",
    "ibl": "IBL destripe",
    "lab_mean": "lab: mean of the others",
    "lab_weighted": "lab: regression on the others",
    "band_weighted": "band-pass, then regression on the others",
    "labsched": "labsched",
}
PEERS = ("raw", "si_median", "si_mean", "ibl", "lab_mean", "lab_weighted", "band_weighted")
#: Those that run in the peers' own virtual environment.
FOREIGN = ("si_median", "si_mean", "ibl")


def lab_mean(x: Traces, rate: float) -> Traces:
    """The mean of the other channels is subtracted."""
    n = len(x)
    return x if n == 1 else (x - (x.sum(axis=0) - x) / np.float32(n - 1)).astype(np.float32)


def lab_weighted(x: Traces, rate: float) -> Traces:
    """Each channel less its linear regression on all the others."""
    x = x - x.mean(axis=1, keepdims=True)
    product = (x @ x.T).astype(np.float64)
    result = np.empty_like(x)
    for channel in range(len(x)):
        others = np.delete(np.arange(len(x)), channel)
        weights = np.linalg.lstsq(product[np.ix_(others, others)], product[others, channel], rcond=1e-9)[0]
        result[channel] = x[channel] - weights.astype(np.float32) @ x[others]
    return result


def band_weighted(x: Traces, rate: float) -> Traces:
    """The same after a band-pass of 300 to 6000 Hz (Butterworth of order 3, forth and back)."""
    sos = butter(3, BAND_HZ, "bandpass", fs=rate, output="sos")
    return lab_weighted(sosfiltfilt(sos, x, axis=1).astype(np.float32), rate)


def raw(x: Traces, rate: float) -> Traces:
    """As it is."""
    return x


HERE: dict[str, Callable[[Traces, float], Traces]] = {
    "raw": raw, "lab_mean": lab_mean, "lab_weighted": lab_weighted, "band_weighted": band_weighted
}  # fmt: skip


def foreign(python: Path, name: str, x: Traces, rate: float, sites: NDArray[np.float64], folder: Path) -> Traces:
    """What a peer makes of it, in its own interpreter; RuntimeError with the end of what it said where it fails."""
    given, got = folder / "given.npz", folder / "got.npy"
    np.savez(given, x=x, rate=rate, sites=sites)
    done = subprocess.run(
        [python, Path(__file__).with_name("foreign.py"), name, given, got], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{TITLES[name]} failed: {done.stderr[-800:]}")
    result: Traces = np.load(got)
    for path in (given, got):
        path.unlink()
    return result
