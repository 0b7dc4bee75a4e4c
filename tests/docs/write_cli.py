"""Write the help of every verb into docs/reference/cli.md: ``python -m tests.docs.write_cli``."""

from collections.abc import Iterator
from pathlib import Path

import click

from labsched.cli.door import labsched

PAGE = Path(__file__).parents[2] / "docs/reference/cli.md"
MARK = "<!-- What follows is written by: python -m tests.docs.write_cli -->\n"
CELLS = 78  # what click leaves of a terminal of 80


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command with the words that call it: the group first, then each verb, then the verbs of a verb."""
    top = click.Context(labsched, info_name="labsched", terminal_width=CELLS, **labsched.context_settings)
    yield "labsched", labsched, top
    yield from _below(labsched, top)


def _below(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, context, info_name=name, terminal_width=CELLS)
        yield inner.command_path, command, inner
        if isinstance(command, click.Group):
            yield from _below(command, inner)


def helps() -> str:
    """The generated part of the page."""
    return "".join(f"\n## {path}\n\n```text\n{command.get_help(ctx)}\n```\n" for path, command, ctx in commands())


if __name__ == "__main__":
    written, _, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(written + MARK + helps())
