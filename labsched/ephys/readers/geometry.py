"""Where the channels lie, as a recording itself says it: a rig of what probeinterface or a table of electrodes has."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from labsched.ephys.probes import Probe, Rig, Site


class Contact(NamedTuple):
    """One site: the label of its channel, its name, what it is grouped by (a shank), and where it lies (µm)."""

    label: str
    name: str
    group: str
    x: float
    y: float


def rig(title: str, contacts: Sequence[Contact], labels: Sequence[str]) -> Rig | None:
    """A rig of these contacts, or None where a label has none, or a place is unknown or taken twice."""
    if sorted(contact.label for contact in contacts) != sorted(labels):
        return None
    if not np.isfinite([(contact.x, contact.y) for contact in contacts]).all():
        return None
    if len({contact[2:] for contact in contacts}) < len(contacts):
        return None
    names = [contact.name for contact in contacts]
    if len(set(names)) < len(names) or not all(names):
        names = [contact.label for contact in contacts]
    groups = list(dict.fromkeys(contact.group for contact in contacts))
    sites = tuple(
        Site(name, groups.index(contact.group), contact.x, contact.y)
        for name, contact in zip(names, contacts, strict=True)
    )
    return Rig(title, Probe(title, sites), {c.label: name for c, name in zip(contacts, names, strict=True)})


def of_probes(title: str, probes: Sequence[Any], labels: Mapping[int, str]) -> Rig | None:
    """The same from probes of probeinterface's; `labels` by the channel of the device that a contact is wired to."""
    contacts: list[Contact] = []
    for number, probe in enumerate(probes):
        count = probe.get_contact_count()
        factor = {"um": 1.0, "mm": 1e3, "m": 1e6}[probe.si_units]
        wired = probe.device_channel_indices
        wired = np.arange(len(contacts), len(contacts) + count) if wired is None else wired
        shanks = [""] * count if probe.shank_ids is None or not len(probe.shank_ids) else probe.shank_ids
        names = [""] * count if probe.contact_ids is None else probe.contact_ids
        for k in range(count):
            if (label := labels.get(int(wired[k]))) is None:
                continue
            x, y = (float(each) * factor for each in probe.contact_positions[k][:2])
            contacts.append(Contact(label, str(names[k]), f"{number} {shanks[k]}", x, y))
    contacts.sort(key=lambda contact: contact.group)
    return rig(title, contacts, list(labels.values()))
