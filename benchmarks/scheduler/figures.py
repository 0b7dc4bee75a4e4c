"""Tables of figures, and how they are taken: all sides in turns, then medians."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; the first column is left-aligned."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table with its columns aligned: for a page, and for the terminal as well."""
        widths = [max(len(row[i]) for row in (self.head, *self.rows)) for i in range(len(self.head))]

        def line(cells: Sequence[str]) -> str:
            rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
            return "| " + " | ".join((cells[0].ljust(widths[0]), *rest)) + " |"

        rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
        return "\n".join((line(self.head), rule, *map(line, self.rows)))


@dataclass(frozen=True)
class Found:
    """What a part has found: its tables, with a paragraph before each, and the versions of what took part."""

    blocks: Sequence[tuple[str, Table]]
    versions: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()


def in_turns(sides: Mapping[str, Callable[[], float | None]], rounds: int) -> dict[str, list[float]]:
    """Each side once a round, in an order that turns from round to round; a side that returns None is left out."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            value = sides[name]()
            if value is not None:
                found[name].append(value)
    return {name: values for name, values in found.items() if values}


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """The median of the ratios of each round."""
    return statistics.median(a / b for a, b in zip(of, to, strict=False))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of them do not exceed (nearest rank)."""
    return sorted(values)[max(0, -(-len(values) * percent // 100).__int__() - 1)]


def span(values: Sequence[float], digits: int = 0) -> str:
    """The lowest and the highest."""
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f}"
