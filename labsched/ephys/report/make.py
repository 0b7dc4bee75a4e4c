"""Making NAME.report.html: gather what is there, draw the page, and give it its name once it is whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import EphysError
from ..qc.units import Sorted
from . import block as blocks
from . import facts, page, signals, units
from .pack import number
from .raw import Raw, raw

Measured = tuple[Sorted, list[dict[str, Any]]]
SUFFIX = ".report.html"


def make(folder: str | Path, name: str, known: Measured | None = None) -> Path:
    """Write NAME.report.html into ``folder``; what cannot be shown is said in it. ``known`` is the sorting read back
    and its metrics, where somebody has them.

    Raises EphysError where there is nothing to report on, or where the page cannot be written.
    """
    where = Path(folder)
    text = page.render(gather(where, name, known))
    path = where / f"{name}{SUFFIX}"
    partial = where / f".{name}.{os.getpid()}{SUFFIX}.partial"
    try:
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise EphysError(
            f"the report cannot be written to {path} ({error.strerror or error}): make room there, or ask for the "
            "right to write there"
        ) from None
    return path


def gather(folder: Path, name: str, known: Measured | None = None) -> dict[str, Any]:
    """All that the page shows; ``data`` is what its script draws from. Raises EphysError."""
    block = blocks.read(folder, name)
    channels = facts.channels(block)
    problems = list(block.problems)
    found, table, why = (*known, "") if known else _sorted(block)
    if why and block.sorting:
        problems.append(why)
    raw_problem: list[str] = []
    with _raw(block, raw_problem) as recording:
        traces = signals.traces(block, recording)
        spectra = signals.spectra(block, recording)
    shown = units.gather(found, table) if found else []
    artefacts = facts.artefacts(block)
    seconds = block.n_samples / block.rate
    return {
        "name": name,
        "summary": _summary(block, channels, shown, seconds),
        "problems": problems,
        "warnings": facts.warnings(block),
        "raw_problem": raw_problem[0] if raw_problem else "",
        "artefacts": artefacts,
        "listed": facts.LISTED,
        "units": shown,
        "no_units": why,
        "made": list(facts.made(block)),
        "data": {
            "seconds": number(seconds),
            "rate": block.rate,
            "channels": channels,
            "order": facts.order(channels),
            "traces": traces,
            "spectra": spectra,
            "artefacts": [[each["at"], each["seconds"], each["kind"]] for each in artefacts],
            "drift": units.drift(found) if found else [],
            "units": [
                {key: unit[key] for key in ("unit", "shank", "label", "wave", "amplitudes", "presence", "acg", "near")}
                for unit in shown
            ],
            "bin_ms": units.BIN_MS,
        },
    }


@contextmanager
def _raw(block: blocks.Block, problem: list[str]) -> Iterator[Raw | None]:
    """The raw recording, or None and why not."""
    try:
        opening = raw(block.note)
        recording = opening.__enter__()
    except (EphysError, OSError, KeyError, TypeError, ValueError) as error:
        problem.append(" ".join(str(error).split()).rstrip("."))
        yield None
        return
    try:
        yield recording
    finally:
        opening.__exit__(None, None, None)


def _sorted(block: blocks.Block) -> tuple[Sorted | None, list[dict[str, Any]], str]:
    """(The sorting with its units, their metrics, why there are none)."""
    if block.sorting is None:
        return None, [], "This block is not sorted yet: this is what stage 1 left."
    from ..qc import metrics
    from ..qc.units import load

    try:
        found = load(block.folder, block.name)
        return found, metrics.table(found), ""
    except EphysError as error:
        return None, [], f"The units cannot be shown: {error}"


def _summary(block: blocks.Block, channels: list[dict[str, Any]], shown: list[dict[str, Any]], seconds: float) -> str:
    shanks = {site.shank for site in block.sites}
    words = [
        facts.duration(seconds),
        f"{len(block.labels)} channels at {block.rate:g} Hz",
        f"{len(shanks)} shank{'s' if len(shanks) != 1 else ''}",
    ]
    for state in ("omitted", "suspicious"):
        named = [each["label"] for each in channels if each["state"] == state]
        if named:
            words.append(f"{state}: {', '.join(named[:12])}{' …' if len(named) > 12 else ''}")
    if shown:
        labels = dict.fromkeys(unit["label"] for unit in shown)
        counts = ", ".join(f"{sum(unit['label'] == label for unit in shown)} {label}" for label in labels)
        words.append(f"{sum(unit['spikes'] for unit in shown):,} spikes, {len(shown)} clusters ({counts})")
    return " · ".join(words)
