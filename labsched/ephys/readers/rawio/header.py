"""Opening a file with neo: its header, what it warned of, and its troubles as sentences."""

import importlib.util
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labsched.ephys.errors import EphysError
from labsched.ephys.readers.rawio import lengths, mapped
from labsched.ephys.readers.rawio.kinds import Kind

MOST = 300  # characters of what a library says


def unreadable(path: Path, kind: str, why: object) -> EphysError:
    """The sentence for a file that cannot be read as what it seems to be."""
    return EphysError(f"cannot read {path} as {kind}: {why}: copy it here again, or take it out of the block")


def said(error: BaseException) -> str:
    """What an exception of a library says, on one line."""
    text = " ".join(str(error).split())
    text = text if len(text) <= MOST else text[: MOST - 1] + "…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def missing(kind: str, package: str) -> EphysError:
    """The sentence where a package of the extra is not there."""
    return EphysError(
        f"reading {kind} needs the package {package}, which is not installed: "
        f"{sys.executable} -m pip install '{package}' (or labsched's extra: pip install '.[readers]')"
    )


def parse(kind: Kind, path: Path, arguments: dict[str, Any]) -> tuple[Any, list[str]]:
    """(neo's reader with its header read, what it warned of). Raises EphysError."""
    if importlib.util.find_spec("neo") is None:
        raise missing(kind.name, "neo>=0.14")
    if kind.name == "Plexon 2":
        raise EphysError(f"{path} can be read only with a library of Plexon's for Windows: save it as .plx, or as .nwb")
    heard: list[str] = []
    with listening(heard), reported(path, kind), mapped.reading(path), mapped.known(), mapped.trimmed():
        import neo.rawio

        options = _options(kind, path, arguments)
        reader = getattr(neo.rawio, kind.reader)(**arguments, **options)
        try:
            reader.parse_header()
        except Exception:
            mapped.close(reader)
            raise
    return reader, list(dict.fromkeys(heard))


@contextmanager
def reported(path: Path, kind: Kind) -> Iterator[None]:
    """Within, whatever neo raises becomes a sentence: a damaged file makes it trip over anything."""
    try:
        yield
    except EphysError:
        raise
    except ImportError as error:
        if kind.extra:
            raise _no_extra(kind, path) from None
        raise missing(
            kind.name, {"dateutil": "python-dateutil"}.get(error.name or "neo", error.name or "neo")
        ) from None
    except PermissionError as error:
        raise EphysError(f"cannot read {error.filename or path}: permission denied") from None
    except OSError as error:
        raise unreadable(path, kind.name, error.strerror or said(error)) from None
    except Exception as error:
        if kind.extra and importlib.util.find_spec(kind.extra) is None:
            raise _no_extra(kind, path) from None
        raise unreadable(path, kind.name, f"it is damaged or cut short ({said(error)})") from None


def _no_extra(kind: Kind, path: Path) -> EphysError:
    how = f"{sys.executable} -m pip install {kind.extra}"
    if kind.extra == "sonpy":
        how += (
            ", which CED makes for Windows, and for Linux from Python 3.14 on; "
            "or export the recording from Spike2 as MATLAB files, or save it as .smr"
        )
    return EphysError(f"reading {path} ({kind.name}) needs the package {kind.extra}: {how}")


@contextmanager
def listening(heard: list[str]) -> Iterator[None]:
    """Within, what neo warns of and logs is collected instead of printed."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(" ".join(record.getMessage().split())[:MOST])

    logger, handler = logging.getLogger("neo"), Handler(logging.WARNING)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
        heard += [
            " ".join(str(each.message).split())[:MOST] for each in caught if issubclass(each.category, UserWarning)
        ]


def _options(kind: Kind, path: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """That gaps become segments, never an error or silence."""
    if kind.name == "Neuralynx":
        rates = [
            lengths.neuralynx_rate(each)
            for each in Path(arguments["dirname"]).iterdir()
            if each.suffix.lower() == ".ncs"
        ]
        # Half a sample: stamps are whole microseconds.
        return {"gap_tolerance_ms": 500.0 / max([*rates, 1.0])}
    if kind.name == "Blackrock":
        return {"gap_tolerance_ms": 0.0}
    if kind.name == "Intan":
        return {"ignore_integrity_checks": True}
    return {}
