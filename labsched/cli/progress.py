"""labsched progress: how a stage's own script tells how far it is."""

import contextlib
import os

import click

from labsched.cli.context import socket_option
from labsched.errors import BadRequest

FILE = "LABSCHED_PROGRESS"  # set for every stage; README and docs describe it
MAX_MESSAGE = 500


@click.command()
@click.argument("fraction", metavar="FRACTION")
@click.argument("message", nargs=-1, metavar="[MESSAGE]")
@socket_option
def progress(fraction: str, message: tuple[str, ...]) -> None:
    """Tell from inside a stage how far it is: FRACTION is from 0 to 1 (or 40%), MESSAGE what it does.

    Status shows it. It is one line, `FRACTION MESSAGE`, in the file that $LABSCHED_PROGRESS names: a program may as
    well write that itself. The last one stays with the job.

    \b
    Example:
      labsched progress 0.4 "shank 2 of 4"
    """
    value = _fraction(fraction)
    path = os.environ.get(FILE)
    if not path:
        raise BadRequest(f"this is not a stage of a job: ${FILE} is not set, so there is nobody to tell")
    text = " ".join(" ".join(message).split())[:MAX_MESSAGE].encode(errors="replace").decode()
    partial = f"{path}.{os.getpid()}"
    try:
        with open(partial, "w", encoding="utf-8") as file:  # noqa: PTH123  pathlib costs more than all of this
            file.write(f"{value:.4f} {text}".rstrip() + "\n")
        os.replace(partial, path)  # noqa: PTH105
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)  # noqa: PTH108
        raise BadRequest(f"cannot write {path}, where progress goes: {error.strerror}") from None


def _fraction(text: str) -> float:
    word = text.strip()
    try:
        value = float(word[:-1]) / 100 if word.endswith("%") else float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise BadRequest(f"{text!r} is not how far one can be: give 0 to 1, such as 0.4, or 40%")
    return value
