"""``klusta.launch.detect``, done by compiled loops in several processes."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .chunks import Finder, chunks
from .filtering import thresholds
from .outcome import Kept
from .segments import Segment, Unusable, read, segments
from .settings import settings
from .traces import traces
from .workers import search


def detect(model: Any, folder: Path, fingerprint: str, processes: int, say: Callable[[str], None]) -> Any:
    """Find the spikes of an open KwikModel; returns what klusta's own function returns.

    What is found in each piece is kept in `folder`, under `fingerprint`, and what is there of an earlier attempt is
    used. Raises ValueError for data in which klusta's own detection comes to no end either.
    """
    params = dict(model.metadata)
    params["probe_channels"], params["probe_adjacency_list"] = model.probe.channels_per_group, model.probe.adjacency
    samples = traces(model.all_traces.arrs)
    wanted = settings(params, samples.n_channels)
    every = segments(list(chunks(samples.n_samples, wanted.chunk, wanted.overlap)))
    folder.mkdir(exist_ok=True)
    todo = missing(folder, fingerprint, every, say)
    if todo:
        finder = Finder(samples, wanted, thresholds(samples, wanted))
        done = sum(len(each.chunks) for each in every) - sum(len(each.chunks) for each in todo)
        for segment in _shown(search(finder, todo, folder, fingerprint, processes), every, done):
            done += len(segment.chunks)
    return _result(model, Kept(folder, fingerprint, every, wanted))


def missing(folder: Path, fingerprint: str, every: Iterable[Segment], say: Callable[[str], None]) -> list[Segment]:
    """The segments that are not there, or not fit to be used, which is said."""
    todo, there = [], 0
    for segment in every:
        try:
            read(folder, fingerprint, segment)
            there += len(segment.chunks)
        except FileNotFoundError:
            todo.append(segment)
        except (Unusable, OSError, ValueError, KeyError, TypeError) as error:
            say(f"checkpoint {segment.path(folder).name} of the detection is not used: {error}")
            todo.append(segment)
    if there:
        say(f"detection goes on from its checkpoints: {there} chunks are done, {sum(len(s.chunks) for s in todo)} left")
    return todo


def _shown(found: Iterable[Segment], every: list[Segment], done: int) -> Iterable[Segment]:
    from tqdm import tqdm  # type: ignore[import-untyped]

    total = sum(len(each.chunks) for each in every)
    with tqdm(desc="Detecting spikes".ljust(24), total=total, initial=done) as bar:
        for segment in found:
            bar.update(len(segment.chunks))
            yield segment


def _result(model: Any, kept: Kept) -> Any:
    from klusta.traces.spikedetekt import _subtract_offsets
    from klusta.utils import Bunch

    groups, offsets = kept.settings.groups, model.all_traces.offsets
    apart = {number: _subtract_offsets(times, offsets) for number, times in kept.times().items()}
    principal = kept.principal()
    return Bunch(
        groups=groups,
        spike_samples={number: apart[number][0] for number in groups},
        recordings={number: apart[number][1] for number in groups},
        masks={number: kept.masks(number) for number in groups},
        features={number: kept.features(number, principal[number]) for number in groups},
        n_channels_per_group={number: len(kept.settings.columns[number]) for number in groups},
        n_features_per_channel=kept.settings.features,
        n_spikes_per_group={number: kept.spikes[number] for number in groups},
    )
