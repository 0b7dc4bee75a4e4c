"""Where each kept channel lies: the nouns that stage 1 writes into the .prb and the sorter works by."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Site:
    """One contact of a probe: its identity in the probe's own numbering, its shank, and where it lies (µm)."""

    id: str
    group: int
    x: float
    y: float


@dataclass(frozen=True)
class Probe:
    """A probe as its file describes it, before any channel is mapped to it.

    ``sites`` are in the probe's channel order (the order in which naturally sorted labels are mapped where no rig
    says otherwise). ``edges`` are pairs of site ids that the file itself calls neighbours, by group; a group that is
    not in it gets its graph from the geometry.
    """

    name: str
    sites: tuple[Site, ...]
    edges: dict[int, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    columns: bool = False  # the ids are columns of a data file (a .prb): some may be left out on purpose


@dataclass(frozen=True)
class Group:
    """Channels that are sorted together: what is left of one shank.

    ``channels`` are indices into the kept data order (``Layout.labels``); ``labels``, ``sites`` and ``geometry``
    (x, y in µm) run along with them. ``graph`` holds the edges between neighbours, as pairs of those indices,
    smaller first, sorted.
    """

    number: int
    channels: tuple[int, ...]
    labels: tuple[str, ...]
    geometry: tuple[tuple[float, float], ...]
    graph: tuple[tuple[int, int], ...]
    sites: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Which kept channel lies where.

    ``labels`` are the kept labels in data order, ``sites`` the probe's site of each, ``groups`` the shanks that still
    have channels, and ``notes`` what a person should know (a shank that lost all its sites, an assumed geometry);
    ``known`` is False where the places are assumed; ``left_out`` says where the omitted channels lie.
    """

    labels: tuple[str, ...]
    groups: tuple[Group, ...]
    sites: tuple[str, ...] = ()
    probe: str = ""
    notes: tuple[str, ...] = ()
    known: bool = True
    left_out: tuple[tuple[str, Site], ...] = ()

    @property
    def together(self) -> tuple[int, ...]:
        """For each kept channel, how many channels lie on its shank."""
        sizes = {channel: len(group.channels) for group in self.groups for channel in group.channels}
        return tuple(sizes.get(channel, 1) for channel in range(len(self.labels)))

    def write_prb(self, path: str | Path) -> None:
        """Write klusta's probe file: ``channel_groups = {number: {channels, graph, geometry}}``."""
        Path(path).write_text(self.prb(), encoding="utf-8")

    def prb(self) -> str:
        """The text of klusta's probe file."""
        lines = [f"# {self.probe or 'no probe'}: {len(self.labels)} channels; positions in µm", "channel_groups = {"]
        for group in self.groups:
            lines += [
                f"    {group.number}: {{",
                f"        'channels': {list(group.channels)},",
                f"        'graph': {list(group.graph)},",
                "        'geometry': {",
            ]
            sites = group.sites or ("?",) * len(group.channels)
            for channel, (x, y), label, site in zip(group.channels, group.geometry, group.labels, sites, strict=True):
                said = " ".join(f"{label}, site {site}".split())
                lines.append(f"            {channel}: ({x:g}, {y:g}),  # {said}")
            lines += ["        },", "    },"]
        return "\n".join([*lines, "}", ""])
