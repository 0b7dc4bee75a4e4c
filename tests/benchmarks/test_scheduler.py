"""The benchmark of the scheduler: what it computes, what it writes, and that it leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.scheduler import page
from benchmarks.scheduler.figures import Found, Table, in_turns, percentile, ratio
from benchmarks.scheduler.parts import PARTS
from benchmarks.scheduler.parts.base import installed
from benchmarks.scheduler.parts.pairs import ideal
from benchmarks.scheduler.sides import SIDES
from benchmarks.scheduler.sides.base import Bench
from benchmarks.scheduler.stamps import Stamp, gaps
from benchmarks.soak.watch import Look, broken
from tests.docs.pages import ROOT
from tests.worlds import eventually

TABLE = Table(("", "figure"), [("a", "1.0")])
NS = 10**9


def test_a_part_that_is_measured_again_replaces_its_section_and_no_other(tmp_path: Path) -> None:
    file, order = tmp_path / "performance.md", ["noop", "pairs", "idle"]
    page.write(file, order, {"idle": "## Idle\n\nold", "noop": "## No-op\n\nold"})
    page.write(file, order, {"pairs": "## Pairs\n\nnew", "idle": "## Idle\n\nnew"})
    text = file.read_text()
    assert text.startswith("# Performance\n")
    kept = [line for line in text.splitlines() if line.startswith("## ") or line in ("old", "new")]
    assert kept == ["## No-op", "old", "## Pairs", "new", "## Idle", "new"]
    assert [one.name for one in tmp_path.iterdir()] == ["performance.md"]


def test_a_section_says_what_it_was_measured_on_and_how_to_repeat_it(tmp_path: Path) -> None:
    found = Found([("", TABLE)], {"task-spooler": "1.0"}, ["Slurm is not installed (apt-get install slurm-wlm)"])
    text = page.section(PARTS[0], found, tmp_path, load=0.5)
    for said in (
        TABLE.markdown(),
        "cores",
        "load 0.5",
        "SQLite",
        "task-spooler 1.0",
        "make bench-scheduler PARTS=noop",
    ):
        assert said in text
    assert "Slurm is not installed (apt-get install slurm-wlm).\n" in text


def test_every_part_has_a_name_that_the_page_can_find_again() -> None:
    assert len({part.name for part in PARTS}) == len(PARTS)
    assert all(part.name.isidentifier() for part in PARTS)


def test_a_peer_that_is_missing_is_named_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    there, missing, sides = installed(Bench(tmp_path), SIDES)
    assert set(there) == {"labsched"} == {side.name for side in sides}
    assert "task-spooler is not installed (apt-get install task-spooler)" in missing
    assert len(missing) == len(SIDES) - 1


def test_sides_take_turns() -> None:
    turns: list[str] = []

    def side(name: str) -> float:
        turns.append(name)
        return float(len(turns))

    found = in_turns({name: lambda name=name: side(name) for name in "ab"}, 2)  # type: ignore[misc]
    assert turns == ["a", "b", "b", "a"]
    assert found == {"a": [1.0, 4.0], "b": [2.0, 3.0]}
    assert ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == 2.0


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 99), percentile(values, 50), percentile([3.0], 99)) == (99.0, 50.0, 3.0)


def test_the_ideal_of_forty_pairs() -> None:
    assert ideal(40, 0.2) == pytest.approx(21 * 0.2)
    assert ideal(1, 0.2) == pytest.approx(0.4)


def test_a_gap_is_from_the_end_in_a_slot_to_the_next_start_in_it() -> None:
    runs = [(0, 10), (0, 4), (5, 9), (11, 12)]  # two slots: 1 s free before the third, and 2 before the fourth
    assert gaps([Stamp(began * NS, 0, ended * NS) for began, ended in runs], 2) == [1.0, 2.0]


def test_what_grows_breaks_a_bound() -> None:
    flat = Look(50.0, 5.0, 30, 5, 5, 1.0, 4.0, 400, 10.0)
    assert broken([flat] * 9) == []
    leaks = [Look(**{**_fields(flat), "descriptors": 30 + 20 * i}) for i in range(9)]
    assert broken(leaks) == ["descriptors grew from 70.0 to 190.0"]
    assert broken([flat, Look(**{**_fields(flat), "wal": 70.0}), flat, flat]) == ["wal was 70.0, more than 64"]


def _fields(one: Look) -> dict[str, float]:
    return {name: getattr(one, name) for name in Look.__dataclass_fields__}


def test_a_part_that_there_is_not_is_said() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scheduler", "nope"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no part nope: give some of noop, pairs" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_interrupted_ends_all_that_it_has_started(tmp_path: Path, number: signal.Signals) -> None:
    words = [sys.executable, "-m", "benchmarks.scheduler", "--page", str(tmp_path / "page.md"), "idle"]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(words, cwd=ROOT, env=env, stderr=subprocess.DEVNULL) as benchmark:
        below: list[psutil.Process] = []

        def started() -> bool:
            below[:] = psutil.Process(benchmark.pid).children(recursive=True)
            return any(one.is_running() and "daemon" in one.cmdline() for one in below if one.status() != "zombie")

        eventually(started)
        benchmark.send_signal(number)
        assert benchmark.wait(30) == 130
    assert [one for one in below if one.is_running()] == []
    assert list(tmp_path.iterdir()) == []
