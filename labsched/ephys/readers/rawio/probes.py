"""Where the channels lie, where a format says so: through probeinterface."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labsched.ephys.probes import Rig
from labsched.ephys.readers import geometry
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


def _spikeglx(reader: Any, stream: Stream) -> Rig | None:
    from probeinterface import read_spikeglx

    info = next((each for each in reader.signals_info_list if each["stream_name"] == stream.name), None)
    if info is None or info.get("device_kind") != "imec":
        return None
    probe = read_spikeglx(info["meta_file"])
    return geometry.of_probes(f"probe of {Path(info['meta_file']).name}", [probe], _numbered(stream))


def _open_ephys(stream: Stream, found: Sequence[Path]) -> Rig | None:
    from probeinterface import read_openephys

    for folder in [parent for each in found for parent in list(each.parents)[:4]]:
        settings = folder / "settings.xml"
        if settings.is_file() and b"NEUROPIX" in settings.read_bytes().upper():
            probe = read_openephys(settings, stream_name=stream.name, raise_error=False)
            return (
                None if probe is None else geometry.of_probes(f"probe of {settings.name}", [probe], _numbered(stream))
            )
    return None


def _numbered(stream: Stream) -> dict[int, str]:
    """The label of each channel of the device, in the order of the data."""
    return {channel.index: channel.label for channel in stream.channels}
