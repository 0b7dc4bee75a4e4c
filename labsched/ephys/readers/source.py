"""What the headers of a block say: the noun that every reader gives."""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from labsched.ephys.errors import EphysError
from labsched.ephys.probes import Rig
from labsched.ephys.recording import Segment, listed

#: opener(kept, scratch, stack) -> the segments, with these channels in this order; all stays open until `stack` closes.
Opener = Callable[[Sequence[str], Path | None, ExitStack], tuple[Segment, ...]]


@dataclass(frozen=True)
class Source:
    """What the headers of a block say, and nothing of its samples.

    `labels` are all its waveform channels and `kept` those that stay, both in natural order; `n_samples` is per
    channel (gaps not counted), `n_bytes` the size of its files, `unpacked` how much of a disk is taken while it is
    read; `sampler`, where it is there, opens some files only, spread over the block, where all would be long work.
    `stream` is what the format calls this group of channels, where it has several; `wiring` is where they lie,
    where the format says so.
    """

    path: Path
    files: tuple[Path, ...]
    format: str
    labels: tuple[str, ...]
    kept: tuple[str, ...]
    omitted: tuple[str, ...]
    rate: float
    n_samples: int
    n_bytes: int
    gain_known: bool
    notes: tuple[str, ...]
    opener: Opener
    unpacked: int = 0
    sampler: Opener | None = None
    stream: str = ""
    wiring: Rig | None = None


def one_rate(path: Path, rates: Collection[tuple[str, float]]) -> float:
    """The rate (Hz) that all share, from (label, rate) pairs. Raises EphysError naming two that differ."""
    (first, rate), *others = rates
    for label, other in others:
        if abs(other - rate) > 1e-6 * rate:
            raise EphysError(
                f"channels of {path} have different sampling rates: {first} {rate:g} Hz, {label} {other:g} Hz: omit "
                "those of one rate, or choose with --stream"
            )
    return rate


def no_stream(path: Path, wanted: str, names: Collection[str]) -> EphysError:
    """The sentence where there is no such stream."""
    has = f"it has {listed(names)}" if names else "this format has none to choose from"
    return EphysError(f"{path} has no stream {wanted!r}: {has}")
