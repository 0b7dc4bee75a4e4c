"""Errors that a person sees: a sentence that says what to do next, and the exit code that goes with it."""


class LabschedError(Exception):
    """The base; `exit_code` is what a verb of the command line ends with, `status` what the socket answers."""

    exit_code = 1
    status = 500


class BadRequest(LabschedError):
    """What was asked for makes no sense as it stands."""

    exit_code = 2
    status = 400


class NoDaemon(LabschedError):
    """Nobody answers on the socket."""

    exit_code = 3
    status = 502


class NotFound(LabschedError):
    """There is no such job, stage, pool or attempt."""

    exit_code = 4
    status = 404


class Refused(LabschedError):
    """It makes sense, but it is not allowed now, or not to you."""

    exit_code = 5
    status = 409


class Forbidden(Refused):
    """It is not allowed to you."""

    status = 403


class TryLater(LabschedError):
    """It would be done at another time: the disk is full, the daemon is going down."""

    exit_code = 75
    status = 503


def for_status(status: int, sentence: str) -> LabschedError:
    """The error that an answer with this HTTP status stands for."""
    kinds: tuple[type[LabschedError], ...] = (BadRequest, NotFound, Refused, Forbidden, TryLater, NoDaemon)
    for kind in kinds:
        if kind.status == status:
            return kind(sentence)
    return BadRequest(sentence) if 400 <= status < 500 else LabschedError(sentence)
