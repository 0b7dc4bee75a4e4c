"""A block of Spike2's own .smr files, as a source: what `son` reads, put together as MATLAB exports are."""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import son, survey
from labsched.ephys.readers.source import Source, no_stream
from labsched.ephys.readers.tracks import Track, aligned
from labsched.ephys.recording import Segment, keep, listed, natural


def examine(source: Path, paths: Sequence[Path], omit: Collection[str], stream: str) -> Source:
    """What the headers of .smr files say. Channels of one rate are a recording: that of `stream`, or the highest.

    Raises EphysError where files do not fit together.
    """
    looked = [son.look(path) for path in paths]
    files = [file for file in looked if file.waves]
    notes = [f"{file.path.name} has no waveform channel: left out" for file in looked if not file.waves]
    if not files:
        raise EphysError(f"no waveform channel in {listed(path.name for path in paths)}: only events or nothing")
    rate, chosen = _rate(source, files, stream)
    notes += chosen
    groups = [[wave for wave in file.waves if _same(file.rate(wave), rate)] for file in files]
    labels = {wave.label for group in groups for wave in group}
    kept = keep(labels, omit)
    for file, group in zip(files, groups, strict=True):
        missing = set(kept) - {wave.label for wave in group}
        if missing:
            raise EphysError(
                f"{file.path} lacks {listed(missing)} at {rate:g} Hz, which another file has: omit what is not in "
                "every file, or take out the file that belongs to another block"
            )
    files.sort(key=lambda each: (_start(each), natural(each.path.name)))
    strange = sorted({w.units for g in groups for w in g if w.label in kept and not survey.known(w.units)})
    notes += survey.notes_on((name for file in files for name in file.others), strange)
    return Source(
        path=source,
        files=tuple(file.path for file in files),
        format="Spike2 (.smr)",
        labels=tuple(sorted(labels, key=natural)),
        kept=kept,
        omitted=tuple(sorted(set(omit), key=natural)),
        rate=rate,
        n_samples=sum(max(sum(run.count for run in file.chains[label].runs) for label in kept) for file in files),
        n_bytes=sum(file.path.stat().st_size for file in files),
        gain_known=not strange,
        notes=tuple(notes),
        opener=lambda kept, scratch, stack: _segments(files, kept, rate, stack),
        stream=f"{rate:g} Hz",
    )


def _start(file: son.File) -> float:
    return min(chain.runs[0].start_s for chain in file.chains.values())


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-6 * other


def _rate(source: Path, files: Sequence[son.File], wanted: str) -> tuple[float, list[str]]:
    rates: dict[float, dict[str, None]] = {}
    for file in files:
        for wave in file.waves:
            own = file.rate(wave)
            alike = next((rate for rate in rates if _same(rate, own)), own)
            rates.setdefault(alike, {})[wave.label] = None
    names = {f"{rate:g} Hz": rate for rate in rates}
    if wanted:
        found = [rate for name, rate in names.items() if wanted.casefold() in (name.casefold(), f"{rate:g}")]
        if not found:
            raise no_stream(source, wanted, names)
        return found[0], []
    best = max(rates)
    left = [f"{listed(labels)} ({rate:g} Hz)" for rate, labels in rates.items() if rate != best]
    return best, [f"the channels of {best:g} Hz were chosen; left out: {'; '.join(left)}"] if left else []


def _segments(files: Sequence[son.File], kept: Sequence[str], rate: float, stack: ExitStack) -> tuple[Segment, ...]:
    found: list[Segment] = []
    for file in files:
        waves = {wave.label: wave for wave in file.waves}
        fd = son.descriptor(file.path, stack)
        tracks = [
            Track(
                label,
                son.opened(file, waves[label], fd),
                file.chains[label].runs,
                waves[label].gain,
                waves[label].offset,
            )
            for label in kept
        ]
        counts = all(waves[label].kind == son.ADC for label in kept)
        found += [replace(segment, parallel=True) for segment in aligned(file.path, tracks, counts, rate)]
    return tuple(found)
