"""What submit and add share: reading their files, sending jobs, and saying what came of it."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, TypeVar

import click

from labsched.cli import jobs, table
from labsched.cli.context import print_json, print_numbers
from labsched.core.spec import JobSpec
from labsched.errors import BadRequest, LabschedError
from labsched.recipes import environ
from labsched.recipes.environ import UMASK
from labsched.wire.client import Client
from labsched.wire.messages import Submitted, Waited
from labsched.wire.requests import Submit

T = TypeVar("T")
PATIENCE = 600.0  # seconds: nobody should have to guess whether a large request was taken
SHOWN = 100  # jobs of one request whose state is asked for and shown


def read_lines(path: str) -> list[str]:
    """The lines of a file, or of standard input for `-`. Raises BadRequest with a sentence."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else _bytes(path)
    except OSError as error:
        raise BadRequest(f"cannot read {path}: {error.strerror}") from None
    try:
        # Not splitlines(): a JSON string may hold what it takes for the end of a line.
        return data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise BadRequest(f"{path}, line {number}: not UTF-8 text; nothing was queued") from None


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def parse_file(path: str, parse: Callable[[list[str]], list[T]]) -> list[T]:
    """What `parse` makes of a file; bad lines are named one by one, and nothing is left of the good ones."""
    lines = read_lines(path)
    try:
        found = parse(lines)
    except BadRequest as error:
        report_bad(f"{path}, {line}" for line in str(error).splitlines())
    if not found:
        raise BadRequest(f"{path} names nothing to queue: it has only blank lines and comments")
    return found


def report_bad(sentences: Iterable[str], kind: type[LabschedError] = BadRequest) -> NoReturn:
    """Raise `kind` that says what is wrong; several sentences go to stderr, one a line, and are counted."""
    every = list(sentences)
    if len(every) == 1:
        raise kind(f"{every[0]}; nothing was queued")
    for sentence in every:
        click.echo(" ".join(sentence.split()), err=True)
    raise kind(f"{len(every)} mistakes, named above; nothing was queued")


def warn_left_out(names: Sequence[str]) -> None:
    """Say which variables of the environment a job will not have."""
    if names:
        click.echo(f"note: left out of the environment, as not UTF-8 text: {', '.join(map(ascii, names))}", err=True)


def send(
    client: Client,
    specs: Sequence[JobSpec],
    env: dict[str, str],
    as_json: bool,
    quiet: bool,
    order: Sequence[int] = (),
) -> None:
    """Queue these, all or none, each with `env`, and print their numbers; `order` says at which place to print each."""
    answer = client.post("jobs", Submit(tuple(specs), env | {UMASK: environ.umask()}), Submitted, timeout=PATIENCE)
    refs = list(answer.jobs)
    if order:
        refs = [ref for _, ref in sorted(zip(order, refs, strict=True), key=lambda pair: pair[0])]
    if as_json:
        print_json(Submitted(tuple(refs)))
        return
    if quiet:
        print_numbers(ref.id for ref in refs)
        return
    states: dict[int, str] = {}
    try:
        numbers = ",".join(str(ref.id) for ref in refs[:SHOWN])
        states = {row.id: jobs.line(row) for row in client.get("wait", Waited, jobs=numbers, within=0).jobs}
    except LabschedError:
        pass  # they are queued, and that is what was asked
    table.write(states.get(ref.id, f"{ref.id}  {table.clean(ref.name)}") for ref in refs)


def absolute(path: str | None) -> str | None:
    """A path as seen from the caller's folder."""
    return None if path is None else os.path.abspath(path)
