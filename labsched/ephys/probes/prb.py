"""klusta's .prb files: Python source that defines ``channel_groups``, read without running it.

People write ``list(range(16))``, comprehensions and small loops in them, so :mod:`..harmless` evaluates that much of
Python, and nothing that could touch anything outside.
"""

from math import isfinite
from typing import Any

from .. import harmless
from ..errors import EphysError
from .layout import Probe, Site

STEP_UM = 20.0


def read(text: str, name: str) -> Probe:
    """The probe in the text of a .prb; site ids are its channel numbers (columns of the data), in rising order.

    A group without ``geometry`` is taken for a line of sites 20 µm apart; one without ``graph`` gets its graph from
    the geometry. Raises EphysError that names the file, and the line or the group.
    """
    try:
        found = harmless.evaluate(text)
    except harmless.Unreadable as error:
        raise EphysError(f"probe {name}: {error}") from None
    groups = found.get("channel_groups")
    if not isinstance(groups, dict) or not groups:
        raise EphysError(f"probe {name} does not define channel_groups = {{0: {{'channels': [...], ...}}}}")
    sites: list[Site] = []
    edges: dict[int, tuple[tuple[str, str], ...]] = {}
    owner: dict[int, Any] = {}
    for key, group in groups.items():
        where = f"probe {name}, group {key!r}"
        if isinstance(key, bool) or not str(key).isdigit():
            raise EphysError(f"{where}: number the groups 0, 1, 2 …")
        if not isinstance(group, dict) or "channels" not in group:
            raise EphysError(f"{where} has no 'channels': add the list of its channel numbers")
        channels = [_channel(where, channel) for channel in _sequence(where, "channels", group["channels"])]
        for channel in channels:
            if channel in owner:
                raise EphysError(f"{where}: channel {channel} is also in group {owner[channel]!r}: give it one place")
            owner[channel] = key
        places = _geometry(where, group.get("geometry"), channels)
        sites += [Site(str(channel), int(key), *places[channel]) for channel in channels]
        if group.get("graph") is not None:
            edges[int(key)] = _graph(where, group["graph"], channels)
    if not sites:
        raise EphysError(f"probe {name} has no channels: fill in 'channels'")
    return Probe(name, tuple(sorted(sites, key=lambda site: int(site.id))), edges, columns=True)


def _sequence(where: str, key: str, value: Any) -> list[Any]:
    if isinstance(value, list | tuple | range | set):
        return list(value)
    raise EphysError(f"{where}: {key!r} is not a list")


def _channel(where: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise EphysError(f"{where}: {value!r} is not a channel number: channels count from 0")
    return value


def _geometry(where: str, value: Any, channels: list[int]) -> dict[int, tuple[float, float]]:
    if value is None:
        return {channel: (0.0, k * STEP_UM) for k, channel in enumerate(channels)}
    if isinstance(value, list | tuple) and len(value) == len(channels):
        value = dict(zip(channels, value, strict=True))
    if not isinstance(value, dict):
        raise EphysError(f"{where}: 'geometry' is not a dictionary {{channel: (x, y)}}")
    places: dict[int, tuple[float, float]] = {}
    for channel in channels:
        if channel not in value:
            raise EphysError(f"{where}: 'geometry' has no position for channel {channel}: add it")
        point = value[channel]
        good = isinstance(point, list | tuple) and len(point) == 2
        if not good or not all(isinstance(x, int | float) and isfinite(x) for x in point):
            raise EphysError(f"{where}: the position of channel {channel} is not (x, y) in µm")
        places[channel] = (float(point[0]), float(point[1]))
    return places


def _graph(where: str, value: Any, channels: list[int]) -> tuple[tuple[str, str], ...]:
    result = []
    for edge in _sequence(where, "graph", value):
        if not isinstance(edge, list | tuple) or len(edge) != 2:
            raise EphysError(f"{where}: {edge!r} in 'graph' is not a pair of channels")
        for channel in edge:
            if channel not in channels:
                raise EphysError(f"{where}: 'graph' names channel {channel!r}, which is not among its 'channels'")
        if edge[0] != edge[1]:
            result.append((str(edge[0]), str(edge[1])))
    return tuple(result)
