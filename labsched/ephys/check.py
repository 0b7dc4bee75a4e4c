"""A quick look at a block before it is queued: the headers, the labels and the probe, and no samples."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from labsched.ephys.denoise import check as look


@dataclass(frozen=True)
class Summary:
    """What a block is: `labels` are those kept, in data order; `n_bytes` is the size of its files.

    `duration_s` leaves gaps out; `groups` are the labels of each shank, `notes` sentences for people.
    """

    labels: tuple[str, ...]
    omitted: tuple[str, ...]
    rate: float
    duration_s: float
    n_bytes: int
    files: tuple[Path, ...]
    format: str
    stream: str
    groups: dict[int, tuple[str, ...]]
    notes: tuple[str, ...]


def check(source: str | Path, omit: Collection[str] = (), probe: str | Path | None = None, stream: str = "") -> Summary:
    """Raises the EphysError that `denoise` would raise, for all that the headers can show."""
    found = look(source, omit, probe, stream_name=stream)
    return Summary(
        labels=found.source.kept,
        omitted=found.source.omitted,
        rate=found.source.rate,
        duration_s=found.source.n_samples / found.source.rate,
        n_bytes=found.source.n_bytes,
        files=found.source.files,
        format=found.source.format,
        stream=found.source.stream,
        groups={group.number: group.labels for group in found.layout.groups},
        notes=(*found.source.notes, *found.layout.notes),
    )
