"""The pages, and what stands in them: links, fenced blocks, tables and command lines."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INNER = re.compile(r"\$\(([^()]*)\)")
_HEREDOC = re.compile(r"<<'?(\w+)'?.*?\n.*?^\1$", re.MULTILINE | re.DOTALL)
_SHELL = {"", "sh", "bash"}
_BETWEEN = {"&&", "||", "|", ";", "&"}
_REDIRECT = {">", ">>", "<", "<<<"}


@dataclass(frozen=True)
class Fence:
    """A fenced block: its language, its text, and the line where that begins."""

    language: str
    text: str
    line: int


def name(page: Path) -> str:
    """A page as the tests call it."""
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its fenced blocks and without `code`."""
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text()))


def fences(page: Path) -> Iterator[Fence]:
    """The fenced blocks of a page."""
    text = page.read_text()
    for found in _FENCE.finditer(text):
        yield Fence(found[2], found[3], text.count("\n", 0, found.start(3)) + 1)


def links(page: Path) -> list[str]:
    """Where a page's links lead, those to other machines left out."""
    found = re.findall(r"\]\(([^()\s]+)\)", prose(page))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """What a link may name behind a #: the headings of a page, as web sites spell them."""
    heads = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def table(page: Path, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, its head left out; a | within `code` does not count."""
    below = page.read_text().partition(f"\n{heading}\n")[2]
    rows: list[list[str]] = []
    for line in below.splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"\|(?=(?:[^`]*`[^`]*`)*[^`]*$)", line)[1:-1]])
        elif rows:
            break
    assert rows, f"{name(page)} has no table below {heading!r}"
    return rows[2:]


def tokens(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Every `labsched ...` in a page's shell blocks: where it stands, and its words behind `labsched`."""
    for fence in fences(page):
        if fence.language in _SHELL and not _is_output(fence.text):
            blank = _HEREDOC.sub(lambda found: "\n" * found[0].count("\n"), fence.text)
            for number, line in enumerate(blank.split("\n"), fence.line):
                for words in commands(line):
                    yield f"{name(page)}:{number}", words


def spans(page: Path) -> Iterator[list[str]]:
    """The words behind `labsched` of what stands in `code` within the text of a page."""
    for said in re.findall(r"`([^`\n]+)`", _FENCE.sub("", page.read_text())):
        yield from commands(said.replace("…", ""))


def commands(line: str) -> Iterator[list[str]]:
    """The words behind each `labsched` of a shell's line."""
    for inner in _INNER.findall(line):
        yield from commands(inner)
    lexer = shlex.shlex(_INNER.sub("1", line), posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return  # a command that goes on in the next line, or text
    words = [word for before, word in pairwise(["", *words]) if not {before, word} & _REDIRECT] + [";"]
    while words:
        at = next(i for i, word in enumerate(words) if word in _BETWEEN)
        command, words = words[:at], words[at + 1 :]
        while command and (re.match(r"\w+=", command[0]) or command[0] == "sudo" or command[0].startswith("-")):
            command = command[3:] if command[:2] == ["sudo", "-u"] else command[1:]
        if command and command[0] == "labsched":
            yield command[1:]


def _is_output(text: str) -> bool:
    """What a command printed, not what one types."""
    return text.startswith(("labsched on ", " POOL ", "error: ", "/", "{", "first.", "found "))
