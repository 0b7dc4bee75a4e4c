"""Rows of jobs: how status, history and the verbs that touch jobs show them."""

from collections.abc import Sequence
from datetime import datetime

from labsched.cli import table, words
from labsched.core import units
from labsched.wire.messages import JobRow, StageMark

HEAD = ("ID", "BLOCK / COMMAND", "STAGES", "STATE", "USER", "TIME", "WHY")
NAME = 1
NARROW = 100  # below this, only the stage that matters is named
STAGES_CELLS = 40


def render_rows(rows: Sequence[JobRow], cells: int | None, colour: bool, ended: datetime | None = None) -> list[str]:
    """Lines of a table of jobs.

    `cells` is the width of the terminal, None for no limit. With `ended` (the time now) there is a column that
    says when each ended.
    """
    head = (*HEAD[:5], "ENDED", *HEAD[5:]) if ended else HEAD
    body, colours = [], []
    for row in rows:
        hue = words.state_colour(row.state, row.outcome)
        when = [words.moment(row.ended, ended) if row.ended else ""] if ended else []
        body.append(
            [
                str(row.id),
                row.name,
                stages(row.stages, cells),
                words.state_word(row.state, row.outcome, row.held),
                row.user,
                *when,
                units.duration(row.seconds),
                row.why,
            ]
        )
        dim = "dim" if hue == "dim" else None
        colours.append([dim, dim, dim, hue, dim, *([dim] if ended else []), dim, "red" if hue == "red" else dim])
    last = len(head) - 1
    return table.render(head, body, cells=cells, flexible=(NAME, last), colours=colours, colour=colour)


def stages(marks: Sequence[StageMark], cells: int | None) -> str:
    """``✓denoise ▶klusta``; in little room ``✓▶ klusta``: the marks, and the name of the stage that matters."""
    full = " ".join(f"{words.mark(m.state, m.outcome)}{m.name}" for m in marks)
    if cells is None or (cells >= NARROW and table.width(full) <= STAGES_CELLS):
        return full
    if len(marks) == 1:
        return table.cut(full, STAGES_CELLS)
    signs = "".join(words.mark(m.state, m.outcome) for m in marks)
    if len(signs) > STAGES_CELLS // 2:
        signs = signs[: STAGES_CELLS // 2 - 1] + "…"
    return table.cut(f"{signs} {_matters(marks).name}", STAGES_CELLS)


def _matters(marks: Sequence[StageMark]) -> StageMark:
    for wanted in ("▶", "✗", "⊘", "·"):
        for stage in marks:
            if words.mark(stage.state, stage.outcome) == wanted:
                return stage
    return marks[-1]


def line(row: JobRow) -> str:
    """``430  rat12/2024-03-10  waiting  RAM full: next after 428 (~4m)``."""
    parts = [str(row.id), row.name, words.state_word(row.state, row.outcome, row.held), *([row.why] if row.why else [])]
    return "  ".join(table.clean(part) for part in parts)
