"""labsched report: the page of a job, or a sentence."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from labsched.core.states import Outcome, State
from labsched.recipes import results
from labsched.wire.messages import Job
from tests.cli.canned import answering
from tests.cli.conftest import Labsched
from tests.cli.samples import JOB
from tests.ephys.report.finished import finished


def sorted_job(path: Path) -> Job:
    return replace(JOB, id=7, outcome=Outcome.SUCCEEDED, report=str(path))


def test_its_path_is_printed_where_there_is_no_display(labsched: Labsched, scratch: Path) -> None:
    path = scratch / "b c.report.html"
    path.write_text("x")
    with answering(scratch / "socket", {"job": sorted_job(path)}):
        for words in ((), ("--print",)):
            ran = labsched("report", "7", *words)
            assert (ran.code, ran.out, ran.err) == (0, f"{path}\n", "")
        ran = labsched("report", "7", "--json")
        assert json.loads(ran.out) == {"job": 7, "name": JOB.name, "report": str(path), "opened": False}


def test_a_browser_opens_it_where_there_is_a_display(labsched: Labsched, scratch: Path) -> None:
    path, seen, browser = scratch / "b c.report.html", scratch / "seen", scratch / "browser"
    path.write_text("x")
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}\n')
    browser.chmod(0o755)
    env = {"DISPLAY": ":99", "BROWSER": f"{browser} %s"}
    with answering(scratch / "socket", {"job": sorted_job(path)}):
        assert labsched("report", "7", "--print", env=env).code == 0
        assert not seen.exists()
        assert labsched("report", "7", env=env).out == f"{path}\n"
    assert seen.read_text() == path.as_uri()


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"state": State.RUNNING, "outcome": None}, 75, "job 428 has not ended, and its report comes last"),
        ({}, 4, "job 428 did not succeed, so it has no report: labsched logs 428 says why"),
        ({"recipe": "command"}, 4, "job 428 is a command, not a block"),
        ({"hidden": True}, 5, "shown to user3 and to admins"),
        ({"report": "/nowhere/b.report.html"}, 4, "labsched report 428 --again makes it"),
    ],
)
def test_a_job_without_a_report_gets_a_sentence(
    labsched: Labsched, scratch: Path, changes: dict[str, object], code: int, says: str
) -> None:
    with answering(scratch / "socket", {"job": replace(JOB, **{"recipe": "sort", **changes})}):
        ran = labsched("report", "428")
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.sentence


def test_again_makes_it_anew_from_the_results(labsched: Labsched, scratch: Path) -> None:
    made = finished(scratch, "b", sites=4, units=1, seconds=4, raw=False)
    path = made.folder / "b.report.html"
    with answering(scratch / "socket", {"job": sorted_job(path)}):
        assert labsched("report", "7").code == 4
        ran = labsched("report", "7", "--again", "--print")
        assert (ran.code, ran.out) == (0, f"{path}\n")
        assert "Port_4" in path.read_text()
        (made.folder / "b.denoise.json").unlink()
        ran = labsched("report", "7", "--again")
        assert (ran.code, ran.sentence) == (1, f"no report of job 7: {made.folder} has no block b: it has none")


def test_the_recipe_says_where_it_is() -> None:
    outputs = ["/out/a.denoise.json", "/out/x/a.kwik", "/out/x/a.sorting.json"]
    assert results.report("sort", outputs) == "/out/x/a.report.html"
    assert results.report("command", outputs) is None
    assert results.report("sort", outputs[:2]) is None
    assert results.block("/out/x/a.report.html") == ("/out/x", "a")
