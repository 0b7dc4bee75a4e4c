"""What the two stages say of a block, put as the page says it: channels, artefacts, and how it was made."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..recording import natural
from .block import Block
from .pack import number

#: Of artefacts, the page lists the longest.
LISTED = 200


def channels(block: Block) -> list[dict[str, Any]]:
    """Every channel, the omitted ones too: where it lies, its noise (µV), whether it is ok, suspicious or omitted."""
    noise = block.note.get("noise_uv") or {}
    bad = {str(each.get("channel")): each for each in _found(block)}
    at = {site.label: site for site in block.sites}
    labels = [*block.labels, *sorted(map(str, block.note.get("omitted") or ()), key=natural)]
    result = []
    for k, label in enumerate(labels):
        kept, site, found = k < len(block.labels), at.get(label), bad.get(label)
        reason = f"{found.get('kind')}: {found.get('reason')}" if found else ""
        result.append(
            {
                "label": label,
                "column": k if kept else None,
                "state": ("suspicious" if found else "ok") if kept else "omitted",
                "reason": reason or ("" if kept else "asked for with --omit"),
                "shank": site.shank if site else None,
                "site": site.site if site else "",
                "x": number(site.x) if site else None,
                "y": number(site.y) if site else None,
                "before": _of(noise.get("before"), k) if kept else None,
                "after": _of(noise.get("after"), k) if kept else None,
                "clipped": int((block.note.get("clipped") or {}).get(label, 0)) if kept else None,
            }
        )
    return result


def order(channels_: list[dict[str, Any]]) -> list[int]:
    """The columns of the data, shank by shank, from the upper sites to the lower ones."""
    kept = [each for each in channels_ if each["column"] is not None]
    return [
        each["column"]
        for each in sorted(
            kept,
            key=lambda each: (each["shank"] is None, each["shank"] or 0, -(each["y"] or 0), each["x"] or 0),
        )
    ]


def _found(block: Block) -> list[Mapping[str, Any]]:
    said = block.note.get("bad_channels") or {}
    return [each for each in said.get("found") or () if isinstance(each, dict)]


def _of(values: Any, k: int) -> float | None:
    return number(values[k]) if isinstance(values, list) and k < len(values) else None


def artefacts(block: Block) -> list[dict[str, Any]]:
    """The artefacts that stage 1 listed, by the time in the de-noised data (s)."""
    found = [each for each in block.note.get("artefacts") or () if isinstance(each, dict)]
    return [
        {
            "kind": str(each.get("kind", "")),
            "action": str(each.get("action", "")),
            "at": (number(each.get("output_first_sample")) or 0) / block.rate,
            "seconds": (number(each.get("n_samples")) or 0) / block.rate,
            "clock": number(each.get("start_s"), 9),
            "channels": [str(label) for label in each.get("channels") or ()],
        }
        for each in found
    ]


def warnings(block: Block) -> list[str]:
    """What a person should look at, of both stages."""
    return [str(each) for said in (block.note, block.sorting or {}) for each in said.get("warnings") or ()]


def made(block: Block) -> Iterator[tuple[str, str]]:
    """How it was made: a name and a value each."""
    note, sorting = block.note, block.sorting or {}
    yield "raw recording", f"{note.get('source', 'unknown')} ({note.get('source_format', 'format unknown')})"
    yield "results", str(block.folder)
    yield "probe", str(note.get("probe") or "none named")
    said = note.get("parameters") or {}
    band = said.get("band")
    yield (
        "reference",
        str(said.get("reference", "unknown"))
        + (f", band {band.get('low_hz'):g} to {band.get('high_hz'):g} Hz" if isinstance(band, dict) else ""),
    )
    if (unit := number(note.get("microvolts_per_bit"))) is not None:
        yield "one bit", f"{unit:g} µV" + ("" if note.get("gain_known", True) else ", assumed: the files do not say")
    hum = note.get("hum")
    if isinstance(hum, dict):
        yield (
            "mains hum subtracted",
            f"{number(hum.get('hz'))} Hz, harmonics {', '.join(map(str, hum.get('harmonics') or ()))}",
        )
    for stage, what in (("denoise", note), (str(sorting.get("sorter", "klusta")), sorting)):
        if (wall := number(what.get("wall_s"))) is not None:
            peak = number(what.get("peak_rss_bytes"))
            yield f"{stage}: wall time", duration(wall)
            yield f"{stage}: peak memory", f"{peak / 1e6:,.0f} MB" if peak else "unknown"
            yield f"{stage}: ended", str(what.get("finished") or what.get("started") or "unknown")
        if what.get("versions"):
            yield f"{stage}: versions", ", ".join(f"{key} {value}" for key, value in what["versions"].items() if value)
    if sorting:
        yield "seed", "none (--stock)" if sorting.get("seed") is None else str(sorting["seed"])
        for section, values in (sorting.get("parameters") or {}).items():
            if isinstance(values, dict):
                yield str(section), ", ".join(f"{key} = {value}" for key, value in values.items())


def duration(seconds: float) -> str:
    """``41.6 s``, ``12 min 5 s``, ``3 h 20 min``."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{minutes // 60} h {minutes % 60} min"
