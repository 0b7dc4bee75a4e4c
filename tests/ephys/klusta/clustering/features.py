"""Features and masks as klusta's detection leaves them, drawn; and KlustaKwik2 itself run on them."""

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Both = NDArray[np.float32]


def features_masks(seed: int, *, spikes: int = 1500, channels: int = 4, units: int = 4, spread: float = 1.0) -> Both:
    """(spikes, 3 * channels, 2): each unit has a place on the shank, and masks that fade to both sides of it."""
    draw = np.random.Generator(np.random.PCG64(seed))
    places = draw.uniform(0, channels - 1, units)
    shapes = draw.normal(0, 3, (units, channels, 3))
    unit = draw.integers(0, units, spikes)
    at = places[unit] + draw.normal(0, 0.3, spikes)
    near = np.clip(1.6 - np.abs(np.arange(channels) - at[:, None]) + draw.normal(0, 0.15, (spikes, channels)), 0, 1)
    near[np.arange(spikes), np.clip(np.rint(at), 0, channels - 1).astype(int)] = 1
    values = shapes[unit] * near[:, :, None] + spread * draw.normal(0, 0.6, (spikes, channels, 3))
    masks = np.repeat(near[:, :, None], 3, axis=2)
    return np.stack([values, masks], axis=-1).reshape(spikes, 3 * channels, 2).astype(np.float32)


def stock(both: Both, seed: int, on: dict[str, Callable[[Any], None]] | None = None, **options: Any) -> Any:
    """KlustaKwik2's KK on these features, seeded; ``on`` are its callbacks by slot. Returns the KK and its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from labsched.ephys.klusta import compat

        compat.apply()
        import klustakwik2
        from klusta.klustakwik import sparsify_features_masks

        klustakwik2.console_log_level("critical")
        random.seed(seed)
        np.random.seed(seed)
        kk = klustakwik2.KK(sparsify_features_masks(both[..., 0], both[..., 1]).to_sparse_data(), num_cpus=1, **options)
        for slot, call in (on or {}).items():
            kk.register_callback(call, slot)
        kk.cluster_mask_starts()
        return kk, (random.getstate(), np.random.get_state()[1:3])
