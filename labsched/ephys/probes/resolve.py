"""From the labels in the data and a probe or a rig to a layout, or to a sentence that names what does not fit."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import EphysError
from . import graph
from .files import Rig, load
from .layout import Group, Layout, Probe, Site

ASSUMED_SPACING_UM = 20.0


def stream_of(probe: str | Path | None) -> str:
    """The stream that a rig names; nothing where ``probe`` is none, or names none. Raises EphysError as `resolve`."""
    if probe is None or not str(probe).strip():
        return ""
    found = load(probe, Path())
    return found.stream if isinstance(found, Rig) else ""


def natural(label: str) -> tuple[tuple[int, int | str], ...]:
    """A sort key under which ``Port_2`` comes before ``Port_10``."""
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"([0-9]+)", label) if part)


def resolve(
    probe: str | Path | None,
    labels: Sequence[str],
    omit: Collection[str] = (),
    folder: str | Path | None = None,
    carried: Rig | None = None,
) -> Layout:
    """Say where each channel lies.

    ``probe`` is a rig (.toml), a probe (.prb, probeinterface .json), the name of a built-in probe, or the name of
    such a file without its suffix in ``folder`` (relative paths start there; default: the current folder). ``labels``
    are the data's channels in data order; those in ``omit`` leave the layout, whether they are in ``labels`` or have
    been dropped already.

    With a rig the ports say it all. With only a probe, the labels in natural order are the sites in the probe's
    channel order, and their numbers must be equal (a .prb may leave out columns that are omitted). With None it is
    what the recording itself says, ``carried``; without that, all channels are taken for one shank, in natural order,
    20 µm apart.

    Raises EphysError that names the port, site or file where the two do not fit.
    """
    repeated = sorted({label for label in labels if list(labels).count(label) > 1}, key=natural)
    if repeated:
        raise EphysError(f"the data has more than one channel called {_list(repeated)}: rename one of them")
    dropped = set(omit)
    kept = tuple(label for label in labels if label not in dropped)
    if not kept:
        raise EphysError("every channel is omitted: leave at least one")
    everything = sorted({*labels, *dropped}, key=natural)
    if probe is None:
        if carried is None:
            return _unknown(everything, kept)
        return _layout(carried.probe, _by_rig(carried, everything, dropped), kept, carried.title)
    found = load(probe, Path(folder) if folder is not None else Path())
    if isinstance(found, Rig):
        return _layout(found.probe, _by_rig(found, everything, dropped), kept, found.title)
    return _layout(found, _by_order(found, everything, dropped), kept, found.name)


def _by_rig(rig: Rig, labels: Sequence[str], dropped: Collection[str]) -> dict[str, Site]:
    sites = {site.id: site for site in rig.probe.sites}
    strangers = [label for label in labels if label not in rig.ports and label not in dropped]
    if strangers:
        raise EphysError(
            f"{rig.title} maps no site to {_list(strangers)}: add to its [ports], or omit {_them(strangers)}"
        )
    absent = sorted(set(rig.ports) - set(labels), key=natural)
    if absent:
        raise EphysError(
            f"{rig.title} maps {_list(absent)}, which the data does not have (it has {_list(labels)}): "
            f"take {_them(absent)} out of its [ports], or choose the rig that this block was recorded with"
        )
    return {label: sites[rig.ports[label]] for label in labels if label in rig.ports}


def _by_order(probe: Probe, labels: Sequence[str], dropped: Collection[str]) -> dict[str, Site]:
    if len(labels) == len(probe.sites):
        return dict(zip(labels, probe.sites, strict=True))
    if probe.columns:
        at = {int(site.id): site for site in probe.sites}
        if max(at) < len(labels) and all(k in at or label in dropped for k, label in enumerate(labels)):
            return {label: at[k] for k, label in enumerate(labels) if k in at}
    raise EphysError(
        f"probe {probe.name} has {len(probe.sites)} sites but the data has {len(labels)} channels ({_list(labels)}): "
        "write a rig file that maps each port to its site, or choose another probe"
    )


def _unknown(labels: Sequence[str], kept: Sequence[str]) -> Layout:
    sites = tuple(Site(str(k + 1), 0, 0.0, k * ASSUMED_SPACING_UM) for k in range(len(labels)))
    line = Probe("no probe", sites)
    note = (
        f"no probe was named: the {len(kept)} channels are taken for one shank, in natural order, "
        f"{ASSUMED_SPACING_UM:g} µm apart"
    )
    return replace(_layout(line, dict(zip(labels, sites, strict=True)), kept, "no probe", (note,)), known=False)


def _layout(
    probe: Probe, where: Mapping[str, Site], kept: Sequence[str], name: str, notes: tuple[str, ...] = ()
) -> Layout:
    column = {where[label].id: k for k, label in enumerate(kept)}
    groups = []
    for number in sorted({site.group for site in probe.sites}):
        sites = [site for site in probe.sites if site.group == number]
        points = {site.id: (site.x, site.y) for site in sites}
        edges = set(probe.edges[number]) if number in probe.edges else graph.neighbours(points)
        edges = graph.without(points, edges, [site.id for site in sites if site.id not in column])
        left = [site for site in sites if site.id in column]
        if not left:
            notes += (f"shank {number} has no channel left: it is not sorted",)
            continue
        channels = tuple(column[site.id] for site in left)
        groups.append(
            Group(
                number=number,
                channels=channels,
                labels=tuple(kept[k] for k in channels),
                geometry=tuple((site.x, site.y) for site in left),
                graph=tuple(sorted({_ordered(column[a], column[b]) for a, b in edges})),
                sites=tuple(site.id for site in left),
            )
        )
    left_out = tuple((label, site) for label, site in where.items() if label not in kept)
    return Layout(tuple(kept), tuple(groups), tuple(where[label].id for label in kept), name, notes, left_out=left_out)


def _ordered(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _list(labels: Sequence[str], most: int = 40) -> str:
    shown = ", ".join(labels[:most])
    return shown if len(labels) <= most else f"{shown} and {len(labels) - most} more"


def _them(labels: Sequence[str]) -> str:
    return "it" if len(labels) == 1 else "them"
