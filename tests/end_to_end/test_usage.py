"""labsched usage, as a person asks for it."""

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime

import pytest

from tests.worlds import QUICK, World, command, world

MONTH = f"{datetime.now():%Y-%m}"


@pytest.fixture(scope="module")
def it() -> Iterator[World]:
    with world(QUICK + "[pools]\nCPU = 4\nGPU = 1\n") as made:
        jobs = made.submit(
            command("sleep", "1", needs=({"CPU": 2, "GPU": 1},)),
            command("false"),
            command("python3", "-c", "sum(range(20_000_000))", recipe="train"),
        )
        made.wait(*jobs)
        yield made


def run(it: World, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "labsched", "usage", *words],
        cwd=it.folder,
        text=True,
        capture_output=True,
        timeout=60,
        env={**os.environ, "LABSCHED_SOCKET": str(it.folder / "s")},
    )


def test_what_was_used_is_told_also_when_the_jobs_are_gone(it: World) -> None:
    before = json.loads(run(it, "--json").stdout)
    (row,) = before["rows"]
    assert (row["month"], row["jobs"], row["failed"]) == (MONTH, 3, 1)
    assert 1.0 <= row["slot_seconds"]["GPU"] < 30
    assert row["slot_seconds"]["CPU"] >= 2 * row["slot_seconds"]["GPU"]
    assert row["cpu_seconds"] > 0.1
    by_recipe = json.loads(run(it, "--by", "recipe", "--json").stdout)["rows"]
    told = [(one["recipe"], one["jobs"], one["month"]) for one in by_recipe]
    assert told == [
        ("command", 2, None),
        ("train", 1, None),
    ]
    pruned = subprocess.run(
        [sys.executable, "-m", "labsched", "--socket", str(it.folder / "s"), "prune", "--keep", "1"],
        capture_output=True,
        timeout=60,
    )
    assert pruned.returncode == 0
    with closing(sqlite3.connect(it.folder / "state/queue.db")) as queue:
        assert queue.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    after = json.loads(run(it, "--json").stdout)
    for key in ("jobs", "failed"):
        assert after["rows"][0][key] == row[key]
    assert after["rows"][0]["cpu_seconds"] == pytest.approx(row["cpu_seconds"], abs=0.01)
    assert after["rows"][0]["slot_seconds"] == pytest.approx(row["slot_seconds"], abs=0.01)


def test_as_a_table_and_as_csv(it: World) -> None:
    head, line = run(it).stdout.splitlines()
    assert head.split() == ["MONTH", "USER", "JOBS", "FAILED", "CPU", "h", "CPU", "slot", "h", "GPU", "slot", "h"]
    assert line.split()[0] == MONTH
    assert line.split()[2:4] == ["3", "1"]
    (row,) = csv.DictReader(io.StringIO(run(it, "--by", "user", "--csv").stdout))
    assert row["jobs"] == "3"
    assert float(row["GPU_slot_hours"]) > 0
    assert "month" not in row
    assert "nothing" in run(it, "--to", "2020-01").stdout
    assert run(it, "--user", "nobody-such", "--csv").stdout == "month,user,jobs,failed,cpu_hours\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "March"), "'March' is not a month: it is such as 2026-03"),
        (("--to", "2026-13"), "is not a month"),
        (("--from", "2026-05", "--to", "2026-03"), "name the earlier month first"),
        (("--from", "1970-01", "--to", "2999-12"), "more than 50 years"),
        (("--by", "week"), "by month, user, recipe"),
        (("--csv", "--json"), "give --csv or --json, not both"),
    ],
)
def test_mistakes_are_sentences(it: World, words: tuple[str, ...], said: str) -> None:
    done = run(it, *words)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
