"""The covariance that a regression is estimated from: within the band of spikes, and without artefacts."""

import numpy as np
from numpy.typing import NDArray

from labsched.ephys import reference
from labsched.ephys.band import Band
from labsched.ephys.chain import Chain
from labsched.ephys.statistics import Statistics
from labsched.ephys.stream import Block, blocks, in_order, spread

Floats = NDArray[np.float64]
#: Hz, where the rate allows it: what a sorter looks at, and what the slow field does not drown.
LOW_HZ, HIGH_HZ = 300.0, 6000.0
#: At most this many blocks are looked at: with 32 channels half a million samples, all over the recording.
SAMPLED_BLOCKS = 64
#: The pieces that are kept or left out, s.
PIECE_S = 0.0256
#: Left out where the median channel has so many times its usual power; never more than half of the pieces.
LOUDEST = 6.0


def band(rate: float) -> Band | None:
    """The band of spikes at a sampling rate (Hz); None where the rate has no such band."""
    high = min(HIGH_HZ, 0.45 * rate)
    return Band(LOW_HZ, high) if high > 2 * LOW_HZ else None


def wanted(method: str, chain: Chain, before: Statistics, *, threads: int = 1) -> Floats:
    """What a reference is estimated from; `before` is of the chain, whose band-pass, where it has one, is kept."""
    within = band(chain.recording.rate)
    if method not in reference.OF_THE_BAND or (chain.filter is None and within is None):
        return before.covariance
    return robust(chain if chain.filter is not None else Chain(chain.recording, within), threads=threads)


def robust(chain: Chain, *, most: int = SAMPLED_BLOCKS, threads: int = 1) -> Floats:
    """Covariance (µV²) of what a chain with a band-pass gives, from the pieces of `most` blocks that are not artefacts.

    An artefact is on all channels, and many times as powerful as what is usual; a spike is on few.
    """
    everything = blocks(chain.recording)
    chosen = [everything[index] for index in sorted(spread(len(everything), most))]
    size = max(1 << round(np.log2(PIECE_S * chain.recording.rate)), 32)

    def work(block: Block) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        x = chain.samples([block]).of(block)[:, : chain.channels]
        whole = len(x) // size
        pieces = x[: whole * size].reshape(whole, size, chain.channels)
        products, counts = np.matmul(pieces.transpose(0, 2, 1), pieces), np.full(whole, size)
        if rest := len(x) - whole * size:
            last = x[whole * size :]
            products, counts = np.concatenate([products, (last.T @ last)[None]]), np.append(counts, rest)
        return products, counts

    made = list(in_order(chosen, work, threads=threads))
    products, counts = (np.concatenate(each) for each in zip(*made, strict=True))
    kept = usual(np.einsum("kcc->kc", products) / counts[:, None])
    total = products[kept].sum(axis=0, dtype=np.float64) / counts[kept].sum()
    return (total + total.T) / 2 * np.outer(chain.units, chain.units)


def usual(powers: NDArray) -> NDArray[np.intp]:
    """Indices of the pieces that are no artefacts, from the power of each (pieces, channels): see `LOUDEST`."""
    typical = np.median(powers, axis=0)
    alive = typical > 0
    if not alive.any():
        return np.arange(len(powers))
    loudness = np.median(powers[:, alive] / typical[alive], axis=1)
    kept = np.flatnonzero(loudness <= LOUDEST)
    if 2 * len(kept) < len(powers):
        kept = np.sort(np.argsort(loudness, kind="stable")[: (len(powers) + 1) // 2])
    return kept
