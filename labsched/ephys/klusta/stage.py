"""Stage 1's results as stage 2 finds them: whole, or a sentence; and the .prm that klusta is given in its place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import harmless
from ..errors import EphysError
from .params import SECTIONS, Params, write_prm


@dataclass(frozen=True)
class Input:
    """What there is to sort: the raw files and the probe (absolute), and the rate (Hz), channels and parameters."""

    name: str
    folder: Path
    prb: Path
    raw: tuple[Path, ...]
    rate: float
    channels: int
    dtype: str
    gain: float | None
    params: Params
    note: Mapping[str, Any]

    @property
    def bytes(self) -> int:
        """The size of the raw data."""
        return sum(path.stat().st_size for path in self.raw)

    def prm(self, path: Path, params: Params) -> None:
        """Write the .prm that klusta runs by: the same data, these parameters, absolute paths."""
        raw = [str(file) for file in self.raw]
        write_prm(
            path,
            name=self.name,
            prb_file=str(self.prb),
            raw_data_files=raw[0] if len(raw) == 1 and raw[0].endswith(".raw.kwd") else raw,
            sample_rate=self.rate,
            n_channels=self.channels,
            params=params,
            voltage_gain=self.gain,
            dtype=self.dtype,
        )


def whole(folder: Path, name: str) -> Input:
    """Read what stage 1 left in ``folder``; EphysError where something is missing or not of the size it had."""
    if not name or "/" in name or name in (".", ".."):
        raise EphysError(f"{name!r} is not the name of a block: give it without a folder")
    if not folder.is_dir():
        raise EphysError(f"there is no folder {folder}: run the denoise stage first, or correct --target")
    note_file = folder / f"{name}.denoise.json"
    again = "run the denoise stage again"
    try:
        note = json.loads(note_file.read_text(encoding="utf-8"))
        sizes = _sizes(note)
    except FileNotFoundError:
        raise EphysError(f"{folder} has no finished denoise stage of {name} (no {note_file.name}): {again}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EphysError(f"{note_file} does not say what stage 1 wrote ({_said(error)}): {again}") from None
    except OSError as error:
        raise EphysError(f"{note_file} cannot be read: {error.strerror}") from None
    for file, size in sizes.items():
        try:
            now = (folder / file).stat().st_size
        except OSError:
            raise EphysError(f"{folder / file}, which the denoise stage wrote, is gone: {again}") from None
        # the .prm and .prb may be edited by hand afterwards: that is what they are for
        if now != size and not file.endswith((".prm", ".prb")):
            raise EphysError(f"{folder / file} has {now:,} bytes but stage 1 wrote {size:,}: {again}")
    return _input(folder, name, note)


def _sizes(note: Any) -> dict[str, int]:
    """File name → bytes, from the JSON's ``outputs``: a mapping to sizes (or to {"bytes": size}), or a list of them."""
    outputs = note["outputs"]
    if isinstance(outputs, list):
        outputs = {entry.get("file") or entry.get("name") or entry["path"]: entry for entry in outputs}
    sizes = {}
    for file, entry in outputs.items():
        size = entry["bytes"] if isinstance(entry, dict) else entry
        sizes[Path(file).name] = int(size)
    if not sizes:
        raise ValueError("no outputs")
    return sizes


def _input(folder: Path, name: str, note: Mapping[str, Any]) -> Input:
    path = folder / f"{name}.prm"
    try:
        table = harmless.evaluate(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EphysError(f"there is no {path}: run the denoise stage again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EphysError(f"{path} cannot be read: {_said(error)}") from None
    except harmless.Unreadable as error:
        raise EphysError(f"{path}: {error}") from None
    traces = table.get("traces")
    sections = {section: table[section] for section in SECTIONS if isinstance(table.get(section), dict)}
    try:
        if not isinstance(traces, dict):
            raise EphysError("it has no traces = {...}")
        params = Params().updated(sections)
        raw = traces["raw_data_files"]
        files = tuple(folder / file for file in ([raw] if isinstance(raw, str) else raw))
        gain = traces.get("voltage_gain")
        found = Input(
            name=name,
            folder=folder.resolve(),
            prb=(folder / table["prb_file"]).resolve(),
            raw=tuple(file.resolve() for file in files),
            rate=float(traces["sample_rate"]),
            channels=int(traces["n_channels"]),
            dtype=str(traces.get("dtype", "int16")),
            gain=None if gain in (None, "") else float(gain),
            params=params,
            note=note,
        )
    except KeyError as error:
        raise EphysError(f"{path} does not say {error.args[0]}: add it, or run the denoise stage again") from None
    except (TypeError, ValueError, EphysError) as error:
        raise EphysError(f"{path}: {_said(error)}") from None
    for file in (found.prb, *found.raw):
        if not file.is_file():
            raise EphysError(f"{path} names {file}, which is not there: run the denoise stage again")
    return found


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
