"""klusta's parameters: every option with its default, checked, from settings a person types to a .prm file."""

import difflib
import math
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

from ..errors import EphysError


def _option(
    default: Any, says: str, low: float | None = None, high: float | None = None, among: tuple[str, ...] = ()
) -> Any:
    return field(default=default, metadata={"says": says, "low": low, "high": high, "among": among})


@dataclass(frozen=True)
class SpikeDetekt:
    """Detection: the section ``spikedetekt``. The defaults are klusta 3.0.16's own."""

    filter_low: float = _option(500.0, "band-pass, low corner, Hz", 0.0)
    filter_high_factor: float = _option(0.95 * 0.5, "band-pass, high corner, as a part of the rate", 0.0, 0.499)
    filter_butter_order: int = _option(3, "order of the Butterworth filter (run forth and back)", 1, 16)
    chunk_size_seconds: float = _option(1.0, "detection goes through the data in chunks of this length, s", 0.05)
    chunk_overlap_seconds: float = _option(0.015, "overlap of two chunks, s", 0.0)
    n_excerpts: int = _option(50, "the threshold is found on this many excerpts", 2)
    excerpt_size_seconds: float = _option(1.0, "length of an excerpt, s", 0.01)
    use_single_threshold: bool = _option(True, "one threshold for all channels; False: one for each channel")
    threshold_strong_std_factor: float = _option(4.5, "a spike must exceed this many standard deviations", 0.0)
    threshold_weak_std_factor: float = _option(2.0, "and spreads to samples and channels that exceed this many", 0.0)
    detect_spikes: str = _option("negative", "sign of a spike's peak", among=("negative", "positive", "both"))
    connected_component_join_size: int = _option(1, "crossings this many samples apart are one spike", 0)
    extract_s_before: int = _option(10, "waveform: samples before the peak", 1)
    extract_s_after: int = _option(10, "waveform: samples after the peak", 1)
    weight_power: float = _option(2, "power of the amplitudes that weigh the time of a spike", 0.0)
    n_features_per_channel: int = _option(3, "principal components for each channel", 1)
    pca_n_waveforms_max: int = _option(10000, "principal components are found on at most this many waveforms", 10)


@dataclass(frozen=True)
class KlustaKwik2:
    """Clustering: the section ``klustakwik2``. The defaults are klustakwik2 0.2.6's own."""

    prior_point: float = _option(1, "prior weight of each cluster, in points", 0)
    mua_point: float = _option(2, "prior weight of the multi-unit cluster, in points", 0)
    noise_point: float = _option(1, "prior weight of the noise cluster, in points", 0)
    points_for_cluster_mask: float = _option(100, "points that a cluster's unmasked features need", 0)
    penalty_k: float = _option(0.0, "penalty for a cluster, AIC part", 0)
    penalty_k_log_n: float = _option(1.0, "penalty for a cluster, BIC part", 0)
    max_iterations: int = _option(1000, "stop after this many iterations", 1)
    num_starting_clusters: int = _option(500, "clusters to start from", 3)
    use_noise_cluster: bool = _option(True, "keep cluster 0 for noise")
    use_mua_cluster: bool = _option(True, "keep cluster 1 for multi-unit activity")
    num_changed_threshold: float = _option(0.05, "a full step follows once this part of the points changed", 0, 1)
    full_step_every: int = _option(1, "every how many steps all points are looked at", 1)
    split_first: int = _option(20, "try the first splits after this many iterations", 0)
    split_every: int = _option(40, "and again every this many", 1)
    max_possible_clusters: int = _option(1000, "never more clusters than this", 3)
    dist_thresh: float = _option(math.log(10000.0), "a quick step looks at clusters this close in log likelihood", 0)
    max_quick_step_candidates: int = _option(100_000_000, "memory bound of quick steps (760 MB at the default)", 1)
    max_quick_step_candidates_fraction: float = _option(0.4, "and as a part of all pairs", 0, 1)
    always_split_bimodal: bool = _option(False, "split a cluster whose features are bimodal, whatever the score")
    subset_break_fraction: float = _option(0.01, "a subset has converged when this part of the points changes", 0, 1)
    break_fraction: float = _option(0.0, "the whole has converged when this part of the points changes", 0, 1)
    fast_split: bool = _option(False, "try splits on a subset first")
    max_split_iterations: int | None = _option(None, "stop a trial split after this many iterations", 1)
    consider_cluster_deletion: bool = _option(True, "delete clusters where that betters the score")
    num_cpus: int | None = _option(None, "threads; the runner sets this to what was granted", 1)


@dataclass(frozen=True)
class Params:
    """Both sections. Immutable; :meth:`updated` gives another one."""

    spikedetekt: SpikeDetekt = SpikeDetekt()
    klustakwik2: KlustaKwik2 = KlustaKwik2()

    def updated(self, table: Mapping[str, Mapping[str, Any]]) -> "Params":
        """These with the options in ``table`` (section → option → value, as TOML gives them) set.

        Raises EphysError for an unknown section or option (with the nearest known one) and for a wrong value.
        """
        result = self
        for section, options in table.items():
            if section not in SECTIONS:
                raise EphysError(f"there is no section {section!r} in klusta's settings: {_near(section, SECTIONS)}")
            if not isinstance(options, Mapping):
                raise EphysError(f"{section} is a section of klusta's settings: write [{section}] and options below it")
            known = {option.name: option for option in fields(SECTIONS[section])}
            for name in options:
                if name not in known:
                    raise EphysError(f"klusta has no option {section}.{name}: {_near(name, known)}")
            values = {name: _value(f"{section}.{name}", known[name], value) for name, value in options.items()}
            result = replace(result, **{section: replace(getattr(result, section), **values)})
        detect = result.spikedetekt
        if detect.threshold_weak_std_factor > detect.threshold_strong_std_factor:
            raise EphysError(
                f"spikedetekt.threshold_weak_std_factor ({detect.threshold_weak_std_factor:g}) exceeds "
                f"threshold_strong_std_factor ({detect.threshold_strong_std_factor:g}): make it smaller"
            )
        if detect.chunk_overlap_seconds >= detect.chunk_size_seconds:
            raise EphysError("spikedetekt.chunk_overlap_seconds must be smaller than chunk_size_seconds: lower it")
        return result

    def table(self) -> dict[str, dict[str, Any]]:
        """Section → option → value."""
        return asdict(self)


SECTIONS: dict[str, type] = {"spikedetekt": SpikeDetekt, "klustakwik2": KlustaKwik2}


def parse_settings(words: Sequence[str], base: Params | None = None) -> Params:
    """The parameters from words such as ``spikedetekt.threshold_strong_std_factor=5``, on top of ``base``.

    The section may be left out where the option's name is enough, which it always is.
    Raises EphysError for what is not such a word, an unknown option (with the nearest known one) or a wrong value.
    """
    table: dict[str, dict[str, Any]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        section, dot, name = key.strip().rpartition(".")
        if not equals or not name:
            raise EphysError(f"{word!r} is not a setting: write section.option=value, as spikedetekt.filter_low=300")
        if not dot:
            homes = [home for home, kind in SECTIONS.items() if name in {option.name for option in fields(kind)}]
            if not homes:
                every = [f"{home}.{option.name}" for home, kind in SECTIONS.items() for option in fields(kind)]
                raise EphysError(f"klusta has no option {name}: {_near(name, every)}")
            section = homes[0]
        table.setdefault(section, {})[name] = value.strip()
    return (base or Params()).updated(table)


def write_prm(
    path: str | Path,
    *,
    name: str,
    prb_file: str,
    raw_data_files: str | Sequence[str],
    sample_rate: float,
    n_channels: int,
    params: Params | None = None,
    voltage_gain: float | None = None,
    dtype: str = "int16",
) -> None:
    """Write klusta's parameter file.

    ``prb_file`` and ``raw_data_files`` (one ``.raw.kwd``, or one or several ``.dat``) are as klusta will look for
    them: relative to the folder where it runs, or absolute. ``sample_rate`` is in Hz, ``voltage_gain`` in µV a bit.
    """
    raw = raw_data_files if isinstance(raw_data_files, str) else list(raw_data_files)
    traces: dict[str, Any] = {"raw_data_files": raw, "sample_rate": float(sample_rate), "n_channels": int(n_channels)}
    traces |= {"dtype": dtype} | ({} if voltage_gain is None else {"voltage_gain": float(voltage_gain)})
    lines = [f"experiment_name = {name!r}", f"prb_file = {prb_file!r}", "", "traces = {"]
    lines += [f"    {key!r}: {value!r}," for key, value in traces.items()] + ["}"]
    for section, options in (params or Params()).table().items():
        says = {option.name: option.metadata["says"] for option in fields(SECTIONS[section])}
        lines += ["", f"{section} = {{"]
        # num_cpus None would be stored as an empty string in the .kwik and come back as one
        lines += [f"    {key!r}: {value!r},  # {says[key]}" for key, value in options.items() if value is not None]
        lines += ["}"]
    Path(path).write_text("\n".join([*lines, ""]), encoding="utf-8")


def _value(key: str, option: "Field[Any]", value: Any) -> Any:
    kinds = get_args(option.type) if isinstance(option.type, types.UnionType) else (option.type,)
    if types.NoneType in kinds and (value is None or (isinstance(value, str) and value.lower() in ("", "none"))):
        return None
    kind = kinds[0]
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise EphysError(f"{key} is true or false, not {value!r}")
        return words[str(value).lower()]
    if kind is str:
        among = option.metadata["among"]
        if among and value not in among:
            raise EphysError(f"{key} is one of {', '.join(among)}, not {value!r}")
        return str(value)
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    whole = re.fullmatch(r"[+-]?[0-9]+(e[0-9]+)?", str(value).strip().lower()) or number.is_integer()
    if not math.isfinite(number) or (kind is int and not whole):
        raise EphysError(f"{key} is a {'whole number' if kind is int else 'number'}, not {value!r}")
    low, high = option.metadata["low"], option.metadata["high"]
    if (low is not None and number < low) or (high is not None and number > high):
        bounds = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        raise EphysError(f"{key} must be {bounds}, not {value}")
    return int(number) if kind is int else number


def _near(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"did you mean {near[0]}?" if near else f"it is one of {', '.join(known)}"
