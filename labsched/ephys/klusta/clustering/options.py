"""KlustaKwik2's options as a clustering uses them, from what the .kwik holds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Options:
    """KlustaKwik2 0.2.6's options and defaults; labsched.ephys.klusta.params says what each means."""

    prior_point: float = 1
    mua_point: float = 2
    noise_point: float = 1
    points_for_cluster_mask: float = 100
    penalty_k: float = 0.0
    penalty_k_log_n: float = 1.0
    max_iterations: float = 1000
    num_starting_clusters: int = 500
    use_noise_cluster: bool = True
    use_mua_cluster: bool = True
    num_changed_threshold: float = 0.05
    full_step_every: int = 1
    split_first: int = 20
    split_every: int = 40
    max_possible_clusters: int = 1000
    dist_thresh: float = math.log(10000.0)
    max_quick_step_candidates: int = 100000000
    max_quick_step_candidates_fraction: float = 0.4
    always_split_bimodal: bool = False
    subset_break_fraction: float = 0.01
    break_fraction: float = 0.0
    fast_split: bool = False
    max_split_iterations: float | None = None
    consider_cluster_deletion: bool = True
    num_cpus: int | None = None

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "Options":
        """Raises ValueError, as KlustaKwik2 does, for an option that it does not have."""
        known = {each.name for each in fields(cls)}
        for name in table:
            if name not in known:
                raise ValueError(f"There is no parameter {name}")
        return cls(**table)
