"""A short story of everything that can happen; the long ones are `make chaos` (docs/chaos.md)."""

import re
from collections import Counter
from pathlib import Path

from labsched.faults import POINTS
from tests.chaos.report import report
from tests.chaos.run import tell
from tests.docs.pages import table

ROOT = Path(__file__).parents[2]


def test_nothing_is_lost_and_nothing_runs_twice_whoever_dies_at_whichever_point() -> None:
    story = tell(seed=1, seconds=150, points=True)
    assert not story.violated, report(story)
    assert not story.missed, report(story)


def test_every_point_of_the_code_is_in_the_list_and_the_other_way_round() -> None:
    sources = [path.read_text() for path in (ROOT / "labsched").rglob("*.py") if path.name != "faults.py"]
    words = [said for text in sources for call in re.findall(r"\bpoint\((.*)\)", text) for said in _names(call)]
    assert Counter(words) == Counter(list(POINTS))


def _names(call: str) -> list[str]:
    return re.findall(r'"([a-z]+\.[a-z]+)"', call)


def test_the_page_lists_every_point() -> None:
    rows = table(ROOT / "docs/chaos.md", "## Points")
    said = {name.strip("`"): f"{who}: {done} | {todo}" for name, who, done, todo in rows}
    assert said == POINTS
