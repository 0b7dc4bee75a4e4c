"""Stage 1: from a block of exports to what klusta reads, in two passes and bounded memory.

The first pass gathers means and the covariance from a sample of the recording; from these comes one matrix; the second
pass realigns, filters, multiplies, rounds and writes. A result depends on the data and the parameters only, never on
chunk or thread count.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labsched.ephys import (
    artefacts,
    covariance,
    document,
    hum,
    output,
    progress,
    provenance,
    realign,
    reference,
    statistics,
)
from labsched.ephys import band as bands
from labsched.ephys.chain import Chain
from labsched.ephys.errors import EphysError
from labsched.ephys.inspect import look, policy
from labsched.ephys.klusta.params import Params, write_prm
from labsched.ephys.probes import Layout, resolve, stream_of
from labsched.ephys.readers import Source, examine, opened
from labsched.ephys.recording import Recording
from labsched.ephys.writers import data, interface, target

FORMATS = ("kwd", "dat", "spikeinterface")


@dataclass(frozen=True)
class Report:
    """What `denoise` did; `document` is what NAME.denoise.json holds, `microvolts_per_bit` the unit of the output."""

    name: str
    data: Path
    prb: Path
    prm: Path
    json: Path
    labels: tuple[str, ...]
    omitted: tuple[str, ...]
    rate: float
    n_samples: int
    microvolts_per_bit: float
    clipped: int
    warnings: tuple[str, ...]
    document: dict[str, Any]


def denoise(
    source: str | Path,
    folder: str | Path,
    name: str,
    *,
    omit: Collection[str] = (),
    probe: str | Path | None = None,
    stream: str = "",
    reference: str = reference.DEFAULT,
    band: bands.Band | None = None,
    format: str = "kwd",
    params: Params | None = None,
    chunk: int = 0,
    threads: int = 1,
    bad_channels: str = "warn",
    told: Callable[[str], None] = lambda line: None,
) -> Report:
    """De-noise the block in `source` and write NAME.raw.kwd (or .dat), .prb, .prm and .denoise.json into `folder`.

    `format` is kwd, dat, or spikeinterface: a .dat, and a folder NAME.spikeinterface that SpikeInterface loads.

    Channels in `omit` leave everything; `probe` is what `labsched.ephys.probes.resolve` takes; `stream` which group of
    channels is meant where the format has several; `reference` is one of `labsched.ephys.reference.METHODS`; `band` a
    band-pass before it; `chunk` is how many samples to read at once (0: about a million values); `threads` how many
    threads may read and compute, this one among them; `bad_channels` is one of
    `labsched.ephys.inspect.policy.POLICIES`. `told` gets lines for people. Raises EphysError for whatever a person can
    mend; then, and when interrupted, nothing half-written stays, and the JSON of an earlier result only where this run
    got no further than its checks.
    """
    began, clock = time.time(), time.monotonic()
    policy.check(bad_channels)
    found = check(source, omit, probe, reference, format, stream)
    bands.check(band, found.source.rate)
    where = target.Target(Path(folder), name, format)
    target.check_name(name)
    target.separate(found.source.path, found.source.files, where)
    for line in _described(found):
        told(line)
    try:
        target.room(where.folder, needed(found.source, format))
    except OSError as error:
        raise target.sentence(error, where.folder) from None
    progress.report(0.01, "looking for bad channels")
    done = _look(found, bad_channels, max(threads, 1))
    for line in done.lines:
        told(line)
    if done.omitted:
        found = check(source, [*omit, *done.omitted], probe, reference, format, stream)
    with target.written(where):
        progress.report(0.01, "reading")
        made = _run(found, where, reference, band, params or Params(), chunk, max(threads, 1), told, done.bad)
        made.update(
            {
                "started": document.utc(began),
                "wall_s": round(time.monotonic() - clock, 3),
                "peak_rss_bytes": provenance.peak_rss(),
                "complete": True,
                "bad_channels": done.document,
                "warnings": [*done.warnings, *made["warnings"]],
            }
        )
        where.partial(where.json).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    report = _report(where, made)
    seconds = report.n_samples / report.rate
    note = f"{len(report.labels)} channels, {seconds:.1f} s, reference {reference}"
    note += f"; omitted {', '.join(report.omitted)}" if report.omitted else ""
    note += f"; WARNING: {report.warnings[0]}" if report.warnings else ""
    progress.report(1.0, note)
    return report


@dataclass(frozen=True)
class Found:
    """A block that passed every check that needs no samples, and where its channels lie."""

    source: Source
    layout: Layout


def check(
    source: str | Path,
    omit: Collection[str] = (),
    probe: str | Path | None = None,
    reference_name: str = reference.DEFAULT,
    format_name: str = "kwd",
    stream_name: str = "",
) -> Found:
    """Everything that can be wrong before a sample is read, as an EphysError; opens headers only."""
    reference.check(reference_name)
    if format_name not in FORMATS:
        raise EphysError(f"unknown format {format_name!r}: it is one of {', '.join(FORMATS)}")
    source_found = examine(Path(source), omit, stream_name or stream_of(probe))
    return Found(source_found, resolve(probe, source_found.labels, omit, carried=source_found.wiring))


def _look(found: Found, setting: str, threads: int) -> policy.Done:
    """What is to be done about bad channels. Raises EphysError where a person has to decide."""
    if setting == "off":
        return policy.off()
    with opened(found.source, sample=True) as recording:
        if not look.enough(recording):
            return policy.too_short(setting)
        return policy.decide(setting, look.look(recording, found.layout, threads=threads))


def needed(source: Source, format_name: str) -> int:
    """Bytes that the run will take in the target's folder at most: the output, and what must be unpacked first."""
    return source.n_samples * len(source.kept) * 2 + 200_000 + source.unpacked


def _described(found: Found) -> list[str]:
    source = found.source
    lines = [
        f"{source.path}: {source.format}, {len(source.files)} file(s), {source.n_bytes / 1e6:.1f} MB, "
        f"{len(source.labels)} channels at "
        f"{source.rate:g} Hz, {source.n_samples / source.rate:.1f} s"
    ]
    lines += [f"  {note}" for note in (*source.notes, *found.layout.notes)]
    if not source.gain_known:
        lines.append("  the files do not say what one bit or unit is worth: taken for 1 µV a bit, 1 V a unit")
    lines.append(f"omitted: {', '.join(source.omitted) or 'nothing'}")
    sites = ", ".join(f"group {group.number}: {len(group.channels)}" for group in found.layout.groups)
    lines.append(f"probe {found.layout.probe or 'unknown'}: {sites}")
    return lines


def _run(
    found: Found,
    where: target.Target,
    method: str,
    band: bands.Band | None,
    params: Params,
    chunk: int,
    threads: int,
    told: Callable[[str], None],
    known: Collection[str] = (),
) -> dict[str, Any]:
    with opened(found.source, where.folder) as recording, provenance.Fingerprints(recording.files) as checksums:
        told(_aligned(recording))
        chain = Chain(recording, band)
        before = statistics.gather(
            chain, threads=threads, told=lambda part: progress.report(0.02 + 0.08 * part, "first pass: covariance")
        )
        wanted = covariance.wanted(method, chain, before, threads=threads)
        matrix = reference.matrix(method, wanted, found.layout.together)
        microvolts, counts = output.unit(recording, before, matrix)

        def beside(part: float) -> None:
            checksums.advance(part)
            progress.report(0.1 + 0.88 * part, f"second pass: {100 * part:.0f} %")

        with _sink(where, recording, microvolts) as sink:
            watch, mains = artefacts.Watch(chain, before), hum.find(chain, before.means, matrix)
            clipped, noise, found_bad = output.write(
                chain, before.means, matrix * chain.units[None, :] / microvolts, sink,
                chunk=chunk, threads=threads, told=beside, watch=watch, hum=mains,
            )  # fmt: skip
        inputs = checksums.finish()
        provenance.unchanged(inputs)
        after = noise * microvolts
        if where.format == "spikeinterface":
            interface.write(
                where.partial(where.described), where.data.name, found.layout, rate=recording.rate,
                uv_per_bit=microvolts, annotations={
                    "is_filtered": band is not None, "name": where.name, "source": str(found.source.path.resolve()),
                    "reference": method, "omitted_channels": list(recording.omitted),
                },
            )  # fmt: skip
        found.layout.write_prb(where.partial(where.prb))
        write_prm(
            where.partial(where.prm),
            name=where.name,
            prb_file=where.prb.name,
            raw_data_files=where.data.name if where.format == "kwd" else [where.data.name],
            sample_rate=recording.rate,
            n_channels=len(recording.labels),
            params=params,
            voltage_gain=microvolts,
        )
        told(artefacts.told(found_bad, recording.rate))
        told(hum.told(mains))
        warnings = document.warnings(recording, before.noise, after, clipped, microvolts, known)
        for line in warnings:
            told(f"WARNING: {line}")
        told(
            f"wrote {where.data.name}: {recording.n_samples} samples × {len(recording.labels)} channels, "
            f"{microvolts:.6g} µV a bit, {clipped.sum()} values clipped; median noise "
            f"{np.median(before.noise):.1f} µV before, {np.median(after):.1f} µV after reference {method}"
        )
        return {
            **document.facts(found.source, found.layout, recording, where, inputs),
            "parameters": {
                "reference": method, "omit": list(recording.omitted), "format": where.format, "ridge": reference.RIDGE,
                "band": None if band is None else {"low_hz": band.low, "high_hz": band.high, "order": bands.ORDER},
                "realign": {"taps": 2 * realign.HALF + 1, "kaiser_beta": realign.BETA}, "klusta": params.table(),
            },
            "microvolts_per_bit": microvolts,
            "keeps_input_bits": counts,
            "matrix": matrix.tolist(),
            "mean_uv": [((link.base + m) * chain.units + o).tolist() for link, m, o in
                        zip(chain.links, before.means, (np.array(s.offsets) for s in recording.segments), strict=True)],
            "noise_uv": {"before": before.noise.tolist(), "after": after.tolist()},
            "clipped": dict(zip(recording.labels, clipped.tolist(), strict=True)),
            "hum": None if mains is None else {"hz": mains.hz, "harmonics": list(mains.harmonics)},
            "artefacts": artefacts.listed(found_bad, recording),
            "warnings": warnings,
        }  # fmt: skip


def _sink(where: target.Target, recording: Recording, microvolts: float):  # type: ignore[no-untyped-def]
    path, n, width = where.partial(where.data), recording.n_samples, len(recording.labels)
    if where.format != "kwd":
        return data.dat(path, n, width)
    return data.kwd(
        path, n, width, rate=recording.rate, uv_per_bit=microvolts, name=where.name, labels=recording.labels
    )


def _aligned(recording: Recording) -> str:
    shifts = np.array([segment.shifts for segment in recording.segments])
    moved = int((shifts >= realign.ALIGNED).any(axis=0).sum())
    if not moved:
        return "realigned: nothing, all channels are sampled at the same times"
    return f"realigned: {moved} channels, by up to {shifts.max():.3f} of a sample"


def _report(where: target.Target, made: dict[str, Any]) -> Report:
    counts: Mapping[str, int] = made["clipped"]
    return Report(
        name=where.name,
        data=where.data,
        prb=where.prb,
        prm=where.prm,
        json=where.json,
        labels=tuple(made["labels"]),
        omitted=tuple(made["omitted"]),
        rate=made["rate_hz"],
        n_samples=made["n_samples"],
        microvolts_per_bit=made["microvolts_per_bit"],
        clipped=sum(counts.values()),
        warnings=tuple(made["warnings"]),
        document=made,
    )
