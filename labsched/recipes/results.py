"""What a recipe's job leaves for people to look at, told from what it recorded: the names of its outputs."""

from collections.abc import Sequence

from labsched.recipes.block import RECIPE

SUMMARY, REPORT = ".sorting.json", ".report.html"


def report(recipe: str, outputs: Sequence[str]) -> str | None:
    """Where the report of a job of this recipe is, whose stages have left these `outputs`; None where it has none."""
    if recipe != RECIPE:
        return None
    return next((path.removesuffix(SUMMARY) + REPORT for path in outputs if path.endswith(SUMMARY)), None)


def block(report: str) -> tuple[str, str]:
    """(The folder, the block's name) that a report is of."""
    folder, _, name = report.rpartition("/")
    return folder or "/", name.removesuffix(REPORT)
