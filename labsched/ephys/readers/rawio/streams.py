"""Which of a format's streams is the recording: groups of channels that were sampled together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labsched.ephys.readers.rawio.kinds import Kind
from labsched.ephys.readers.source import no_stream
from labsched.ephys.recording import listed, natural

MICROVOLTS = {"v": 1e6, "volt": 1e6, "volts": 1e6, "mv": 1e3, "uv": 1.0, "nv": 1e-3}
#: What neo means where it does not say it.
UNITS = {"Plexon": "mV"}
#: Words in a stream's name that say it is no wide-band recording of neurons.
OTHER = re.compile(
    r"sync|nidq|\badc|_adc|\baux|auxil|\bdac|digital|supply|voltage|\bvdd|temperature|\bstim|\btrig|\bttl|event|"
    r"\blfp?\b|[-_.]lfp?$|\bdc\b|dc amplifier|accel|gyro|usb board|board adc|analog.?in|\bai\b|signals (adc|aux)|"
    r"\bfp\b|\bmag\b|marker|position",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Channel:
    """One channel: its label, where neo has it (`stream`, `index`), and ``microvolts = raw * gain + offset``."""

    label: str
    stream: int
    index: int
    rate: float
    dtype: str
    gain: float
    offset: float
    known: bool


@dataclass(frozen=True)
class Stream:
    """Channels of one rate that belong together; of several of neo's streams where the format is `joined`."""

    name: str
    rate: float
    channels: tuple[Channel, ...]
    neural: bool


def listing(kind: Kind, header: Any) -> list[Stream]:
    """All streams with a channel that a header tells of, in its order."""
    found = []
    for number, each in enumerate(header["signal_streams"]):
        rows = header["signal_channels"][header["signal_channels"]["stream_id"] == each["id"]]
        if not len(rows):
            continue
        names = _labels([str(row["name"]) for row in rows], [str(row["id"]) for row in rows])
        unit = UNITS.get(kind.name, "")
        channels = tuple(
            _channel(label, number, k, row, unit) for k, (label, row) in enumerate(zip(names, rows, strict=True))
        )
        title = str(each["name"]) or str(each["id"])
        voltage = all(_plain(str(row["units"])) in {*MICROVOLTS, ""} for row in rows)
        found.append(Stream(title, channels[0].rate, channels, voltage and not OTHER.search(title.replace("_", " "))))
    return _joined(found) if kind.joined else found


def _joined(found: Sequence[Stream]) -> list[Stream]:
    """Streams of one rate as one, called by it."""
    rates = list(dict.fromkeys(round(each.rate, 3) for each in found))
    made = []
    for rate in rates:
        alike = [each for each in found if round(each.rate, 3) == rate]
        neural = [each for each in alike if each.neural] or alike
        channels = [channel for each in neural for channel in each.channels]
        labels = _labels([channel.label for channel in channels], [f"{c.label}#{k}" for k, c in enumerate(channels)])
        named = tuple(_renamed(channel, label) for channel, label in zip(channels, labels, strict=True))
        made.append(Stream(f"{rate:g} Hz", alike[0].rate, named, any(each.neural for each in alike)))
    return made


def _renamed(channel: Channel, label: str) -> Channel:
    return Channel(**{**vars(channel), "label": label})


def _labels(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """The channels' names, or their ids where two have one name; none with a comma or blanks, which end a label."""
    clean = [re.sub(r"[\s,]+", "_", name.strip()).strip("_") for name in names]
    if len(set(clean)) < len(clean) or not all(clean):
        clean = [re.sub(r"[\s,]+", "_", each.strip()) for each in ids]
    return [label if clean.count(label) == 1 else f"{label}_{k}" for k, label in enumerate(clean)]


def _plain(units: str) -> str:
    return units.strip().casefold().replace("µ", "u").replace("μ", "u")


def _channel(label: str, stream: int, index: int, row: Any, unit: str) -> Channel:
    factor, gain = MICROVOLTS.get(_plain(str(row["units"]) or unit)), float(row["gain"])
    offset = float(row["offset"])
    known = factor is not None and gain != 0
    scale = (gain * factor, offset * factor) if factor is not None and gain != 0 else (1.0, 0.0)
    return Channel(label, stream, index, float(row["sampling_rate"]), str(row["dtype"]), *scale, known)


def choose(path: Path, found: Sequence[Stream], wanted: str) -> tuple[Stream, list[str]]:
    """(the stream that is wanted, or else that of the highest rate that looks neural; notes on what was left out)."""
    names = [each.name for each in found]
    if wanted:
        same = [each for each in found if each.name == wanted] or [
            each for each in found if each.name.casefold() == wanted.casefold()
        ]
        if len(same) != 1:
            same = [each for each in found if wanted.casefold() in each.name.casefold()]
        if len(same) != 1:
            raise no_stream(path, wanted, names)
        return same[0], []
    best = max(found, key=lambda each: (each.neural, each.rate, len(each.channels)))
    others = [each for each in found if each is not best]
    if not others:
        return best, []
    left = "; ".join(
        f"{each.name} ({len(each.channels)} channels, {each.rate:g} Hz)"
        for each in sorted(others, key=lambda each: natural(each.name))
    )
    notes = [f"stream {best.name} was chosen ({len(best.channels)} channels, {best.rate:g} Hz); left out: {left}"]
    rivals = [each.name for each in others if each.neural == best.neural and each.rate == best.rate]
    if rivals:
        notes.append(f"stream {listed(rivals)} may be meant as well: choose with --stream")
    return best, notes
