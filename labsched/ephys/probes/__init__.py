"""Probes and rigs: where each channel lies, from klusta's .prb, probeinterface's JSON, a rig file or a built-in."""

from .files import Rig, builtin
from .layout import Group, Layout, Probe, Site
from .resolve import natural, resolve, stream_of

__all__ = ["Group", "Layout", "Probe", "Rig", "Site", "builtin", "natural", "resolve", "stream_of"]
