"""What detection goes by: klusta's parameters and the probe, brought into the shape that the loops take."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...kernels.spikes import MODES, Doubles, Graph, Ints


@dataclass(frozen=True)
class Settings:
    """Everything but the thresholds and the samples."""

    b: Doubles
    a: Doubles
    zi: Doubles
    mode: int
    graph: Graph
    live: np.ndarray
    group_of: Ints
    columns: Mapping[int, Ints]
    join: int
    before: int
    after: int
    weight_power: Any
    chunk: int
    overlap: int
    excerpts: int
    excerpt: int
    single: bool
    factors: tuple[float, float]
    features: int
    waveforms_max: int

    @property
    def edge(self) -> int:
        """By so many samples `scipy.signal.filtfilt` extends what it filters, and more it must have."""
        return 3 * len(self.b)

    @property
    def groups(self) -> list[int]:
        """The shanks' numbers, rising."""
        return sorted(self.columns)


def settings(params: Mapping[str, Any], n_channels: int) -> Settings:
    """From klusta's parameters as its .kwik has them, the probe's channels and graph among them.

    Raises ValueError where the probe names a channel that the data does not have.
    """
    from klusta.traces.filter import bandpass_filter
    from scipy.signal import lfilter_zi

    rate = params["sample_rate"]
    b, a = bandpass_filter(
        rate=rate,
        low=params["filter_low"],
        high=params["filter_high_factor"] * rate,
        order=params["filter_butter_order"],
    )
    groups = {int(group): [int(c) for c in channels] for group, channels in params["probe_channels"].items()}
    graph = params["probe_adjacency_list"]
    live = {channel for channels in groups.values() for channel in channels}
    if beyond := sorted(c for c in live.union(graph, *graph.values()) if not 0 <= c < n_channels):
        raise ValueError(f"the probe names channel {beyond[0]}, but the data has {n_channels} channels")
    mask = np.zeros(n_channels, bool)
    mask[sorted(live)] = True
    group_of = np.full(n_channels, -1, np.int32)
    for group, channels in groups.items():
        group_of[channels] = group
    return Settings(
        b=b,
        a=a,
        zi=lfilter_zi(b, a),
        mode=MODES[params["detect_spikes"]],
        graph=_graph(graph, live, n_channels),
        live=mask,
        group_of=group_of,
        columns={group: np.array(channels, np.int32) for group, channels in groups.items()},
        join=int(params["connected_component_join_size"] or 0),
        before=int(params["extract_s_before"]),
        after=int(params["extract_s_after"]),
        weight_power=params["weight_power"],
        chunk=int(params["chunk_size_seconds"] * rate),
        overlap=int(params["chunk_overlap_seconds"] * rate),
        excerpts=int(params["n_excerpts"]),
        excerpt=int(params["excerpt_size_seconds"] * rate),
        single=bool(params["use_single_threshold"]),
        factors=(params["threshold_weak_std_factor"], params["threshold_strong_std_factor"]),
        features=int(params["n_features_per_channel"]),
        waveforms_max=int(params["pca_n_waveforms_max"]),
    )


def _graph(adjacency: Mapping[int, Any], live: set[int], n_channels: int) -> Graph:
    """Each channel's neighbours and itself, in the order in which Python goes through klusta's sets of them.

    That order decides which component keeps its name when two meet, and so which spike comes first: the sets are
    therefore built by the same steps as klusta's.
    """
    near: list[int] = []
    first = [0]
    for channel in range(n_channels):
        touching = adjacency.get(channel) or ({channel} if channel in live else None)
        if touching is not None:
            near += set(touching).union([channel])
        first.append(len(near))
    return Graph(np.array(first, np.int32), np.array(near, np.int32))
