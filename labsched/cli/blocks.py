"""What submit and run share: their options, and saying what was seen of blocks before anything is done with them."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from labsched.cli import queueing
from labsched.client import blocks
from labsched.client.blocks import check, check_patterns, check_targets, expand_all, settings
from labsched.errors import LabschedError
from labsched.recipes.block import BAD_CHANNELS, REFERENCES, Expanded
from labsched.recipes.sorters import SORTERS

__all__ = [
    "ABOUT_BLOCK",
    "block_options",
    "check",
    "check_all",
    "check_patterns",
    "check_targets",
    "expand_all",
    "look_at",
    "settings",
]
F = TypeVar("F", bound=Callable[..., Any])
#: Below the help of every verb that takes a BLOCK.
ABOUT_BLOCK = "BLOCK is a block's name, such as rat12/2024-03-10: its folder below the one where blocks lie."


def block_options(command: F) -> F:
    """--omit, --probe, --stream, --source, --target, --reference, --bad-channels, --sorter and --again."""
    for option in reversed(
        [
            click.option("--omit", multiple=True, metavar="A,B,...", help="Channels to leave out (repeatable)."),
            click.option("--probe", metavar="P", help="A rig or probe file, or a built-in probe's name."),
            click.option("--stream", metavar="NAME", help="Which group of channels, where the format has several."),
            click.option("--source", metavar="DIR", help="Where the block lies; may have {block} and {name} in it."),
            click.option("--target", metavar="DIR", help="Where results go; may have {block} and {name} in it."),
            click.option("--reference", type=click.Choice(REFERENCES), help="What is subtracted from each channel."),
            click.option("--bad-channels", type=click.Choice(BAD_CHANNELS), help="What to do about bad channels."),
            click.option("--sorter", type=click.Choice(SORTERS), help="What sorts. Default: as configured, or klusta."),
            click.option("--again", is_flag=True, help="Also if it has succeeded before; what is there is replaced."),
        ]
    ):
        command = option(command)
    return command


def check_all(blocks: Sequence[Expanded], origins: Sequence[str]) -> None:
    """`check` each; every trouble is named, after where its block came from, and the first one's kind raised."""
    troubles: list[LabschedError] = []
    for block, origin in zip(blocks, origins, strict=True):
        try:
            check(block)
        except LabschedError as error:
            troubles.append(type(error)(f"{origin}{error}"))
    if len(troubles) == 1:
        raise troubles[0]
    if troubles:
        queueing.report_bad([str(trouble) for trouble in troubles], type(troubles[0]))


def look_at(found: Sequence[Expanded]) -> None:
    """See `labsched.client.blocks.look_at`; what looks bad is said on stderr."""
    for line in blocks.look_at(found):
        click.echo(f"warning: {line}", err=True)
