"""What words on the command line mean, and how a shell completes them."""

import os
from typing import TYPE_CHECKING, Any

import click

from labsched.errors import BadRequest, LabschedError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # not generic before click 8.2

#: Below the help of every verb that takes a JOB.
ABOUT_JOB = "JOB is a job's number, a block's name (or what --name said), or the word last: the newest job."
PATIENCE = 1.0  # seconds that a completion waits for the daemon


class JobParam(ParamType):
    """A job: its number, its name, or `last`. Completes with the jobs that status shows."""

    name = "job"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f"{text!r} is not text", param, ctx)
        if not text.strip():
            self.fail("a job is a number, a block's name, or last", param, ctx)
        return text

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        from labsched.wire.messages import Status

        answer = _ask(ctx, "status", Status)
        rows = answer.jobs if answer is not None else ()
        items = [CompletionItem(str(r.id), help=r.name) for r in rows if str(r.id).startswith(incomplete)]
        if incomplete and not incomplete.isdecimal():
            items += [CompletionItem(n) for n in dict.fromkeys(r.name for r in rows) if n.startswith(incomplete)]
            items += [CompletionItem("last", help="the newest job")] if "last".startswith(incomplete) else []
        return items


class PoolParam(ParamType):
    """A pool's name. Completes with the pools that there are."""

    name = "pool"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        from labsched.wire.messages import Pools

        answer = _ask(ctx, "pools", Pools)
        return [CompletionItem(p.name) for p in (answer.pools if answer else ()) if p.name.startswith(incomplete)]


class BlockParam(ParamType):
    """A block's name. Completes with the folders where the configuration says that blocks lie."""

    name = "block"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        from labsched.wire.messages import Daemon

        answer = _ask(ctx, "daemon", Daemon)
        source = answer.settings.get("sort") if answer else None
        pattern = source.get("source", "") if isinstance(source, dict) else ""
        start, found, rest = pattern.partition("{block}")
        if not found or rest.strip("/"):
            return []
        before, _, begun = incomplete.rpartition("/")
        parent = f"{before}/" if before else ""
        try:
            with os.scandir(start + parent) as entries:
                names = sorted(e.name for e in entries if e.is_dir() and e.name.startswith(begun or ""))
        except OSError:
            return []
        return [CompletionItem(parent + name) for name in names if not name.startswith(".")]


class Whole(ParamType):
    """A whole number within bounds, both included. (click's own shows them in every help.)"""

    name = "number"

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number", param, ctx)
        if not self.low <= number <= self.high:
            self.fail(f"{number} is not from {self.low} to {self.high}", param, ctx)
        return number


class TimeParam(ParamType):
    """A length of time: `90`, `15m`, `8h`, `1h30m`, `12:00:00`; in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from labsched.recipes.command import parse_time

        try:
            return value if isinstance(value, float) else parse_time(str(value))
        except BadRequest as error:
            self.fail(str(error), param, ctx)


class MomentParam(ParamType):
    """A moment to come: `18:00`, `tomorrow 8:00`, `2026-11-25 18:00`, `2h`; in seconds since the epoch."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from datetime import datetime

        from labsched.recipes.moment import parse_moment

        try:
            return value if isinstance(value, float) else parse_moment(str(value), datetime.now().astimezone())
        except BadRequest as error:
            self.fail(str(error), param, ctx)


class Or(ParamType):
    """What `kind` reads, or one word that stands for a value."""

    def __init__(self, kind: ParamType, word: str, value: Any) -> None:
        self.kind, self.word, self.value = kind, word, value
        self.name = kind.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.value if value == self.word else self.kind.convert(value, param, ctx)


class MemoryParam(ParamType):
    """A size of memory: `500M`, `12G`, `12GiB`; in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from labsched.recipes.command import parse_memory

        try:
            return value if isinstance(value, int) else parse_memory(str(value))
        except BadRequest as error:
            self.fail(str(error), param, ctx)


class SizeParam(ParamType):
    """A number of bytes: `500M`, `100G`, `1.5T`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from labsched.core.units import parse_size

        found = value if isinstance(value, int) else parse_size(str(value))
        if found is None:
            self.fail(f"{value!r} is not a size: it is 500M, 100G or 1.5T", param, ctx)
        return found


PRIORITY = Whole(-1_000_000, 1_000_000)
TIMES = Whole(0, 1000)
SLOTS = Whole(0, 1_000_000)
POSITIVE = Whole(1, 1_000_000_000)
COUNT = Whole(0, 1_000_000_000)
JOB, POOL, BLOCK = JobParam(), PoolParam(), BlockParam()
TIME, MOMENT, MEMORY, SIZE = TimeParam(), MomentParam(), MemoryParam(), SizeParam()


def _ask(ctx: click.Context, what: str, kind: Any) -> Any:
    """The daemon's answer, or None: nobody wants to read an error in the middle of a word."""
    from labsched import sockets
    from labsched.cli.context import SOCKET
    from labsched.wire.client import Client

    try:
        return Client(sockets.of_client(ctx.meta.get(SOCKET)), PATIENCE).get(what, kind)
    except (LabschedError, OSError):
        return None
