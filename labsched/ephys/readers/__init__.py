"""Finding out what a folder holds, and opening it as one recording."""

import errno
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import flat, spike2, survey
from labsched.ephys.recording import Recording, keep, natural


@dataclass(frozen=True)
class Source:
    """What the headers of a block say, and nothing of its samples.

    `labels` are all its waveform channels and `kept` those that stay, both in natural order; `n_samples` is per
    channel (gaps not counted), `largest` the bytes of the kept channels' values of the largest file.
    """

    path: Path
    files: tuple[Path, ...]
    format: str
    labels: tuple[str, ...]
    kept: tuple[str, ...]
    omitted: tuple[str, ...]
    rate: float
    n_samples: int
    n_bytes: int
    gain_known: bool
    notes: tuple[str, ...]
    exports: tuple[survey.Export, ...] = ()
    flats: tuple[flat.Flat, ...] = ()


def examine(source: Path, omit: Collection[str] = ()) -> Source:
    """Look at a block's headers: a folder of Spike2 exports (.mat) or of .dat with .toml, or one such file.

    Raises EphysError, in a sentence that names file or channel, for everything that the headers can show: nothing
    there, unreadable, unknown or all channels omitted, rates or channels that differ.
    """
    kind, files = _files(source)
    if kind == ".dat":
        return _examine_flat(source, files, omit)
    exports = survey.survey(files)
    labels = {label for export in exports for label in export.waves}
    kept = keep(labels, omit)
    survey.agree(exports, kept)
    rate = survey.rate_of(exports, kept)
    used = {export.path for export in exports}
    notes = [f"{path.name} has no waveform channel: left out" for path in files if path not in used]
    others = sorted({name for export in exports for name in export.others}, key=natural)
    if others:
        notes.append(f"not waveforms, left out: {', '.join(others)}")
    strange = sorted({w.units for e in exports for n, w in e.waves.items() if n in kept} - {""})
    strange = [unit for unit in strange if unit.strip().casefold().replace("µ", "u").replace("μ", "u") not in UNITS]
    if strange:
        notes.append(f"unknown units {', '.join(strange)}: taken for volts")
    return Source(
        path=source,
        files=tuple(export.path for export in exports),
        format="spike2",
        labels=tuple(sorted(labels, key=natural)),
        kept=kept,
        omitted=tuple(sorted(set(omit), key=natural)),
        rate=rate,
        n_samples=sum(max(export.waves[label].count for label in kept) for export in exports),
        n_bytes=sum(export.path.stat().st_size for export in exports),
        gain_known=spike2.gain_known(exports, kept),
        notes=tuple(notes),
        exports=tuple(exports),
    )


UNITS = set(survey.MICROVOLTS)


def _examine_flat(source: Path, files: list[Path], omit: Collection[str]) -> Source:
    flats = sorted((flat.describe(path) for path in files), key=lambda each: (each.start_s, natural(each.path.name)))
    flat.agree(flats)
    labels = flats[0].labels
    return Source(
        path=source,
        files=tuple(each.path for each in flats),
        format="flat",
        labels=tuple(sorted(labels, key=natural)),
        kept=keep(labels, omit),
        omitted=tuple(sorted(set(omit), key=natural)),
        rate=flats[0].rate,
        n_samples=sum(each.n_samples for each in flats),
        n_bytes=sum(each.path.stat().st_size for each in flats),
        gain_known=all(each.gain_known for each in flats),
        notes=(),
        flats=tuple(flats),
    )


def _files(source: Path) -> tuple[str, list[Path]]:
    """(".mat" or ".dat", the files of that kind in natural order)."""
    try:
        if source.is_file():
            everything = [source]
        elif source.is_dir():
            everything = [each for each in source.iterdir() if not each.name.startswith(".") and each.is_file()]
        else:
            source.stat()
            raise EphysError(f"{source} is neither a folder nor a file: name the block's folder")
    except FileNotFoundError:
        raise EphysError(f"there is no folder {source}: check the block's name and where blocks are kept") from None
    except OSError as error:
        raise EphysError(f"cannot look into {source}: {error.strerror or error}") from None
    for kind in (".mat", ".dat"):
        found = [each for each in everything if each.suffix.lower() == kind]
        if found:
            return kind, sorted(found, key=lambda each: natural(each.name))
    held = "is empty" if not everything else "holds no .mat and no .dat file"
    raise EphysError(f"{source} {held}: export the block from Spike2 as MATLAB files into it")


@contextmanager
def opened(source: Source, scratch: Path | None = None) -> Iterator[Recording]:
    """The recording, open for reading until the block ends.

    `scratch` is a folder for what must be unpacked before it can be read (compressed MATLAB v5); nothing stays in it.
    Raises EphysError for what shows only now: gaps that differ, channels of unequal length, damaged data.
    """
    with ExitStack() as stack:
        try:
            if source.flats:
                segments = tuple(flat.segment(each, source.kept, stack) for each in source.flats)
            else:
                segments = spike2.segments(source.exports, source.kept, source.rate, scratch, stack)
        except PermissionError as error:
            raise EphysError(f"cannot read {error.filename}: permission denied") from None
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            raise EphysError(f"{source.path} has more files than may be open at once: raise `ulimit -n`") from None
        yield Recording(
            labels=source.kept,
            omitted=source.omitted,
            rate=source.rate,
            segments=segments,
            files=source.files,
            format=source.format,
            gain_known=source.gain_known,
            notes=source.notes,
        )
