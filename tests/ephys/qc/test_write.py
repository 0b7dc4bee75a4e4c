"""Metrics as files: NAME.metrics.csv and NAME.metrics.json."""

import csv
import hashlib
import json

import pytest

from labsched.ephys.__main__ import main
from labsched.ephys.errors import EphysError
from labsched.ephys.qc.write import measure, replace

from .blocks import block


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return block(tmp_path_factory.mktemp("sorted") / "out", seconds=20.0)


def test_both_files_have_every_cluster(made, capsys):
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in made.folder.iterdir()}
    assert main(["metrics", "--target", str(made.folder), "--name", "b"]) == 0
    out = capsys.readouterr().out
    assert "8 clusters: " in out
    with (made.folder / "b.metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    document = json.loads((made.folder / "b.metrics.json").read_text())
    assert [row["unit"] for row in rows] == [row["unit"] for row in document["units"]]
    assert {row["unit"] for row in rows} == {f"{shank}.{cluster}" for shank, cluster in made.trains}
    for row, known in zip(rows, document["units"], strict=True):
        assert int(row["num_spikes"]) == known["num_spikes"] == len(made.trains[known["shank"], known["cluster"]])
        assert row["amplitude_cv_median"] == (
            "" if known["amplitude_cv_median"] is None else row["amplitude_cv_median"]
        )
    assert document["thresholds"]["noise"] == [{"metric": "snr", "least": 2.0}]
    assert sum(document["labels"].values()) == 8
    # what klusta wrote is as it was
    assert before == {path: hashlib.sha256(path.read_bytes()).digest() for path in before}


def test_the_same_sorting_has_the_same_metrics(made, capsys):
    rows = measure(made.folder, "b", say=lambda line: None)
    first = (made.folder / "b.metrics.csv").read_bytes()
    assert main(["metrics", "--target", str(made.folder), "--name", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == rows
    assert (made.folder / "b.metrics.csv").read_bytes() == first


def test_a_folder_that_cannot_be_written_to_is_a_sentence_and_the_old_file_stays(made):
    measure(made.folder, "b", say=lambda line: None)
    before = (made.folder / "b.metrics.csv").read_bytes()
    with pytest.raises(EphysError, match="cannot write"):
        replace(made.folder / "b.dat" / "b.metrics.csv", "text")
    assert (made.folder / "b.metrics.csv").read_bytes() == before


def test_a_block_that_is_not_sorted_is_a_sentence(tmp_path, capsys):
    assert main(["metrics", "--target", str(tmp_path), "--name", "b"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: b has no finished sorting in {tmp_path}")


def test_nothing_partial_is_left(made):
    measure(made.folder, "b", say=lambda line: None)
    assert not [path for path in made.folder.iterdir() if "partial" in path.name]
