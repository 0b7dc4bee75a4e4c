"""The band-pass: Butterworth, forwards and backwards, so that no spike is moved; the same for every channel.

Designed here, in thirty lines (Oppenheim & Schafer, Discrete-Time Signal Processing, 7.2: analogue prototype, low-pass
to band-pass, bilinear transform), because scipy.signal takes 0.8 s and 80 MB to import, which is as much as the whole
de-noising of some minutes takes.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError

ORDER = 3
#: What of a block's surroundings is not seen weighs less than this, as a part of an impulse's response.
FORGOTTEN = 1e-6


@dataclass(frozen=True)
class Band:
    """Frequencies (Hz) between which a signal passes."""

    low: float
    high: float


@dataclass(frozen=True)
class Filter:
    """A band-pass as `kernels.zero_phase` takes it; `margin`: samples needed on either side."""

    sos: NDArray[np.float32]
    zi: NDArray[np.float32]
    margin: int


def parse(text: str) -> Band | None:
    """``LOW,HIGH`` in Hz, or ``none``. Raises EphysError for anything else."""
    if text.strip().casefold() in ("none", "off", ""):
        return None
    try:
        low, high = (float(each) for each in text.split(","))
    except ValueError:
        raise EphysError(f"a band is LOW,HIGH in Hz, such as 300,6000, or none; not {text!r}") from None
    if not 0 < low < high < math.inf:
        raise EphysError(f"a band is from a lower to a higher frequency (Hz), more than 0; not {text!r}")
    return Band(low, high)


def check(band: Band | None, rate: float) -> None:
    """Raises EphysError for a band that a recording of this rate (Hz) does not have."""
    if band is None:
        return
    if band.high >= 0.499 * rate:
        raise EphysError(
            f"the band ends at {band.high:g} Hz, and a recording of {rate:g} Hz has nothing above {rate / 2:g} Hz: "
            f"let it end at {0.45 * rate:.0f} Hz or lower"
        )
    if band.low < 1e-3 * rate:
        raise EphysError(
            f"the band begins at {band.low:g} Hz, which is too low to be filtered at {rate:g} Hz: "
            f"let it begin at {1e-3 * rate:g} Hz or higher"
        )


def sections(band: Band, rate: float, order: int = ORDER) -> NDArray[np.float64]:
    """The band-pass as `order` second-order sections (b0 b1 b2 a1 a2), those with the fastest poles first."""
    low, high = (2 * rate * math.tan(math.pi * each / rate) for each in (band.low, band.high))
    half, centre = (high - low) / 2, low * high
    prototype = np.exp(1j * np.pi * (2 * np.arange(order) + order + 1) / (2 * order)) * half
    root = np.sqrt(prototype**2 - centre + 0j)
    analogue = np.concatenate([prototype + root, prototype - root])
    poles = (2 * rate + analogue) / (2 * rate - analogue)
    real = np.sort(poles[np.abs(poles.imag) < 1e-9].real)
    pairs = [(2 * p.real, abs(p) ** 2) for p in poles if p.imag >= 1e-9]
    # A wide band has two real poles, one near each end of it.
    pairs += [(a + b, a * b) for a, b in zip(real[: len(real) // 2], real[len(real) // 2 :][::-1], strict=True)]
    pairs.sort(key=lambda pair: pair[1])
    middle = np.exp(2j * math.atan(math.sqrt(centre) / (2 * rate)))
    made = []
    for total, product in pairs:
        a1, a2 = -total, product
        gain = abs((1 - middle**-2) / (1 + a1 * middle**-1 + a2 * middle**-2))
        made.append([1 / gain, 0.0, -1 / gain, a1, a2])
    return np.array(made)


def design(band: Band, rate: float) -> Filter:
    """The filter for a sampling rate (Hz). Raises EphysError as `check` does."""
    check(band, rate)
    sos = sections(band, rate)
    # As scipy.signal.sosfilt_zi: the states under which a constant 1 has been there for ever; no section but the
    # first gets any of it.
    zi, level = [], 1.0
    for b0, b1, b2, a1, a2 in sos:
        out = level * (b0 + b1 + b2) / (1 + a1 + a2)
        zi.append([out - b0 * level, b2 * level - a2 * out])
        level = out
    slowest = max(np.abs(np.roots([1, a1, a2])).max() for *_, a1, a2 in sos)
    margin = math.ceil(math.log(FORGOTTEN) / math.log(slowest))
    return Filter(np.ascontiguousarray(sos, dtype=np.float32), np.array(zi, dtype=np.float32), margin)
