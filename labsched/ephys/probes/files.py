"""Reading probes and rigs: klusta's .prb, probeinterface's JSON, rig files, and the built-in library."""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import EphysError
from . import prb
from .layout import Probe, Site

SUFFIXES = (".toml", ".prb", ".json")


@dataclass(frozen=True)
class Rig:
    """A lab's wiring: a probe, and the site id that each port label is wired to; `stream`: of formats with several."""

    title: str
    probe: Probe
    ports: Mapping[str, str]
    stream: str = ""


def builtin() -> tuple[str, ...]:
    """The names of the probes that come with us."""
    folder = resources.files(__package__) / "library"
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".json")))


def load(probe: str | Path, folder: Path, *, rigs: bool = True) -> Probe | Rig:
    """Read a rig or a probe by path or name (as in :func:`.resolve`); EphysError where it cannot be.

    A rig names a probe, never a rig: there ``rigs`` is false and a bare name is not looked for as a .toml.
    """
    name = str(probe)
    if not name.strip():
        raise EphysError("the name of the probe is empty: give a rig file, a probe file or a built-in probe")
    path = folder / Path(name).expanduser()
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        text = _text(path, "rig" if suffix == ".toml" else "probe")
        return rig(path, text) if suffix == ".toml" else _probe(path, text)
    if name in builtin():
        entry = resources.files(__package__) / "library" / f"{name}.json"
        return _interface(entry.read_text(encoding="utf-8"), name)
    for end in SUFFIXES[not rigs :] if "/" not in name else ():
        if (found := path.with_name(path.name + end)).is_file():
            return load(found, Path())
    if "/" in name or path.is_file():
        raise EphysError(f"{path} is no probe that we can read: give a .prb, a probeinterface .json or a rig .toml")
    near = difflib.get_close_matches(name, builtin(), n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise EphysError(
        f"unknown probe {name}{hint}: give a file (.toml, .prb or .json), or one of the built-in {', '.join(builtin())}"
    )


def rig(path: Path, text: str) -> Rig:
    """A rig file: ``probe = "..."`` and a table ``[ports]`` of ``label = site``; ``name``, ``unconnected`` and
    ``stream`` may be.

    ``probe`` is a file beside the rig or a built-in name. Every site must have a port, except those that the list
    ``unconnected`` names. EphysError names the port or the site that is wrong.
    """
    title = f"rig {path}"
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        again = _twice(text)
        if again:
            raise EphysError(f"{title} {again}: give each port one line") from None
        raise EphysError(f"{title} is not valid TOML: {error}") from None
    known = ("name", "description", "probe", "ports", "unconnected", "stream")
    for key in table:
        if key not in known:
            raise EphysError(f"{title} has a key {key!r} that means nothing here: it may have {', '.join(known)}")
    wanted = table.get("probe")
    if not isinstance(wanted, str):
        raise EphysError(f'{title} names no probe: add a line such as probe = "{builtin()[0]}"')
    another = f"{title} names another rig, {wanted}, as its probe: name a .prb, a .json or a built-in probe"
    if wanted.lower().endswith(".toml"):
        raise EphysError(another)
    try:
        probe = load(wanted, path.parent, rigs=False)
    except EphysError as error:
        raise EphysError(f"{title}: {error}") from None
    if isinstance(probe, Rig):
        raise EphysError(another)
    ports = table.get("ports")
    if not isinstance(ports, dict) or not ports:
        raise EphysError(f"{title} has no [ports] table: add one with a line such as Port_1 = 1 for each port")
    unconnected = table.get("unconnected", [])
    if not isinstance(unconnected, list):
        raise EphysError(f"{title}: unconnected is not a list of sites: write it as unconnected = [3, 7]")
    stream = table.get("stream", "")
    if not isinstance(stream, str):
        raise EphysError(f'{title}: stream is not the name of one: write it as stream = "imec0.ap"')
    return Rig(title, probe, _ports(title, probe, ports, [str(site) for site in unconnected]), stream)


def _ports(title: str, probe: Probe, ports: Mapping[str, Any], unconnected: list[str]) -> dict[str, str]:
    ids = [site.id for site in probe.sites]
    wired: dict[str, str] = {}
    for label, site in ports.items():
        if isinstance(site, bool) or not isinstance(site, int | str):
            raise EphysError(f"{title}: {label} = {site!r} is not a site: give its number or its contact id")
        if str(site) not in ids:
            raise EphysError(
                f"{title} wires {label} to site {site}, which probe {probe.name} does not have: "
                f"its {len(ids)} sites are {_some(ids)}"
            )
        wired[label] = str(site)
    for site in ids:
        users = [label for label, at in wired.items() if at == site]
        if len(users) > 1:
            raise EphysError(f"{title} wires {' and '.join(users)} to the same site {site}: give each port its own")
    for site in unconnected:
        if site not in ids:
            raise EphysError(f"{title} calls site {site} unconnected, which probe {probe.name} does not have")
        if site in wired.values():
            raise EphysError(f"{title} calls site {site} unconnected and wires a port to it: take one of them out")
    missing = [site for site in ids if site not in wired.values() and site not in unconnected]
    if missing:
        raise EphysError(
            f"{title} has {len(wired)} ports for the {len(ids)} sites of probe {probe.name}: no port is wired to site "
            f"{_some(missing)}; add the missing ports, or list the sites as unconnected = [{_some(missing)}]"
        )
    return wired


def _twice(text: str) -> str | None:
    """What a TOML table that has a port twice says, with line numbers, as the parser does not name it."""
    first: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if line.startswith("["):
            section = line.split("#")[0].strip()
        elif section == "[ports]" and "=" in line and not line.startswith("#"):
            label = line.split("=")[0].strip().strip("\"'")
            if label in first:
                return f"has {label} twice, in lines {first[label]} and {number}"
            first[label] = number
    return None


def _probe(path: Path, text: str) -> Probe:
    return prb.read(text, str(path)) if path.suffix.lower() == ".prb" else _interface(text, str(path))


def _text(path: Path, kind: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EphysError(f"there is no {kind} file {path}: check the path, or name a built-in probe") from None
    except UnicodeDecodeError:
        raise EphysError(f"{kind} file {path} is not text: give a .prb, a probeinterface .json or a .toml") from None
    except OSError as error:
        raise EphysError(f"{kind} file {path} cannot be read: {error.strerror}") from None


def _interface(text: str, name: str) -> Probe:
    """A probeinterface file: one group per shank of each probe; channel order by device index where all have one."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise EphysError(f"probe {name} is not valid JSON: {error.msg} in line {error.lineno}") from None
    if not isinstance(content, dict) or content.get("specification") != "probeinterface":
        raise EphysError(f"probe {name} is not a probeinterface file: it must say specification: probeinterface")
    from probeinterface import ProbeGroup  # type: ignore[import-untyped]

    try:
        probes = ProbeGroup.from_dict(content).probes
        factors = [{"um": 1.0, "mm": 1e3, "m": 1e6}[probe.si_units] for probe in probes]
        rows = [
            (
                str(probe.contact_ids[k]) if probe.contact_ids is not None and str(probe.contact_ids[k]) else None,
                (number, str(probe.shank_ids[k]) if probe.shank_ids is not None else ""),
                float(probe.contact_positions[k][0]) * factor,
                float(probe.contact_positions[k][1]) * factor,
                -1 if probe.device_channel_indices is None else int(probe.device_channel_indices[k]),
            )
            for number, (probe, factor) in enumerate(zip(probes, factors, strict=True))
            for k in range(probe.get_contact_count())
        ]
    except Exception as error:  # the library raises whatever a wrong file makes it trip over
        said = " ".join(str(error).split()) or type(error).__name__
        raise EphysError(f"probe {name} is not a valid probeinterface file: {type(error).__name__}: {said}") from None
    if not rows:
        raise EphysError(f"probe {name} has no contacts: choose another probe file")
    if any(row[0] is None for row in rows):
        rows = [(str(k + 1), *row[1:]) for k, row in enumerate(rows)]
    shanks = list(dict.fromkeys(row[1] for row in rows))
    if all(row[4] >= 0 for row in rows):
        rows.sort(key=lambda row: row[4])
    sites = tuple(Site(str(row[0]), shanks.index(row[1]), row[2], row[3]) for row in rows)
    return check(Probe(name, sites))


def check(probe: Probe) -> Probe:
    """The probe itself; EphysError where two sites have one id (several probes in one file may)."""
    ids = [site.id for site in probe.sites]
    again = sorted({site for site in ids if ids.count(site) > 1})
    if again:
        raise EphysError(f"probe {probe.name} has site {_some(again)} more than once: give each contact its own id")
    return probe


def _some(names: list[str], most: int = 64) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
