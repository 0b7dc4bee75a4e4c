"""Whether files are as long as their format says: neo drops what is too much and does not tell."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labsched.ephys.errors import EphysError
from labsched.ephys.readers.rawio.kinds import Kind

#: (bytes of the header, bytes of a record)
RECORDS = {"Neuralynx": (16384, 1044), "Open Ephys (legacy)": (1024, 2070)}


def _short(path: Path, why: str) -> EphysError:
    return EphysError(f"{path} {why}: it was cut short: copy it here again")


def check(kind: Kind, reader: Any, path: Path, found: Sequence[Path]) -> None:
    """Raises EphysError naming the file that is not as long as it must be."""
    if kind.name == "SpikeGLX":
        _spikeglx(found)
    if kind.name == "Intan":
        _intan(reader, path)
    if reader.has_buffer_description_api():
        _buffers(reader)


def before(kind: Kind, found: Sequence[Path]) -> None:
    """The same for what makes neo trip: files that are empty, and files of one channel each of which one is shorter."""
    for each in found:
        if not each.stat().st_size:
            raise EphysError(f"{each} is empty (0 bytes): copy it here again, or take it out of the block")
    if kind.marker:
        _open_ephys(found)
    if kind.name not in RECORDS:
        return
    head, size = RECORDS[kind.name]
    _records(head, size, found)
    alike: dict[object, Path] = {}
    for each in found:
        key = (each.parent, neuralynx_rate(each) if kind.name == "Neuralynx" else each.stem.split("_")[2:])
        first = alike.setdefault(str(key), each)
        one, other = ((file.stat().st_size - head) // size for file in (first, each))
        if one != other:
            short, long = (first, each) if one < other else (each, first)
            raise EphysError(
                f"{short} has {min(one, other)} records where {long.name} has {max(one, other)}: copy it here again, "
                "or move it out of the block"
            )


def _open_ephys(markers: Sequence[Path]) -> None:
    for marker in markers:
        try:
            streams = json.loads(marker.read_text(encoding="utf-8"))["continuous"]
            widths = [(str(each["folder_name"]), 2 * int(each["num_channels"])) for each in streams]
        except (ValueError, KeyError, TypeError) as error:
            raise EphysError(f"{marker} is damaged ({type(error).__name__}: {error}): copy it here again") from None
        for folder, width in widths:
            data = marker.parent / "continuous" / folder / "continuous.dat"
            if data.is_file() and width > 0 and data.stat().st_size % width:
                raise _short(data, f"has {data.stat().st_size} bytes, which is no multiple of {width // 2} channels")


def neuralynx_rate(path: Path) -> float:
    """The sampling rate (Hz) that the header of a .ncs tells; 0 where it does not."""
    with path.open("rb") as file:
        found = re.search(rb"-SamplingFrequency\s+([0-9.]+)", file.read(16384))
    return float(found[1]) if found else 0.0


def _records(head: int, size: int, files: Sequence[Path]) -> None:
    for each in files:
        length = each.stat().st_size - head
        if length <= 0:
            raise _short(each, f"has {length + head} bytes and so no samples")
        if length % size:
            raise _short(each, f"has {length} bytes of records, which is no multiple of {size}")


def _spikeglx(metas: Sequence[Path]) -> None:
    for meta in metas:
        data = meta.with_suffix(".bin")
        if not data.exists():
            raise EphysError(f"{meta} has no {data.name} beside it: copy it here, or take the .meta out of the block")
        lines = (line.partition("=") for line in meta.read_text(encoding="utf-8", errors="replace").splitlines())
        said = {key.strip(): value.strip() for key, _, value in lines}.get("fileSizeBytes", "")
        if said.isdecimal() and int(said) != data.stat().st_size:
            raise _short(data, f"has {data.stat().st_size} bytes where {meta.name} says {said}")


def _intan(reader: Any, path: Path) -> None:
    raw = getattr(reader, "_raw_data", None)
    if not isinstance(raw, dict):
        return  # one file, in blocks: neo refuses one that ends within a block
    wide = {}
    for name, held in raw.items():
        for each in held if isinstance(held, list) else [held]:
            file = Path(getattr(each, "filename", None) or path)
            frame = each.dtype.itemsize * int(np.prod(each.shape[1:]))
            if file.stat().st_size % max(frame, 1):
                raise _short(file, f"has {file.stat().st_size} bytes, which is no multiple of {frame}")
            if not name.startswith(("RHD2000 supply", "RHD2000 aux")):
                wide[file] = len(each)
    longest = max(wide.values(), default=0)
    for file, count in wide.items():
        if count != longest:
            raise _short(file, f"has {count} samples where others have {longest}")


def _buffers(reader: Any) -> None:
    for block in range(reader.block_count()):
        for segment in range(reader.segment_count(block)):
            for row in reader.header["signal_buffers"]:
                try:
                    about = reader.get_analogsignal_buffer_description(block, segment, str(row["id"]))
                except (KeyError, IndexError):
                    continue
                if about["type"] != "raw" or len(about["shape"]) != 2:
                    continue
                file = Path(about["file_path"])
                frame = np.dtype(about["dtype"]).itemsize * about["shape"][1]
                length = file.stat().st_size - int(about.get("file_offset", 0))
                if about.get("order", "C") == "C" and length % frame and about["shape"][0] == length // frame:
                    raise _short(
                        file, f"has {length} bytes of data, which is no multiple of {about['shape'][1]} channels"
                    )
