"""docs/performance.md: a section for each benchmark, each with its own date; one that is run again replaces its own."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/performance.md"


def write(page: Path, introduction: str, order: Sequence[str], new: dict[str, str]) -> None:
    """Put the sections, by their names, into the page, those in `order` first; the others stay as they are.

    An empty `introduction` leaves the page's own.
    """
    text = page.read_text() if page.exists() else ""
    introduction = introduction or re.split(r"^<!-- part: ", text, maxsplit=1, flags=re.MULTILINE)[0]
    sections = {**_sections(text), **new}
    names = [name for name in order if name in sections]
    names += [name for name in sections if name not in names]
    blocks = [f"<!-- part: {name} -->\n\n{sections[name].strip()}\n\n<!-- end: {name} -->" for name in names]
    beside = page.with_name(f".{page.name}.{os.getpid()}")
    beside.write_text("\n\n".join((introduction.strip(), *blocks)) + "\n")
    beside.replace(page)


def _sections(text: str) -> dict[str, str]:
    found = re.finditer(r"^<!-- part: (\w+) -->\n(.*?)^<!-- end: \1 -->$", text, re.MULTILINE | re.DOTALL)
    return {one[1]: one[2] for one in found}
