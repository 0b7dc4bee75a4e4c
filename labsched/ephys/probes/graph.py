"""Which sites of a shank are neighbours, and how a shank that lost sites hangs together again."""

from collections.abc import Collection, Mapping, Sequence
from math import hypot
from statistics import median

REACH = 1.5
"""Sites are neighbours up to this many times the shank's usual spacing: the diagonal of a square is, a gap is not."""

Point = tuple[float, float]
Edge = tuple[str, str]


def neighbours(points: Mapping[str, Point]) -> set[Edge]:
    """The edges of a shank from where its sites lie (µm).

    Two sites are neighbours when they are no farther apart than 1.5 times the median distance from a site to its
    nearest one: a chain for a linear probe, triangles for a staggered one, all pairs for a tetrode. Parts that this
    leaves apart are then joined by their closest pairs, so a shank is one connected graph.
    """
    ids = list(points)
    nearest = [min((_distance(points[a], points[b]) for b in ids if b != a), default=0.0) for a in ids]
    reach = REACH * median(nearest) * (1 + 1e-9) if nearest else 0.0
    edges = {(a, b) for k, a in enumerate(ids) for b in ids[k + 1 :] if _distance(points[a], points[b]) <= reach}
    return join(points, edges, [set(ids)])


def without(points: Mapping[str, Point], edges: Collection[Edge], lost: Collection[str]) -> set[Edge]:
    """The edges among the sites that are left; what hung together through a lost site still hangs together.

    A chain that loses a site is rejoined by its nearest ends. Parts that were apart before stay apart.
    """
    before = components(points, edges)
    left = {name: point for name, point in points.items() if name not in lost}
    kept = {(a, b) for a, b in edges if a in left and b in left}
    return join(left, kept, [part & set(left) for part in before])


def join(points: Mapping[str, Point], edges: Collection[Edge], wholes: Sequence[set[str]]) -> set[Edge]:
    """Add the shortest edges that make each of ``wholes`` connected (Kruskal's minimum spanning tree)."""
    result = set(edges)
    order = {name: k for k, name in enumerate(points)}
    for whole in wholes:
        part = {name: k for k, names in enumerate(components(whole, result)) for name in names}
        if len(set(part.values())) < 2:
            continue
        pairs = sorted(
            (_distance(points[a], points[b]), order[a], order[b], a, b)
            for a in whole
            for b in whole
            if order[a] < order[b]
        )
        for *_, a, b in pairs:
            if part[a] != part[b]:
                result.add((a, b))
                old, new = part[b], part[a]
                part = {name: new if k == old else k for name, k in part.items()}
    return result


def components(names: Collection[str], edges: Collection[Edge]) -> list[set[str]]:
    """The connected parts among ``names``."""
    adjacent: dict[str, set[str]] = {name: set() for name in names}
    for a, b in edges:
        if a in adjacent and b in adjacent:
            adjacent[a].add(b)
            adjacent[b].add(a)
    parts, seen = [], set[str]()
    for name in names:
        if name in seen:
            continue
        part, todo = set[str](), [name]
        while todo:
            here = todo.pop()
            if here not in part:
                part.add(here)
                todo += adjacent[here] - part
        seen |= part
        parts.append(part)
    return parts


def _distance(a: Point, b: Point) -> float:
    return hypot(a[0] - b[0], a[1] - b[1])
