"""Text in columns: widths that fit the terminal, `…` where they do not, colours where somebody looks."""

import os
import sys
from collections.abc import Iterable, Sequence

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}
LEAST_CELLS = 8  # of a column that can be cut
LONG_WORD = 10  # cells below which a cut word shows only how it begins


def terminal_width(fd: int = 1) -> int | None:
    """Columns of the terminal that stdout is; None where it is none, so that nothing is cut in a pipe or a file."""
    return max(terminal_size(fd)[0], 40) if os.isatty(fd) else None


def terminal_size(fd: int = 1) -> tuple[int, int]:
    """Columns and lines, as shutil.get_terminal_size has them; that one's module costs milliseconds to import."""
    try:
        size = tuple(os.get_terminal_size(fd))
    except OSError:
        size = (0, 0)
    given = [os.environ.get(name, "") for name in ("COLUMNS", "LINES")]
    columns, lines = (int(text) if text.isdecimal() and int(text) else n for text, n in zip(given, size, strict=True))
    return columns or 80, lines or 24


def use_colour(fd: int = 1) -> bool:
    """Whether to colour: on a terminal, without NO_COLOR (no-color.org) or TERM=dumb."""
    return os.isatty(fd) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str | None, on: bool) -> str:
    """`text` in red, green, yellow, cyan, dim or bold; as it is if not `on`."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if on and colour and text.strip() else text


def clean(text: str) -> str:
    """On one line and without control characters: what a job calls itself must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(ch if ch.isprintable() else " " if ch.isspace() else "�" for ch in text)


def width(text: str) -> int:
    """Cells that `text` takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    import unicodedata

    cells = 0
    for ch in text:
        if not unicodedata.combining(ch) and unicodedata.category(ch) not in ("Cf", "Me", "Mn"):
            cells += 2 if unicodedata.east_asian_width(ch) in "WF" else 1
    return cells


def cut(text: str, cells: int) -> str:
    """`text` in at most `cells`, with `…` where something is missing.

    That is the end, but the middle of a long word: names of blocks differ in how they end.
    """
    if width(text) <= cells:
        return text
    if cells <= 0:
        return ""
    if " " in text or cells < LONG_WORD:
        return _head(text, cells - 1).rstrip() + "…"
    tail = _head(text[::-1], (cells - 1) * 3 // 5)[::-1]
    return f"{_head(text, cells - 1 - width(tail))}…{tail}"


def _head(text: str, cells: int) -> str:
    taken = 0
    for at, ch in enumerate(text):
        taken += width(ch)
        if taken > cells:
            return text[:at]
    return text


def pad(text: str, cells: int, right: bool = False) -> str:
    """`text` filled with spaces to `cells`."""
    space = " " * max(cells - width(text), 0)
    return space + text if right else text + space


def spread(left: str, right: str, cells: int) -> str:
    """`left` and `right` at the two ends of a line of `cells`, or as near as they fit."""
    return f"{left}{' ' * max(cells - width(left) - width(right), 2)}{right}"


def fit(widths: Sequence[int], least: Sequence[int], cells: int) -> list[int]:
    """Take cells from the widest of those that can give (`least`[i] < `widths`[i]) until their sum is `cells`."""
    result = list(widths)
    over = sum(result) - cells
    while over > 0:
        giving = [i for i, n in enumerate(result) if n > least[i]]
        if not giving:
            break
        widest = max(giving, key=lambda i: result[i])
        others = [result[i] for i in giving if i != widest]
        step = max(min(over, result[widest] - max([least[widest], *(n for n in others if n < result[widest])])), 1)
        result[widest] -= step
        over -= step
    return result


def render(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    cells: int | None,
    flexible: Sequence[int] = (),
    right: Sequence[int] = (),
    colours: Sequence[Sequence[str | None]] | None = None,
    colour: bool = False,
    indent: int = 1,
) -> list[str]:
    """Lines of a table: `head`, then `rows`, two spaces between columns.

    Columns in `flexible` are cut until the line fits `cells` (None: never); those in `right` are aligned so;
    `colours` gives for each row a colour for each column. The last column is not padded.
    """
    body = [[clean(cell) for cell in row] for row in rows]
    every = [list(head), *body]
    widths = [max(width(row[i]) for row in every) for i in range(len(head))]
    if cells is not None:
        room = cells - indent - 2 * (len(head) - 1) - sum(n for i, n in enumerate(widths) if i not in flexible)
        wanted = [max(width(head[i]), LEAST_CELLS) for i in flexible]
        least = wanted if sum(wanted) <= room else [LEAST_CELLS] * len(flexible)
        for i, n in zip(flexible, fit([widths[i] for i in flexible], least, room), strict=True):
            widths[i] = n
    lines = []
    for number, row in enumerate(every):
        painted = []
        for i, cell in enumerate(row):
            text = cut(cell, widths[i])
            if i < len(row) - 1 or i in right:
                text = pad(text, widths[i], i in right)
            hue = "dim" if number == 0 else colours[number - 1][i] if colours else None
            painted.append(paint(text, hue, colour))
        lines.append((" " * indent + "  ".join(painted)).rstrip())
    return lines


def write(lines: Iterable[str]) -> None:
    """Print lines."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
