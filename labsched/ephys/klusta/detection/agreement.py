"""Whether the compiled loops give klusta's bits with the numpy, scipy and processor at hand, tried on some noise."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .chunks import Chunk, Finder
from .filtering import Thresholds, filtered
from .settings import settings
from .traces import Part, Traces

CHANNELS = {0: [2, 0, 1], 1: [4, 3]}
TOUCHING = {0: {1, 2}, 1: {0, 2}, 2: {0, 1}, 3: {4}, 4: {3}}
SAMPLES = 700


def disagreement(params: Mapping[str, Any]) -> str:
    """What differs from klusta's own functions, under these parameters; empty where nothing does."""
    from klusta.traces import SpikeDetekt

    tried = {**params, "probe_channels": CHANNELS, "probe_adjacency_list": TOUCHING}
    draw = np.random.Generator(np.random.PCG64(1))
    raw = np.rint(200 * draw.standard_normal((SAMPLES, 6))).astype(np.int16)
    chunk = Chunk(0, SAMPLES, SAMPLES // 10, SAMPLES - SAMPLES // 10)
    mine = settings(tried, raw.shape[1])
    levels = Thresholds(np.float64(150.1), np.float64(320.3))
    theirs = SpikeDetekt(**{**tried, "probe_adjacency_list": dict(TOUCHING)})
    clean = theirs.apply_filter(raw)
    if not np.array_equal(clean, filtered(raw, mine)):
        return "the filter"
    both = {"weak": levels.weak, "strong": levels.strong}
    components = theirs.detect(clean, thresholds=both)
    split = theirs.extract_spikes(components, clean, both, (chunk.low, chunk.high), 0)
    found = Finder(Traces((Part("", 0, raw.shape, raw.dtype, held=raw),)), mine, levels).find(chunk)
    if len(components) != len(found.times) or set(split) != set(found.groups):
        return "the components"
    for number, group in found.groups.items():
        want = split[number]
        for what, got in (
            ("spike_samples", found.times[group.components]),
            ("masks", group.masks),
            ("waveforms", group.waveforms),
        ):
            if not np.array_equal(want[what], got):
                return f"the {what.replace('_', ' ')}"
    return ""
