"""What NAME.denoise.json says: where a result came from, sample by sample, and what people should look at."""

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys import provenance
from labsched.ephys.probes import Layout
from labsched.ephys.readers import Source
from labsched.ephys.recording import Recording
from labsched.ephys.writers.target import Target

Floats = NDArray[np.float64]
LIMIT = 32767


def warnings(
    recording: Recording,
    before: Floats,
    after: Floats,
    clipped: NDArray[np.int64],
    microvolts: float,
    known: Collection[str] = (),
) -> list[str]:
    """What a person should look at before sorting: flat, loud and clipped channels; `known` are called bad already."""
    found = []
    flat = [label for label, noise in zip(recording.labels, before, strict=True) if noise <= 0 and label not in known]
    if flat:
        found.append(f"flat: {', '.join(flat)}: omit dead channels, they spoil klusta's threshold")
    typical = float(np.median(after))
    loud = [
        label
        for label, noise in zip(recording.labels, after, strict=True)
        if noise > 5 * typical > 0 and label not in known
    ]
    if loud:
        found.append(f"much noisier than the others after referencing: {', '.join(loud)}: consider omitting")
    cut = [label for label, count in zip(recording.labels, clipped, strict=True) if count]
    if cut:
        found.append(f"{int(clipped.sum())} values clipped at ±{LIMIT * microvolts / 1000:.3g} mV on {', '.join(cut)}")
    return found


def facts(
    source: Source, layout: Layout, recording: Recording, where: Target, inputs: list[provenance.Input]
) -> dict[str, Any]:
    """What was read and what it was, for the JSON."""
    segments, output = [], 0
    for segment in recording.segments:
        segments.append(
            {
                "file": _named(segment.file, source.path), "file_first_sample": segment.first,
                "n_samples": segment.n_samples,
                "start_s": segment.start_s, "output_first_sample": output,
                "shifts": dict(zip(recording.labels, segment.shifts, strict=True)),
            }
        )  # fmt: skip
        output += segment.n_samples
    return {
        "schema": 1,
        "name": where.name,
        "versions": provenance.versions(("labsched", "numpy", "scipy", "h5py", "probeinterface")),
        "outputs": {final.name: where.partial(final).stat().st_size for final in (where.data, where.prb, where.prm)},
        "source": str(source.path.resolve()),
        "source_format": recording.format,
        "stream": source.stream,
        "inputs": [
            {
                "file": _named(each.path, source.path),
                "bytes": each.size,
                "mtime": utc(each.mtime_ns / 1e9),
                "blake3": each.blake3,
            }
            for each in inputs
        ],
        "labels": list(recording.labels),
        "omitted": list(recording.omitted),
        "notes": [*recording.notes, *layout.notes],
        "probe": layout.probe,
        "groups": {str(group.number): list(group.labels) for group in layout.groups},
        "sites": dict(zip(layout.labels, layout.sites, strict=False)),
        "omitted_sites": {
            label: {"site": site.id, "shank": site.group, "x": site.x, "y": site.y} for label, site in layout.left_out
        },
        "rate_hz": recording.rate,
        "n_samples": recording.n_samples,
        "duration_s": recording.duration_s,
        "gain_known": recording.gain_known,
        "time_of_a_sample": "sample i of the output lies in the last segment whose output_first_sample <= i; on its "
        "file's clock it was taken at start_s + (i - output_first_sample) / rate_hz",
        "segments": segments,
        "gaps": _gaps(recording),
    }


def _named(file: Path, source: Path) -> str:
    """A file's path within its block."""
    return str(file.relative_to(source)) if file.is_relative_to(source) and file != source else file.name


def _gaps(recording: Recording) -> list[dict[str, Any]]:
    """Between segments that follow each other on the clock: where, and how long (s; negative: files overlap)."""
    found, output = [], 0
    for one, two in zip(recording.segments[:-1], recording.segments[1:], strict=True):
        output += one.n_samples
        end = one.start_s + one.n_samples / recording.rate
        found.append({"output_sample": output, "end_s": end, "start_s": two.start_s, "seconds": two.start_s - end})
    return found


def utc(seconds: float) -> str:
    """Seconds since 1970 as ISO-8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
