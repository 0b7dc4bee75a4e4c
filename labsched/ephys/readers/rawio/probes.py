"""Where the channels lie, where a format says so: through probeinterface."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labsched.ephys.probes import Probe, Rig, Site
from labsched.ephys.readers.rawio.kinds import Kind
from labsched.ephys.readers.rawio.streams import Stream


def wiring(kind: Kind, reader: Any, stream: Stream, found: Sequence[Path]) -> tuple[Rig | None, list[str]]:
    """(where each channel of the stream lies, or None; notes)."""
    try:
        if kind.name == "SpikeGLX":
            return _spikeglx(reader, stream), []
        if kind.marker:
            return _open_ephys(stream, found), []
    except Exception as error:  # the library raises whatever a header that it does not know makes it trip over
        said = " ".join(str(error).split())[:200]
        return None, [f"where the channels lie could not be read from the header ({said}): name a probe"]
    return None, []


def from_probe(title: str, probe: Any, labels: dict[int, str]) -> Rig | None:
    """A probe of probeinterface's with the label of each device channel; None where not all labels have a contact."""
    wired = probe.device_channel_indices
    if wired is None:
        return None
    factor = {"um": 1.0, "mm": 1e3, "m": 1e6}[probe.si_units]
    shanks = probe.shank_ids if probe.shank_ids is not None and len(probe.shank_ids) else [""] * len(wired)
    order = sorted(dict.fromkeys(str(each) for each in shanks))
    sites, ports = [], {}
    for k, channel in enumerate(np.asarray(wired).tolist()):
        if channel not in labels:
            continue
        name = str(probe.contact_ids[k]) if probe.contact_ids is not None else str(k)
        x, y = (float(each) * factor for each in probe.contact_positions[k][:2])
        sites.append(Site(name, order.index(str(shanks[k])), x, y))
        ports[labels[channel]] = name
    if len(ports) < len(labels) or len({site.id for site in sites}) < len(sites):
        return None
    return Rig(title, Probe(title, tuple(sites)), ports)


def _spikeglx(reader: Any, stream: Stream) -> Rig | None:
    from probeinterface import read_spikeglx

    info = next((each for each in reader.signals_info_list if each["stream_name"] == stream.name), None)
    if info is None or info.get("device_kind") != "imec":
        return None
    probe = read_spikeglx(info["meta_file"])
    return from_probe(f"probe of {Path(info['meta_file']).name}", probe, _numbered(stream))


def _open_ephys(stream: Stream, found: Sequence[Path]) -> Rig | None:
    from probeinterface import read_openephys

    for folder in [parent for each in found for parent in list(each.parents)[:4]]:
        settings = folder / "settings.xml"
        if settings.is_file() and b"NEUROPIX" in settings.read_bytes().upper():
            probe = read_openephys(settings, stream_name=stream.name, raise_error=False)
            return from_probe(f"probe of {settings.name}", probe, _numbered(stream)) if probe is not None else None
    return None


def _numbered(stream: Stream) -> dict[int, str]:
    """The label of each channel of the device, in the order of the data."""
    return {channel.index: channel.label for channel in stream.channels}
