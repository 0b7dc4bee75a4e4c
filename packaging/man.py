"""Write the manual pages: one for each command, from its help, and labsched.toml(5), from the reference.

``python man.py FOLDER [VERSION]`` makes FOLDER/man1 and FOLDER/man5.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import roff

from labsched import __version__
from labsched.cli.door import labsched
from labsched.cli.verbs import SECTIONS

REFERENCE = Path(__file__).parent.parent / "docs/reference/configuration.md"
WHAT = "a queue for one lab's server"
EXIT_CODES = [
    ("0", "it was done"),
    ("1", "the work failed"),
    ("2", "wrong usage"),
    ("3", "no daemon answers"),
    ("4", "not found"),
    ("5", "refused"),
    ("75", "try later"),
    ("130", "interrupted"),
]
ENVIRONMENT = [
    ("LABSCHED_SOCKET", "the daemon's socket"),
    ("LABSCHED_STATE", "the daemon's folder"),
    ("LABSCHED_CONFIG", "the configuration"),
    ("NO_COLOR", "if set, no colours"),
]
FILES = [
    ("/etc/labsched/config.toml", "the configuration of the system's daemon: labsched.toml(5)"),
    ("~/.config/labsched/config.toml", "that of one's own"),
    ("/run/labsched/labsched.sock", "the socket of the system's daemon"),
    ("/var/lib/labsched", "its queue and its logs"),
]


def main(folder: str, version: str = __version__) -> int:
    for name, text in pages(version):
        path = Path(folder) / f"man{name[-1]}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


def pages(version: str) -> Iterator[tuple[str, str]]:
    """File names and what stands in them."""
    source = f"labsched {version}"
    found = list(commands())
    for path, command in found:
        name = path.replace(" ", "-")
        yield f"{name}.1", roff.title(name, 1, source) + "".join(_command(path, command, found))
    page = roff.title("labsched.toml", 5, source)
    page += roff.section("NAME") + r"labsched.toml \- the configuration of labsched" + "\n"
    page += roff.markdown(REFERENCE.read_text())
    yield "labsched.toml.5", page + _see(["labsched(1)"])


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with the words that call it."""
    todo: list[tuple[str, click.Command]] = [("labsched", labsched)]
    while todo:
        path, command = todo.pop(0)
        yield path, command
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=path)
            for verb in command.list_commands(context):
                below = command.get_command(context, verb)
                assert below is not None
                todo.append((f"{path} {verb}", below))


def _command(path: str, command: click.Command, every: list[tuple[str, click.Command]]) -> Iterator[str]:
    context = click.Context(command, info_name=path, help_option_names=["-h", "--help"])
    below = [(other, it) for other, it in every if other.rpartition(" ")[0] == path]
    brief = WHAT if path == "labsched" else _brief(path, command)
    yield roff.section("NAME") + f"{roff.text(path.replace(' ', '-'))} \\- {roff.text(brief)}\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield roff.section("SYNOPSIS") + f"\\fB{roff.text(path)}\\fR {roff.text(usage)}\n"
    yield roff.section("DESCRIPTION") + roff.helptext(command.help or "")
    options = [record for p in command.get_params(context) if (record := p.get_help_record(context)) and record[1]]
    if options:
        yield roff.section("OPTIONS") + roff.terms(options)
    if path == "labsched":
        for section, verbs in SECTIONS.items():
            yield roff.section(f"COMMANDS: {section}") + roff.terms([(verb, said) for verb, (_, said) in verbs.items()])
        yield roff.section("EXIT STATUS") + roff.terms(EXIT_CODES)
        yield roff.section("ENVIRONMENT") + roff.terms(ENVIRONMENT)
        yield roff.section("FILES") + roff.terms(FILES)
    elif below:
        yield roff.section("COMMANDS") + roff.terms([(other, _brief(other, it)) for other, it in below])
    above = path.rpartition(" ")[0]
    near = [f"{other.replace(' ', '-')}(1)" for other, _ in below]
    yield _see([*([f"{above.replace(' ', '-')}(1)"] if above else []), *near, "labsched.toml(5)"])


def _brief(path: str, command: click.Command) -> str:
    """The first sentence of a help, as the name section wants it."""
    first = " ".join((command.help or path).split("\n\n")[0].split())
    sentence = re.split(r"(?<=\w)[.;:](?:\s|$)", first)[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:]


def _see(others: list[str]) -> str:
    bold = [re.sub(r"(.*)(\(\d\))", lambda m: rf"\fB{roff.text(m[1])}\fR{m[2]}", other) for other in others]
    return roff.section("SEE ALSO") + ",\n".join(bold) + "\n"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
