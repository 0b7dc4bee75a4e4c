"""labsched: the door. Errors become one sentence and an exit code here, and nowhere else."""

import os
import sys
from collections.abc import Sequence

import click

from labsched import __version__
from labsched.cli.context import socket_option
from labsched.cli.main import BROKEN_PIPE, INTERRUPTED
from labsched.cli.verbs import Lazy
from labsched.errors import LabschedError

COMPLETE = "_LABSCHED_COMPLETE"


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@click.version_option(__version__, message="labsched %(version)s")
@socket_option
def labsched() -> None:
    """A queue for one lab's server: blocks are de-noised and spike-sorted, and anything else is run, each when its
    pool has a free slot.

    \b
    Example:
      labsched submit rat12/2024-03-10 --omit Port_20,Port_21
      labsched status
      labsched logs last -f

    JOB, in the commands below, is a job's number, a block's name, or the word last. Every command has a --help with
    an example. Exit codes: 0; 1 the work failed; 2 wrong usage; 3 no daemon; 4 not found; 5 refused; 75 try later;
    130 interrupted.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the locale cannot show is no reason to fail.
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _invoke(words)
        sys.stdout.flush()
    except click.UsageError as error:
        return _usage(error)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except LabschedError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has gone; without this the interpreter complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except UnicodeEncodeError:
        return _fail("a word of this command is not UTF-8 text, so it cannot be passed on: spell it otherwise", 2)
    except OSError as error:
        return _fail(f"{error.filename or 'cannot write the output'}: {error.strerror or error}", 1)
    except Exception as error:
        if os.environ.get("LABSCHED_TRACEBACK"):
            raise
        return _fail(
            f"this is a defect in labsched ({type(error).__name__}: {error}): report it with what the same command "
            "prints after: export LABSCHED_TRACEBACK=1",
            1,
        )
    return code


def _invoke(words: list[str]) -> int:
    if COMPLETE in os.environ:
        labsched.main(args=words, prog_name="labsched", complete_var=COMPLETE)
    try:
        with labsched.make_context("labsched", words) as ctx:
            return int(labsched.invoke(ctx) or 0)
    except click.exceptions.Exit as done:
        return done.exit_code


def _usage(error: click.UsageError) -> int:
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help' for help.", err=True)
    message = " ".join(error.format_message().split())
    return _fail(message[:1].lower() + message[1:].rstrip("."), 2)


def _fail(sentence: str, code: int) -> int:
    """Say it on one line: the last of what stands on stderr."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    click.echo(f"error: {' '.join(sentence.split())}", err=True)
    return code
