"""The formats that are read through neo, how each is recognised, and with what neo's reader is called."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: How deep below a block's folder the files of one recording may lie (Open Ephys nests five).
DEPTH = 7


@dataclass(frozen=True)
class Kind:
    """A format: neo's class, the suffixes of its files, and whether a reader takes a folder (or one file each).

    `marker` is a file's name that tells the format of the folder above it; `joined`: neo puts channels that differ in
    length, start or gain into streams of their own, where a person means one recording.
    """

    name: str
    reader: str
    suffixes: tuple[str, ...]
    folder: bool = False
    marker: str = ""
    joined: bool = False
    extra: str = ""


#: In the order in which a folder is asked for them: what is unmistakable comes first.
KINDS = (
    Kind("Open Ephys (binary)", "OpenEphysBinaryRawIO", (".oebin",), folder=True, marker="structure.oebin"),
    Kind("SpikeGLX", "SpikeGLXRawIO", (".meta",), folder=True),
    Kind("Open Ephys (legacy)", "OpenEphysRawIO", (".continuous",), folder=True),
    Kind("Intan", "IntanRawIO", (".rhd", ".rhs")),
    Kind("Neuralynx", "NeuralynxRawIO", (".ncs",), folder=True, joined=True),
    Kind("Blackrock", "BlackrockRawIO", tuple(f".ns{n}" for n in range(1, 7))),
    Kind("Plexon", "PlexonRawIO", (".plx",)),
    Kind("Plexon 2", "Plexon2RawIO", (".pl2",)),
    Kind("CED Spike2 (64 bit)", "CedRawIO", (".smrx",), joined=True, extra="sonpy"),
    Kind("TDT", "TdtRawIO", (".tbk", ".tsq", ".tev"), folder=True),
    Kind("AlphaOmega", "AlphaOmegaRawIO", (".lsx", ".mpx"), folder=True),
    Kind("SpikeGadgets", "SpikeGadgetsRawIO", (".rec",)),
    Kind("NeuroNexus", "NeuroNexusRawIO", (".xdat.json",)),
    Kind("Maxwell", "MaxwellRawIO", (".raw.h5",)),
    Kind("Biocam", "BiocamRawIO", (".brw",)),
    Kind("Multi Channel Systems (raw)", "RawMCSRawIO", (".raw",)),
    Kind("Axon", "AxonRawIO", (".abf",)),
    Kind("AxoGraph", "AxographRawIO", (".axgd", ".axgx")),
    Kind("BrainVision", "BrainVisionRawIO", (".vhdr",)),
    Kind("EDF", "EDFRawIO", (".edf", ".bdf"), extra="pyedflib"),
    Kind("Micromed", "MicromedRawIO", (".trc",)),
    Kind("WinEDR", "WinEdrRawIO", (".edr",)),
    Kind("WinWCP", "WinWcpRawIO", (".wcp",)),
    Kind("NeuroExplorer", "NeuroExplorerRawIO", (".nex",)),
    Kind("NIX", "NIXRawIO", (".nix",), extra="nixio"),
    Kind("NeuroScope", "NeuroScopeRawIO", (".xml",)),
)
BLACKROCK = next(kind for kind in KINDS if kind.name == "Blackrock")
SUFFIXES = tuple(suffix for kind in KINDS for suffix in kind.suffixes)


def below(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The files in a folder and below it, hidden ones left out, in natural order of folders. Raises OSError."""
    entries = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    yield from (each for each in entries if each.is_file())
    if depth > 1:
        for each in entries:
            if each.is_dir():
                yield from below(each, depth - 1)


def recognise(files: Sequence[Path], deep: Iterable[Path]) -> tuple[Kind, list[Path]] | None:
    """The format of a block and its files: of a folder's own `files` or, for formats that lie deeper, of `deep`."""
    further: list[Path] | None = None
    for kind in KINDS:
        found = [each for each in files if each.name.lower().endswith(kind.suffixes) and _sure(kind, each)]
        if not found and kind.folder:
            further = list(deep) if further is None else further
            found = [each for each in further if each.name.lower().endswith(kind.suffixes) and _sure(kind, each)]
        if kind.marker:
            found = [each for each in found if each.name == kind.marker]
        if found:
            return kind, found
    return None


def _sure(kind: Kind, path: Path) -> bool:
    """Whether a file is one of the format, where its suffix alone does not say so."""
    if kind.name == "SpikeGLX":
        return _spikeglx(path)
    if kind.name == "NeuroScope":
        return path.with_suffix(".dat").is_file() and b"acquisitionSystem" in _head(path)
    if kind.name == "Multi Channel Systems (raw)":
        return b"MCS" in _head(path)
    return True


def _spikeglx(path: Path) -> bool:
    head = _head(path, 1 << 16)
    return b"snsSaveChanSubset" in head or b"nSavedChans" in head


def _head(path: Path, size: int = 4096) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""


def units(kind: Kind, source: Path, found: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """What neo is to be asked to open, one after the other: (path for sentences, arguments of its reader)."""
    if kind.folder:
        home = source if source.is_dir() else source.parent
        return [(home, {"dirname": str(_root(kind, home, found))})]
    if kind is BLACKROCK:
        stems: dict[Path, None] = dict.fromkeys(path.with_suffix("") for path in found)
        return [
            (next(path for path in found if path.with_suffix("") == stem), {"filename": str(stem), "load_nev": False})
            for stem in stems
        ]
    extra = {"progress_bar": False} if kind.name == "Plexon" else {}
    return [(path, {"filename": str(path), **extra}) for path in found]


def _root(kind: Kind, home: Path, found: Sequence[Path]) -> Path:
    """The folder that neo wants: that of the files themselves where it does not look further down."""
    parents = list(dict.fromkeys(path.parent for path in found))
    return parents[0] if kind.name in ("Neuralynx", "TDT", "AlphaOmega") and home not in parents else home
