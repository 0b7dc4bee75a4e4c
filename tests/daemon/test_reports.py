"""Where a job's report is, as its recipe tells from what the job recorded."""

from collections.abc import Iterator

import pytest

from labsched.core.spec import JobSpec, StageSpec
from tests.worlds import World, world


@pytest.fixture(scope="module")
def it() -> Iterator[World]:
    with world() as found:
        yield found


def job(it: World, name: str, recipe: str, end: str = "") -> JobSpec:
    """A job of two stages as the recipe of blocks has them; the second one ends so."""
    summary = f"{it.folder}/{name}.sorting.json"
    first = StageSpec("denoise", ("/bin/true",), {"RAM": 1}, "/")
    second = StageSpec("klusta", ("/bin/sh", "-c", f"touch {summary}; {end}"), {"CPU": 1}, "/", outputs=(summary,))
    return JobSpec(name=name, stages=(first, second), recipe=recipe)


def test_a_sorted_block_has_a_report_in_show_status_and_history(it: World) -> None:
    [good, bad, other] = it.submit(job(it, "a", "sort"), job(it, "b", "sort", "exit 1"), job(it, "c", "command"))
    it.wait(good, bad, other)
    path = f"{it.folder}/a.report.html"
    assert [it.job(number).report for number in (good, bad, other)] == [path, None, None]
    rows = {row.id: row.report for row in it.status().jobs}
    assert [rows[number] for number in (good, bad, other)] == [path, None, None]


def test_one_that_has_not_ended_has_none_yet(it: World) -> None:
    [number] = it.submit(job(it, "d", "sort", "sleep 60"))
    assert it.job(number).report is None
    assert {row.id: row.report for row in it.status().jobs}[number] is None
    it.verb("cancel", number)
