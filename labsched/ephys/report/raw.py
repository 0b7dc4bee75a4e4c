"""The raw recording behind a de-noised block: opened again from where stage 1 says it was, if it is still that one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EphysError
from ..readers import examine, opened
from ..recording import Recording

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Raw:
    """An open raw recording: all its channels, the omitted ones included."""

    labels: tuple[str, ...]
    recording: Recording
    stretches: tuple[dict[str, Any], ...]

    def read(self, start: int, stop: int) -> Floats | None:
        """Samples `start` to `stop` of the de-noised output as they were, (channels, n) µV; None where they do not lie
        in one stretch of a file that is open. They are not realigned: a channel may be up to a sample late."""
        for said in self.stretches:
            first = int(said["output_first_sample"])
            if first <= start and stop <= first + int(said["n_samples"]):
                for segment in self.recording.segments:
                    if _is(segment.file, str(said["file"])) and segment.first == int(said["file_first_sample"]):
                        values = segment.fetch(start - first, stop - first)
                        gains = np.asarray(segment.gains, dtype=np.float32)[:, None]
                        offsets = np.asarray(segment.offsets, dtype=np.float32)[:, None]
                        return np.asarray(values * gains + offsets, dtype=np.float32)
        return None


@contextmanager
def raw(note: dict[str, Any]) -> Iterator[Raw]:
    """Open what NAME.denoise.json calls its source. Raises EphysError (a sentence) where that is gone or changed."""
    if not note.get("source") or not note.get("segments"):
        raise EphysError("stage 1 does not say where the raw recording lies")
    path = Path(str(note["source"]))
    if not path.exists():
        raise EphysError(f"the raw recording {path} is not there any more")
    source = examine(path, (), str(note.get("stream") or ""))
    _same(source.files, note)
    missing = set(note.get("labels") or ()) - set(source.labels)
    if missing:
        raise EphysError(f"the raw recording {path} no longer has {', '.join(sorted(missing))}")
    with opened(source, sample=True) as recording:
        yield Raw(recording.labels, recording, tuple(note["segments"]))


def _is(file: Path, said: str) -> bool:
    """Whether it is the file that stage 1 called so: by its path within the block."""
    return file.as_posix().endswith(f"/{said}")


def _same(files: tuple[Path, ...], note: dict[str, Any]) -> None:
    """Raises EphysError for a file that has not the size that it had. (A copy has another time of change.)"""
    sizes = [(str(each["file"]), int(each["bytes"])) for each in note.get("inputs") or ()]
    for file in files:
        try:
            size = file.stat().st_size
        except OSError as error:
            raise EphysError(f"the raw recording's {file.name} cannot be read: {error.strerror}") from None
        for name, was in sizes:
            if _is(file, name) and was != size:
                raise EphysError(f"the raw recording has changed since stage 1: {file} had {was:,} bytes, now {size:,}")
