"""Neurodata Without Borders: NAME.nwb, with units, their waveforms and metrics, and the electrodes. Needs pynwb.

Times are seconds from the start of the session. Where a block has several files that follow each other on one clock,
they are on that clock; otherwise, gaps are not counted. The de-noised data are not in it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from .. import recording
from ..errors import EphysError
from ..qc.units import Sorted

INSTALL = "install the extra: pip install 'labsched[nwb]', or pip install pynwb"
SAYS = {
    "label": "good, mua or noise, by thresholds of labsched (docs/quality-metrics.md)",
    "quality": "what a person said of it in the .kwik; unsorted where nobody has",
    "depth_um": "median depth of its spikes along the shank, in micrometres",
    "cluster": "klusta's number of it on its shank",
    "shank": "number of its shank",
    "channel": "label of the channel where its mean waveform is largest",
}


def write(found: Sorted, rows: Sequence[Mapping[str, Any]], path: Path) -> str:
    """Write the file; returns what a person should know. Raises EphysError where pynwb is missing."""
    try:
        from pynwb import NWBHDF5IO, NWBFile
        from pynwb.file import Subject
    except ImportError as error:
        raise EphysError(f"writing NWB needs pynwb ({error}): {INSTALL}") from None
    began = _began(found)
    times, clock = _times(found)
    file = NWBFile(
        session_description=f"Block {found.name}, de-noised by labsched and spike-sorted by klusta. {clock}",
        identifier=str(uuid4()),
        session_start_time=began,
        session_id=found.name,
        source_script="python -m labsched.ephys export --to nwb",
        source_script_file_name="labsched",
        notes=None if found.gain_known else "The recording does not say its unit: a bit was taken as 1 µV.",
    )
    file.subject = Subject(
        subject_id=_subject(found), sex="U", age="P0D/", species="unknown species",
        description="labsched knows nothing of the animal: fill in species, sex and age",
    )  # fmt: skip
    electrodes = _electrodes(file, found)
    _units(file, found, rows, times, electrodes)
    with NWBHDF5IO(str(path), "w") as out:
        out.write(file)
    return (
        f"species, sex and age of the animal are not known to labsched, nor is when the session began (it was taken as "
        f"{began:%Y-%m-%d %H:%M} UTC, the time of the earliest file): fill them in before you share it"
    )


def _subject(found: Sorted) -> str:
    """The animal, as far as the block's folder tells: where blocks lie in a folder for each, that folder's name."""
    return Path(str(found.data.note.get("source") or "unknown")).parent.name or "unknown"


def _began(found: Sorted) -> datetime:
    """When the session began: the earliest time of change of an input file, which is all that there is to go by."""
    stamps = [str(each["mtime"]) for each in found.data.note.get("inputs", ()) if isinstance(each, dict)]
    try:
        return min(datetime.fromisoformat(stamp.replace("Z", "+00:00")) for stamp in stamps)
    except (ValueError, KeyError):
        return datetime.fromtimestamp(found.data.raw[0].stat().st_mtime, UTC)


def _times(found: Sorted) -> tuple[dict[int, NDArray[np.float64]], str]:
    """(The times (s) of each shank's spikes, in words what clock they are on)."""
    segments = found.data.note.get("segments") or []
    ends = [each["start_s"] + each["n_samples"] / found.rate for each in segments]
    if segments and all(end <= each["start_s"] for end, each in zip(ends, segments[1:], strict=False)):
        times = {s.number: recording.file_times(segments, found.rate, s.samples)[1] for s in found.shanks}
        return times, "Times are those of the recording's own clock."
    return {s.number: s.samples / found.rate for s in found.shanks}, "Times leave out the gaps between files."


def _electrodes(file: Any, found: Sorted) -> dict[int, int]:
    """Add the electrodes; column of the data -> row of the table."""
    device = file.create_device(name="probe", description=str(found.data.note.get("probe") or "no probe is known"))
    file.add_electrode_column("channel_name", "label of the channel")
    file.add_electrode_column("rel_x", "position across the shanks, in micrometres")
    file.add_electrode_column("rel_y", "position along the shank, in micrometres")
    rows: dict[int, int] = {}
    for shank in found.shanks:
        group = file.create_electrode_group(
            name=f"shank{shank.number}", description=f"shank {shank.number}", location="unknown", device=device
        )
        for column, label, (x, y) in zip(shank.columns, shank.labels, shank.positions, strict=True):
            file.add_electrode(
                group=group, location="unknown", channel_name=label, rel_x=float(x), rel_y=float(y)
            )  # fmt: skip
            rows[int(column)] = len(rows)
    return rows


def _units(
    file: Any,
    found: Sorted,
    rows: Sequence[Mapping[str, Any]],
    times: Mapping[int, NDArray[np.float64]],
    electrodes: Mapping[int, int],
) -> None:
    from pynwb.misc import Units

    file.units = Units(
        name="units", description="clusters of klusta's sorting", waveform_rate=found.rate, waveform_unit="volts",
        resolution=1 / found.rate,
    )  # fmt: skip
    said = [key for key in rows[0] if key not in ("unit", "group", "reasons")]
    columns = [key for key in said if any(row[key] is not None for row in rows)]
    file.add_unit_column("unit_name", "shank and cluster, as labsched calls it")
    file.add_unit_column("quality", SAYS["quality"])
    for key in columns:
        file.add_unit_column(key, SAYS.get(key, f"{key}, as SpikeInterface defines it"))
    # all waveforms are of one shape there: where shanks differ in size, they are left out
    alike = len({len(found.shank(unit.shank).columns) for unit in found.units}) == 1
    for unit, row in zip(found.units, rows, strict=True):
        values = {key: np.nan if row[key] is None else row[key] for key in columns}
        if alike:
            values |= {"waveform_mean": unit.mean * 1e-6, "waveform_sd": unit.std * 1e-6}
        file.add_unit(
            spike_times=times[unit.shank][unit.spikes],
            electrodes=[electrodes[int(column)] for column in found.shank(unit.shank).columns],
            unit_name=unit.name,
            quality=unit.special if unit.group == "unsorted" and unit.special else unit.group,
            **values,
        )
