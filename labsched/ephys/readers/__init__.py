"""Finding out what a block holds, and opening it as one recording."""

import errno
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from labsched.ephys.errors import EphysError
from labsched.ephys.readers import find, flat, folder, smr, spike2
from labsched.ephys.readers.rawio import kinds
from labsched.ephys.readers.source import Source, no_stream
from labsched.ephys.recording import Recording

__all__ = ["Source", "examine", "opened"]


def examine(source: Path, omit: Collection[str] = (), stream: str = "") -> Source:
    """Look at a block's headers: a folder or a file of any format that docs/how-to/input-formats.md lists.

    `stream` names a group of channels where the format has several. Raises EphysError, in a sentence that names file
    or channel, for everything that the headers can show: nothing there, unreadable, unknown or all channels omitted,
    rates or channels that differ.
    """
    here = find.place(source)
    try:
        return _examine(here, omit, stream)
    except PermissionError as error:
        raise EphysError(f"cannot read {error.filename or source}: permission denied") from None
    except OSError as error:
        raise EphysError(f"cannot read {error.filename or source}: {error.strerror or error}") from None


def _examine(here: find.Place, omit: Collection[str], stream: str) -> Source:
    made = _saved(here, omit, stream)
    if made is not None:
        return made
    found = None
    if not (mats := here.ending(".mat")) and not _described(here):
        found = kinds.recognise(here.files, here.deep)
    if found:
        from labsched.ephys.readers.rawio import read

        return read.examine(here.path, *found, here.deep, omit, stream)
    if (smrs := here.ending(".smr")) and not mats and not _described(here):
        return smr.examine(here.path, smrs, omit, stream)
    if (nwbs := here.ending(".nwb")) and not mats and not _described(here):
        from labsched.ephys.readers import nwb

        return nwb.examine(here.path, nwbs, omit, stream)
    if stream:
        raise no_stream(here.path, stream, ())
    if mats:
        return spike2.examine(here.path, mats, omit)
    if dats := here.ending(".dat"):
        return flat.examine(here.path, dats, omit)
    if inner := find.within(here):
        return _examine(inner, omit, stream)
    raise find.nothing(here)


def _saved(here: find.Place, omit: Collection[str], stream: str) -> Source | None:
    """A folder that SpikeInterface saved, or None."""
    mark = here.named(*find.MARKS)
    if mark is None:
        return None
    if stream:
        raise no_stream(here.path, stream, ())
    if mark.name in folder.FILES:
        return folder.examine(here.path, mark, omit)
    from labsched.ephys.readers import zarrs

    return zarrs.examine(here.path, omit)


def _described(here: find.Place) -> bool:
    """Whether a .dat lies there with the .toml that a flat file has."""
    return any(each.with_suffix(".toml").is_file() for each in here.ending(".dat"))


@contextmanager
def opened(source: Source, scratch: Path | None = None, *, sample: bool = False) -> Iterator[Recording]:
    """The recording, open for reading until the block ends.

    `scratch` is a folder for what must be unpacked before it can be read (compressed MATLAB v5); nothing stays in it.
    With `sample`, parts of a block that would be long work to open may be missing.
    Raises EphysError for what shows only now: gaps that differ, channels of unequal length, damaged data.
    """
    with ExitStack() as stack:
        try:
            opener = source.sampler if sample and source.sampler else source.opener
            segments = opener(source.kept, scratch, stack)
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
