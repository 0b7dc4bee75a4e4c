"""good, mua or noise: what thresholds make of a unit's metrics (docs/quality-metrics.md says why these)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Threshold:
    """A metric, the least or the most that it may be, and which label a unit gets that fails."""

    metric: str
    least: float | None = None
    most: float | None = None

    def fails(self, value: float | None) -> bool:
        """Whether a value is out of bounds; one that could not be computed is not."""
        if value is None:
            return False
        return (self.least is not None and value < self.least) or (self.most is not None and value > self.most)

    def says(self, value: Any) -> str:
        """In words: ``snr 2.1 < 3``."""
        bound, sign = (self.least, "<") if self.least is not None else (self.most, ">")
        return f"{self.metric} {value:.3g} {sign} {bound:g}"


#: A cluster that fails one of these is no neuron's.
NOISE = (Threshold("snr", least=2.0),)
#: One that fails none of those, but one of these, is several neurons', or a neuron's in part.
GOOD = (
    Threshold("num_spikes", least=50),
    Threshold("snr", least=4.0),
    Threshold("isi_violations_ratio", most=0.5),
    Threshold("rp_contamination", most=0.2),
    Threshold("presence_ratio", least=0.8),
    Threshold("amplitude_cutoff", most=0.1),
    Threshold("nn_hit_rate", least=0.7),
)


def label(metrics: Mapping[str, Any], special: str = "") -> tuple[str, list[str]]:
    """(good, mua or noise; which thresholds a unit failed). ``special`` are klusta's own clusters of noise and mua."""
    if special:
        return special, [f"klusta's cluster of {'noise' if special == 'noise' else 'multi-unit activity'}"]
    for word, thresholds in (("noise", NOISE), ("mua", GOOD)):
        failed = [each.says(metrics[each.metric]) for each in thresholds if each.fails(metrics.get(each.metric))]
        if failed:
            return word, failed
    return "good", []
