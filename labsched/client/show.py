"""Jobs as a table: text for a terminal, HTML for a notebook."""

from collections.abc import Sequence
from html import escape

from labsched.core import units
from labsched.core.marks import mark, state_colour, state_word
from labsched.wire.messages import JobRow

HEAD = ("ID", "BLOCK / COMMAND", "STAGES", "STATE", "USER", "TIME", "WHY")
LONGEST = 60  # characters of a cell of text
_COLOURS = {"red": "#c0392b", "green": "#1e8449", "yellow": "#b7950b", "cyan": "#117a8b", "dim": "#808080"}


def text(rows: Sequence[JobRow]) -> str:
    """A line for each, below a head; cells are cut."""
    body = [HEAD, *([_cut(cell) for cell in _cells(row)] for row in rows)]
    widths = [max(len(line[i]) for line in body) for i in range(len(HEAD))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in body)
    return "\n".join(line.rstrip() for line in lines)


def html(rows: Sequence[JobRow]) -> str:
    """A <table> of them; nothing of what they say of themselves is taken for HTML."""
    head = "".join(f"<th>{cell}</th>" for cell in HEAD)
    body = []
    for row in rows:
        cells = [f"<td>{escape(cell)}</td>" for cell in _cells(row)]
        colour = _COLOURS[state_colour(row.state, row.outcome)]
        cells[3] = f'<td style="color:{colour}">{escape(_cells(row)[3])}</td>'
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _cells(row: JobRow) -> list[str]:
    stages = " ".join(f"{mark(stage.state, stage.outcome)}{stage.name}" for stage in row.stages)
    state = state_word(row.state, row.outcome, row.held)
    cells = [str(row.id), row.name, stages, state, row.user, units.duration(row.seconds), row.why]
    return ["".join(ch if ch.isprintable() else " " for ch in cell) for cell in cells]


def _cut(cell: str) -> str:
    return cell if len(cell) <= LONGEST else cell[: LONGEST - 1] + "…"
