"""The page: one HTML file with its style, its script and its data inside, that asks nothing of any other file.

All text from outside goes through `html.escape`, or into the data, which is JSON without a ``<``; the script sets it
as text, never as markup; and the page's own policy lets nothing run or load but what its hashes name.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

SCRIPTS = ("draw.js", "probe.js", "signal.js", "units.js", "drift.js", "table.js", "main.js")
#: What the table of units shows, of `qc.metrics`: the key, the heading, and what it means.
COLUMNS = (
    ("firing_rate", "rate (Hz)", "spikes a second"),
    ("amplitude_median", "amplitude (µV)", "median amplitude on its best channel"),
    ("snr", "SNR", "largest amplitude of the mean waveform over the channel's noise"),
    ("isi_violations_ratio", "ISI viol.", "estimated contamination from intervals within the refractory period (Hill)"),
    ("isi_violations_count", "ISI < refr.", "intervals within the refractory period"),
    ("rp_contamination", "RP contam.", "contamination from refractory violations (Llobet)"),
    ("presence_ratio", "presence", "part of the recording in which it fires"),
    ("amplitude_cutoff", "ampl. cutoff", "estimated part of its spikes that were too small to be detected"),
    ("isolation_distance", "isol. dist.", "isolation distance in feature space: larger is better"),
    ("l_ratio", "L-ratio", "L-ratio in feature space: smaller is better"),
    ("d_prime", "d′", "separation from the other spikes by a linear discriminant"),
    ("nn_hit_rate", "NN hits", "part of its spikes whose nearest neighbours are its own"),
    ("silhouette", "silhouette", "silhouette score: 1 is far from all others"),
)


def render(content: Mapping[str, Any]) -> str:
    """The page as text; `content` is that of `make.gather`."""
    style = _static("page.css")
    script = "\n".join(_static(name) for name in SCRIPTS)
    name = escape(str(content["name"]))
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src '{_hash(script)}'; base-uri 'none'"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{name}: report</title>",
            f"<style>{style}</style></head>",
            "<body>",
            *_head(content),
            "<main>",
            *_channels(content),
            *_signal(content),
            *_artefacts(content),
            *_units(content),
            *_made(content),
            "</main>",
            f'<script type="application/json" id="data">{_json(content["data"])}</script>',
            f"<script>{script}</script>",
            "</body></html>",
            "",
        ]
    )


def _static(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _json(data: Any) -> str:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for each in "<>&\u2028\u2029":
        text = text.replace(each, f"\\u{ord(each):04x}")
    return text


def _head(content: Mapping[str, Any]) -> Iterable[str]:
    yield f"<header><h1>{escape(str(content['name']))}</h1>"
    yield f"<p class=facts>{escape(content['summary'])}</p>"
    for kind, sentences in (("problem", content["problems"]), ("warning", content["warnings"])):
        if sentences:
            yield f'<ul class="{kind}s">'
            yield from (f"<li>{escape(sentence)}</li>" for sentence in sentences)
            yield "</ul>"
    links = [("channels", "Channels"), ("signal", "Signal"), ("artefacts", "Artefacts")]
    links += [("drift", "Drift"), ("units", "Units"), ("details", "Each unit")] if content["units"] else []
    links += [("made", "How it was made")]
    yield '<nav aria-label="contents">' + " ".join(f'<a href="#{to}">{says}</a>' for to, says in links) + "</nav>"
    yield "<noscript><p class=problems>The drawings need scripts, which are off here; tables and figures do not."
    yield "</p></noscript></header>"


def _channels(content: Mapping[str, Any]) -> Iterable[str]:
    yield "<section id=channels><h2>Probe and channels</h2>"
    yield "<p>Each channel where the probe file puts it, by its label: check it against your wiring. Columns of sites "
    yield "stand side by side; depths are to scale. A cross is an omitted channel, a ring with ! a suspicious one.</p>"
    yield '<div id="probe" class="wide" tabindex="0" role="region" aria-label="the probe"></div>'
    heads = [(head, "") for head in ("channel", "state", "shank", "site", "x (µm)", "y (µm)")]
    heads += [("noise before (µV)", "robust, of the raw recording"), ("noise after (µV)", "robust, after stage 1")]
    heads += [("clipped", "values that did not fit"), ("why", "")]
    keys = ("label", "state", "shank", "site", "x", "y", "before", "after", "clipped", "reason")
    rows = ((f'class="{each["state"]}"', [each[key] for key in keys]) for each in content["data"]["channels"])
    worst = [each for each in content["data"]["channels"] if each["state"] != "ok"]
    if worst:
        yield "<ul>"
        for each in worst:
            yield f"<li><b>{escape(each['label'])}</b> {each['state']}: {escape(each['reason'])}</li>"
        yield "</ul>"
    yield "<details><summary>All channels in a table</summary>"
    yield from table("channel-table", heads, rows)
    yield "</details></section>"


def _signal(content: Mapping[str, Any]) -> Iterable[str]:
    yield "<section id=signal><h2>Signal, before and after</h2>"
    if content["raw_problem"]:
        yield f"<p class=problems>The raw recording is not drawn: {escape(content['raw_problem'])}.</p>"
    if content["data"]["traces"]["windows"]:
        yield "<p>Traces on one scale, each less its median; channels shank by shank, upper sites first.</p>"
        yield "<div id=traces></div>"
    if content["data"]["spectra"]:
        seconds = content["data"]["spectra"]["seconds"]
        yield "<h3>Spectra</h3><p>The median channel, and the band within which four of five channels lie; from "
        yield f"{seconds:.3g} s, spread over the recording.</p><div id=spectra></div>"
    yield "</section>"


def _artefacts(content: Mapping[str, Any]) -> Iterable[str]:
    found = content["artefacts"]
    yield "<section id=artefacts><h2>Artefacts</h2>"
    if not found:
        yield "<p>Stage 1 found none.</p></section>"
        return
    total = sum(each["seconds"] for each in found)
    yield f"<p>{len(found)} found by stage 1, {total:.2f} s in all. Saturations are blanked, movements referenced away."
    yield "</p><div id=artefact-strip></div>"
    longest = sorted(found, key=lambda each: -each["seconds"])[: content["listed"]]
    every = "" if len(longest) == len(found) else f", the {len(longest)} longest"
    yield f"<details><summary>All in a table{every}</summary>"
    heads = (("at (s)", "in the de-noised data"), ("length (s)", ""), ("kind", ""), ("done", ""), ("channels", ""))
    n = len(content["data"]["order"])
    rows = (
        (
            "",
            [round(each["at"], 4), round(each["seconds"], 4), each["kind"], each["action"],
             "all" if len(each["channels"]) >= n else ", ".join(each["channels"])],
        )
        for each in sorted(longest, key=lambda each: each["at"])
    )  # fmt: skip
    yield from table("artefact-table", heads, rows)
    yield "</details></section>"


def _units(content: Mapping[str, Any]) -> Iterable[str]:
    units = content["units"]
    if not units:
        yield f"<section id=units><h2>Units</h2><p>{escape(content['no_units'])}</p></section>"
        return
    yield "<section id=drift><h2>Drift map</h2><p>A sample of all spikes: when, and at which depth of the shank their "
    yield "features put them; colour is the amplitude of the unit.</p><div id=drift-map></div></section>"
    known = {key for unit in units for key, value in unit["metrics"].items() if value is not None}
    columns = [each for each in COLUMNS if each[0] in known]
    labels = list(dict.fromkeys(unit["label"] for unit in units))
    yield "<section id=units><h2>Units</h2>"
    yield "<p>Sort by a column's heading; again for the other direction. A unit's name leads to its drawings.</p>"
    yield '<div class="bar" role="group" aria-label="which units are shown">'
    yield from (
        f'<label><input type="checkbox" class="kind" checked value="{escape(label)}"> {escape(label)} '
        f"({sum(unit['label'] == label for unit in units)})</label>"
        for label in labels
    )
    yield "</div>"
    heads = (("unit", "shank and cluster"), ("label", ""), ("channel", "its best channel"), ("spikes", ""))
    rows = (
        (
            f'data-unit="{escape(unit["unit"])}" data-label="{escape(unit["label"])}"',
            [Link(f"#unit-{unit['unit']}", unit["unit"]), unit["label"], unit["peak"], unit["spikes"],
             *(unit["metrics"].get(key) for key, _, _ in columns)],
        )
        for unit in units
    )  # fmt: skip
    yield from table("unit-table", (*heads, *((head, says) for _, head, says in columns)), rows)
    yield "</section><section id=details><h2>Each unit</h2>"
    yield "<p>Mean waveform with one standard deviation, by channel; amplitude over time with presence below it; "
    yield "auto-correlogram; cross-correlograms with the most similar units of its shank.</p>"
    for k, unit in enumerate(units):
        title = f"unit {unit['unit']} · {unit['label']} · {unit['spikes']:,} spikes · best on {unit['peak']}"
        yield f'<article id="unit-{escape(unit["unit"])}" data-k="{k}" data-label="{escape(unit["label"])}">'
        yield f"<h3>{escape(title)}</h3>"
        said = [f"{head} {short(unit['metrics'].get(key))}" for key, head, _ in columns]
        said += [f"{unit['label']} for {', '.join(unit['reasons'])}"] if unit["reasons"] else []
        yield f'<p class="quiet">{escape(" · ".join(said))}</p><div class="cards"></div></article>'
    yield "</section>"


def _made(content: Mapping[str, Any]) -> Iterable[str]:
    yield "<section id=made><h2>How it was made</h2><dl>"
    for name, value in content["made"]:
        yield f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
    yield "</dl></section>"


class Link(str):
    """A cell that leads to a place on the page."""

    to: str

    def __new__(cls, to: str, says: str) -> "Link":
        made = super().__new__(cls, says)
        made.to = to
        return made


def table(name: str, heads: Sequence[tuple[str, str]], rows: Iterable[tuple[str, Sequence[Any]]]) -> Iterable[str]:
    """A table that can be sorted; the cells' values as they sort are in ``data-v``."""
    yield '<div class="wide" tabindex="0" role="region" aria-label="table">'
    yield f'<table id="{name}" class="sortable"><thead><tr>'
    for head, says in heads:
        hint = f' title="{escape(says)}"' if says else ""
        yield f'<th scope="col"{hint}><button type="button">{escape(head)}</button></th>'
    yield "</tr></thead><tbody>"
    for attributes, cells in rows:
        yield f"<tr {attributes}>" + "".join(_cell(cell) for cell in cells) + "</tr>"
    yield "</tbody></table></div>"


def _cell(value: Any) -> str:
    if isinstance(value, Link):
        return f'<th scope="row" data-v="{escape(value)}"><a href="{escape(value.to)}">{escape(value)}</a></th>'
    if isinstance(value, str):
        return f'<td data-v="{escape(value)}">{escape(value)}</td>'
    if value is None:
        return '<td class="number" data-v="">–</td>'
    return f'<td class="number" data-v="{value}">{escape(short(value))}</td>'


def short(value: Any) -> str:
    """A number with three digits, thousands set apart; – for none."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return value
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if size >= 0.001 or not size else f"{value:.1e}"
