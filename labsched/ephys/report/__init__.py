"""NAME.report.html: one page a block, to look at what stage 1 and stage 2 made of it."""

from collections.abc import Callable
from pathlib import Path

#: What `after` leaves beside a sorting.
FILES = (".metrics.csv", ".metrics.json", ".report.html")


def complete(folder: str | Path, name: str, say: Callable[[str], None] = print) -> None:
    """`after`, where one of its files is missing: it was interrupted, or somebody has removed them."""
    if not all((Path(folder) / f"{name}{suffix}").exists() for suffix in FILES):
        after(folder, name, say)


def after(folder: str | Path, name: str, say: Callable[[str], None] = print) -> None:
    """What is made for people once a sorting has its final names: NAME.metrics.csv and .json, NAME.report.html.

    Nothing is raised, since days of sorting are not lost by a picture: `say` gets a line for what could not be made.
    """
    known = None
    try:
        for suffix in FILES:  # those of another sorting: better none than these
            (Path(folder) / f"{name}{suffix}").unlink(missing_ok=True)
        from ..qc import metrics, write
        from ..qc.units import load

        found = load(folder, name)
        known = found, metrics.table(found)
        say(f"metrics: {write.counted(known[1])}; {write.write(*known)[0]}")
    except Exception as error:
        say(f"WARNING: {name} has no metrics, but its sorting is whole: {_said(error)}")
    try:
        from .make import make

        say(f"report: {make(folder, name, known)}")
    except Exception as error:
        say(f"WARNING: {name} has no report, but its sorting is whole: {_said(error)}")


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
