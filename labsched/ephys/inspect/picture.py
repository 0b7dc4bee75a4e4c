"""The picture of a look: traces, levels, spectra, correlation and the probe, bad channels in colour."""

import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsched.ephys.errors import EphysError
from labsched.ephys.inspect.look import Look

#: Seconds of the traces: unfiltered, and in the spikes' band.
WIDE_S, NARROW_S = 0.4, 0.05
POINTS = 1500
#: Bad channels that are named beside their spectra and dots, at most: more would hide them.
NAMED = 16
GOOD = "#4a4f57"
COLOURS = {
    "dead": "#1f77b4",
    "flat": "#17a2b8",
    "noisy": "#d62728",
    "clipped": "#ff7f0e",
    "uncorrelated": "#9467bd",
    "outside": "#2ca02c",
    "not a number": "#e377c2",
}
SUFFIXES = (".png", ".pdf", ".svg")


def draw(look: Look, path: Path, *, title: str, omit: str = "", duration: float = 0.0) -> None:
    """Draw it all into one file. Raises EphysError where matplotlib is missing or the file cannot be written."""
    if path.suffix.lower() not in SUFFIXES:
        raise EphysError(f"a picture cannot be written as {path.name}: end its name in {', '.join(SUFFIXES)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fonts that lack a sign of a label, and the like
            figure = _figure(look, title, omit, duration)
            partial = path.with_name(f".{path.stem}.partial{path.suffix}")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                figure.savefig(partial, dpi=100, format=path.suffix.lower()[1:])
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
    except ImportError as error:
        raise EphysError(f"cannot draw the picture ({error}): pip install matplotlib, or do without") from None
    except OSError as error:
        raise EphysError(
            f"cannot write the picture {path}: {error.strerror or error}: name another --picture"
        ) from None


def _figure(look: Look, title: str, omit: str, duration: float) -> Any:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n = len(look.labels)
    order = _order(look)
    kinds = {each.channel: each.kind for each in look.verdict.findings}
    # Inches: every channel has a line of its own that can be read.
    rows = float(np.clip(0.17 * n, 4.2, 60.0))
    head, foot = 1.1 + 0.17 * len(_lines(look)), 5.2
    font = 8.0 if n <= 40 else 7.0
    with matplotlib.rc_context({"font.size": 8.5, "axes.titlesize": 9.5, "axes.spines.top": False,
                                "axes.spines.right": False, "axes.linewidth": 0.6}):  # fmt: skip
        figure = Figure(figsize=(18, rows + head + foot), layout=None)
        FigureCanvasAgg(figure)
        tall = rows + head + foot
        top, bottom = 1 - head / tall, (foot + 0.15) / tall
        upper = figure.add_gridspec(
            1,
            4,
            left=0.055,
            right=0.985,
            top=top,
            bottom=bottom + 0.2 / tall,
            wspace=0.12,
            width_ratios=(5, 4, 2.6, 3.4),
        )
        lower = figure.add_gridspec(
            1,
            3,
            left=0.055,
            right=0.965,
            top=(foot - 0.65) / tall,
            bottom=0.6 / tall,
            wspace=0.24,
            width_ratios=(5, 5, 4.6),
        )
        traces = figure.add_subplot(upper[0])
        _traces(traces, look, order, kinds, look.measures.traces, WIDE_S, "as recorded", font)
        band = figure.add_subplot(upper[1], sharey=traces)
        _traces(band, look, order, kinds, look.measures.band, NARROW_S, "above 300 Hz", font, labels=False)
        _levels(figure.add_subplot(upper[2], sharey=traces), look, order, kinds)
        _probe(figure.add_subplot(upper[3]), look, kinds, font, rows)
        _spectra(figure.add_subplot(lower[0]), look, kinds)
        _following(figure.add_subplot(lower[1]), look, kinds)
        _correlation(figure, figure.add_subplot(lower[2]), look, order, kinds)
        _head(figure, look, title, omit, duration, tall)
    return figure


def _order(look: Look) -> NDArray[np.int64]:
    """Channels from the top of the picture down: shank by shank, each from its top to its tip."""
    return np.lexsort((look.positions[:, 0], -look.positions[:, 1], look.shanks))


def _lines(look: Look) -> list[str]:
    found = look.verdict.findings
    lines = [look.said(each) for each in found[:12]]
    if len(found) > 12:
        lines.append(f"... and {len(found) - 12} more")
    lines += [f"note: {note}" for note in look.verdict.notes]
    return [short for line in lines for short in textwrap.wrap(line, 190)]


def _head(figure: Any, look: Look, title: str, omit: str, duration: float, tall: float) -> None:
    m = look.measures
    found = look.verdict.findings
    what = f"{len(found)} of {len(look.labels)} channels look bad" if found else "no channel looks bad"
    figure.text(0.012, 1 - 0.3 / tall, f"{title}: {what}", fontsize=14, weight="bold", va="center")
    about = f"{len(look.labels)} channels at {m.rate:g} Hz, {duration:.0f} s; "
    about += f"looked at {m.seconds:.1f} s of it, in {len(m.starts)} windows"
    figure.text(0.988, 1 - 0.3 / tall, about, ha="right", va="center", color="#555")
    by_label = {look.said(each): each.kind for each in found}
    for k, line in enumerate(_lines(look)):
        colour = next((COLOURS[kind] for said, kind in by_label.items() if said.startswith(line[:40])), "#333")
        figure.text(0.016, 1 - (0.58 + 0.17 * k) / tall, line, color=colour, va="center", fontsize=9)
    if found and omit:
        short = textwrap.shorten(omit.replace(",", ", "), 150, placeholder=" ...").replace(", ", ",")
        at = 1 - (0.6 + 0.17 * len(_lines(look))) / tall
        figure.text(0.016, at, f"--omit {short}", va="center", family="monospace", fontsize=9)


def _traces(
    axes: Any, look: Look, order: NDArray[np.int64], kinds: dict[int, str], data: NDArray[np.float32], seconds: float,
    what: str, font: float, labels: bool = True,
) -> None:  # fmt: skip
    m = look.measures
    count = min(round(seconds * m.rate), data.shape[1])
    piece = data[:, (data.shape[1] - count) // 2 :][:, :count].astype(np.float64)
    piece = piece - np.median(piece, axis=1, keepdims=True)
    good = [k for k in range(len(piece)) if k not in kinds] or list(range(len(piece)))
    size = float(np.median(np.quantile(np.abs(piece[good]), 0.995, axis=1))) or 1.0
    time, low, high = _envelope(piece, m.rate)
    for row, k in enumerate(order):
        colour = COLOURS.get(kinds.get(int(k), ""), GOOD)
        at = -row
        y = np.stack([low[k], high[k]], axis=1).reshape(-1) / (2.0 * size)
        axes.plot(np.repeat(time, 2) * 1e3, at + np.clip(y, -0.95, 0.95), color=colour, linewidth=0.5)
    axes.set_ylim(-len(order) + 0.3, 0.7)
    axes.set_xlim(0, time[-1] * 1e3)
    axes.set_xlabel("ms")
    axes.set_title(f"{what} (from line to line: {2 * size:.3g} µV)", loc="left")
    _named(axes, look, order, kinds, font, labels)


def _envelope(piece: NDArray[np.float64], rate: float) -> tuple[NDArray, NDArray, NDArray]:
    """Times (s), and lowest and highest values in each of at most `POINTS` steps: (t,), (c, t), (c, t)."""
    step = max(piece.shape[1] // POINTS, 1)
    count = piece.shape[1] // step
    steps = piece[:, : count * step].reshape(len(piece), count, step)
    return np.arange(count) * step / rate, steps.min(axis=2), steps.max(axis=2)


def _named(
    axes: Any, look: Look, order: NDArray[np.int64], kinds: dict[int, str], font: float, labels: bool = True
) -> None:
    """A line for each channel, named at the left; lines between shanks."""
    axes.set_yticks(-np.arange(len(order)))
    if labels:
        axes.set_yticklabels([look.labels[k] for k in order], fontsize=font)
        for tick, k in zip(axes.get_yticklabels(), order, strict=True):
            if int(k) in kinds:
                tick.set_color(COLOURS[kinds[int(k)]])
                tick.set_weight("bold")
    else:
        axes.tick_params(labelleft=False)
    for row in range(1, len(order)):
        if look.shanks[order[row]] != look.shanks[order[row - 1]]:
            axes.axhline(0.5 - row, color="#bbb", linewidth=0.8)


def _levels(axes: Any, look: Look, order: NDArray[np.int64], kinds: dict[int, str]) -> None:
    from matplotlib.ticker import LogLocator

    m = look.measures
    at = -np.arange(len(order))
    colours = [COLOURS.get(kinds.get(int(k), ""), GOOD) for k in order]
    least = 1e-2
    axes.hlines(at, least, np.maximum(m.level[order], least), color=colours, linewidth=2.2, alpha=0.35)
    axes.scatter(np.maximum(m.level[order], least), at, s=18, color=colours, label="all of it", zorder=3)
    axes.scatter(np.maximum(m.own[order], least), at, s=18, facecolors="white", edgecolors=colours, zorder=3,
                 label="of its own (not foretold by the others)")  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=7))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    high = max(float(np.max(m.level)), 1.0)
    axes.set_xlim(max(min(float(np.min(m.own)), float(np.min(m.level))) * 0.6, least), high * 1.6)
    axes.tick_params(labelleft=False)
    axes.set_title("noise above 300 Hz, µV", loc="left")
    axes.set_xlabel("● all   ○ of its own, which the others do not foretell")
    axes.grid(axis="x", linewidth=0.3, color="#ccc")
    _named(axes, look, order, kinds, 7, labels=False)


def _probe(axes: Any, look: Look, kinds: dict[int, str], font: float, rows: float) -> None:
    """Every shank in a column of its own; across a shank and along it, to scale as far as there is room."""
    shanks = np.unique(look.shanks)
    axes.set_title(
        "the probe (µm from the tip; shanks moved together)" if len(shanks) > 1 else "the probe (µm)", loc="left"
    )
    ys = look.positions[:, 1]
    tall = max(float(np.ptp(ys)), 1.0)
    for column, shank in enumerate(shanks):
        of = np.flatnonzero(look.shanks == shank)
        x, y = look.positions[of, 0], ys[of]
        wide = float(np.ptp(x))
        inner = (x - x.min()) / wide * 0.22 - 0.11 if wide > 0 else np.zeros(len(of))
        size = float(np.clip(6 if len(of) < 24 else 4, 3, 7))
        fits = min(font, 0.62 * 72 * rows / max(_crowded(inner, y), 1))
        for k, dx, at in zip(of, inner, y, strict=True):
            kind = kinds.get(int(k))
            colour = COLOURS[kind] if kind else GOOD
            axes.plot(column + dx, at, "s", markersize=size, color=colour, markerfacecolor=colour if kind else "white")
            left = dx < -0.02
            text = look.labels[k] + (f" {kind}" if kind and len(shanks) < 3 else "")
            axes.annotate(text, (column + dx, at), xytext=(-6 if left else 6, 0), textcoords="offset points",
                          ha="right" if left else "left", va="center", fontsize=max(fits, 3.5), color=colour,
                          weight="bold" if kind else "normal")  # fmt: skip
        if len(shanks) > 1:
            axes.text(column, ys.max() + 0.045 * tall, f"shank {shank}", ha="center", fontsize=font)
    axes.set_xlim(-0.6, len(shanks) - 0.3)
    axes.set_ylim(ys.min() - 0.04 * tall, ys.max() + 0.08 * tall)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _crowded(x: NDArray[np.float64], y: NDArray[np.float64]) -> int:
    """How many labels stand one above the other on the same side of a shank, were they as close everywhere as at the
    closest place."""
    most = 1
    for side in (x < -0.02, x >= -0.02):
        at = np.sort(y[side])
        steps = np.diff(at)
        steps = steps[steps > 0]
        if len(steps):
            most = max(most, int(np.ceil(float(np.ptp(y)) / float(steps.min()))))
    return most


def _spectra(axes: Any, look: Look, kinds: dict[int, str]) -> None:
    m = look.measures
    alive = m.spectrum > 0
    for k in sorted(range(len(look.labels)), key=lambda k: k in kinds):
        if not alive[k].any():
            continue
        kind = kinds.get(k)
        axes.plot(m.frequency[alive[k]], m.spectrum[k][alive[k]], linewidth=1.2 if kind else 0.5,
                  color=COLOURS[kind] if kind else GOOD, alpha=1.0 if kind else 0.45,
                  label=f"{look.labels[k]} ({kind})" if kind else None)  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("Hz")
    axes.set_title("spectra, µV²/Hz", loc="left")
    if len(m.frequency):
        axes.set_xlim(m.frequency[0], m.frequency[-1])
    if alive.any():
        good = m.spectrum[[k for k in range(len(look.labels)) if alive[k].any()]]
        axes.set_ylim(bottom=max(float(np.median(good)) * 1e-5, float(good[good > 0].min()) * 0.5))
    axes.grid(linewidth=0.3, color="#ddd")
    if 0 < len(kinds) <= NAMED:
        axes.legend(loc="lower left", fontsize=7, frameon=False)


def _following(axes: Any, look: Look, kinds: dict[int, str]) -> None:
    """What the others foretell of each channel, in either band; only channels that stand out are named."""
    m = look.measures
    x, y = 100 * m.follows, 100 * m.follows_field
    good = [k for k in range(len(look.labels)) if k not in kinds]
    axes.scatter(x[good], y[good], s=16, facecolors="white", edgecolors=GOOD, linewidths=0.8)
    for k, kind in kinds.items():
        axes.scatter(x[k], y[k], s=26, color=COLOURS[kind], zorder=3)
    named = kinds if len(kinds) <= NAMED else {}
    listed = _apart([(float(x[k]), float(y[k]), look.labels[k], COLOURS[kind]) for k, kind in named.items()])
    for at_x, at_y, text, colour in listed:
        axes.annotate(text, (at_x, at_y), xytext=(6, 0), textcoords="offset points", fontsize=7.5, va="center",
                      color=colour, weight="bold")  # fmt: skip
    axes.set_xlim(-4, 118)
    axes.set_ylim(-6, 106)
    axes.set_xlabel("% of it that the other channels foretell, above 300 Hz")
    axes.set_ylabel("% below 200 Hz")
    axes.set_title("how well each channel goes along with the others", loc="left")
    axes.grid(linewidth=0.3, color="#ddd")


def _apart(texts: list[tuple[float, float, str, str]]) -> list[tuple[float, float, str, str]]:
    """The same texts, those that would lie on one another moved up."""
    placed: list[tuple[float, float, str, str]] = []
    for x, y, text, colour in sorted(texts, key=lambda each: (each[1], each[0])):
        while any(abs(y - other[1]) < 4.5 and abs(x - other[0]) < 22 for other in placed):
            y += 1.0
        placed.append((x, y, text, colour))
    return placed


def _correlation(figure: Any, axes: Any, look: Look, order: NDArray[np.int64], kinds: dict[int, str]) -> None:
    matrix = look.measures.correlation[np.ix_(order, order)]
    image = axes.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
    axes.set_title("correlation above 300 Hz", loc="left")
    # Labels that would lie on one another go, those of bad channels last.
    step = max(len(order) // 32, 1)
    shown: list[int] = []
    for row in sorted(range(len(order)), key=lambda row: (int(order[row]) not in kinds, row)):
        if all(abs(row - other) >= step for other in shown):
            shown.append(row)
    names = [look.labels[order[row]] for row in shown]
    axes.set_yticks(shown, names, fontsize=6.5)
    axes.set_xticks(shown, names, fontsize=6.5, rotation=90)
    for ticks in (axes.get_yticklabels(), axes.get_xticklabels()):
        for tick, row in zip(ticks, shown, strict=True):
            if int(order[row]) in kinds:
                tick.set_color(COLOURS[kinds[int(order[row])]])
                tick.set_weight("bold")
    for row in range(1, len(order)):
        if look.shanks[order[row]] != look.shanks[order[row - 1]]:
            axes.axhline(row - 0.5, color="black", linewidth=0.5)
            axes.axvline(row - 0.5, color="black", linewidth=0.5)
    figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02)
