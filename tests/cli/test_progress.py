from pathlib import Path

import pytest

from tests.cli.conftest import Labsched


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("0.4", "shank 2 of 4"), "0.4000 shank 2 of 4\n"),
        (("40%", "shank", "2"), "0.4000 shank 2\n"),
        (("1",), "1.0000\n"),
        (("0", "two\nlines"), "0.0000 two lines\n"),
    ],
)
def test_progress_is_one_line_in_the_file_of_the_stage(
    words: tuple[str, ...], line: str, scratch: Path, labsched: Labsched
) -> None:
    file = scratch / "progress"
    assert labsched("progress", *words, env={"LABSCHED_PROGRESS": str(file)}).code == 0
    assert file.read_text() == line
    assert [path.name for path in scratch.iterdir()] == ["progress"]


def test_a_file_that_cannot_be_written_is_a_sentence(scratch: Path, labsched: Labsched) -> None:
    ran = labsched("progress", "0.5", env={"LABSCHED_PROGRESS": str(scratch / "gone" / "file")})
    assert (ran.code, "No such file" in ran.sentence) == (2, True)


@pytest.mark.parametrize("fraction", ["nan", "inf", "-0.1", "101%", "half", ""])
def test_what_is_no_fraction_is_refused(fraction: str, scratch: Path, labsched: Labsched) -> None:
    ran = labsched("progress", "--", fraction, env={"LABSCHED_PROGRESS": str(scratch / "file")})
    assert (ran.code, "how far" in ran.sentence) == (2, True)
