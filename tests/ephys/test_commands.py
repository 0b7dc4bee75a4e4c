"""The command line: what it prints, how it exits, and what a signal leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labsched.ephys.__main__ import VERBS, main
from tests.ephys.exports import block


def run(*words: object, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "labsched.ephys", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def sparse(folder: Path, megabytes: int = 150) -> Path:
    """A long flat recording that takes no room and seconds to process."""
    folder.mkdir()
    with (folder / "a.dat").open("wb") as file:
        file.truncate(megabytes * 1_000_000)
    (folder / "a.toml").write_text("rate = 20000\nn_channels = 10\n")
    return folder


def begun(source: Path, target: Path) -> subprocess.Popen:
    """A denoise that has begun to write its result."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labsched.ephys", "denoise", "--source", source, "--target", target, "--name", "b"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(target.glob(".b.raw.kwd.partial-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return process


def test_denoise_says_what_it_found_omitted_realigned_and_wrote(tmp_path):
    source = block(tmp_path / "mat", stagger=True)
    note = tmp_path / "progress"
    words = ("--source", source, "--target", tmp_path / "out", "--name", "b", "--omit", "Port_2, Port_3")
    done = run("denoise", *words, "--set", "spikedetekt.filter_low=300", LABSCHED_PROGRESS=str(note))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for part in ("4 channels at 20000 Hz", "omitted: Port_2, Port_3", "realigned: 1 channels", "wrote b.raw.kwd: 6000"):
        assert part in done.stdout
    assert "filter_low': 300" in (tmp_path / "out" / "b.prm").read_text()
    assert note.read_text().startswith("1.0000 2 channels, 0.3 s, reference ridge; omitted Port_2, Port_3")


def test_a_mistake_is_one_sentence_at_the_end_of_stderr(tmp_path):
    source = block(tmp_path / "mat")
    done = run("denoise", "--source", source, "--target", tmp_path / "out", "--name", "b", "--omit", "Port_9")
    assert done.returncode == 1
    assert (
        done.stderr == "error: cannot omit unknown channel Port_9: the recording has Port_1, Port_2, Port_3, Port_4\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words",
    [[], ["nonsense"], ["denoise"], ["denoise", "--nonsense"], ["check", "--source"]],
)
def test_wrong_usage_exits_with_2(words, capsys):
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert "example" in capsys.readouterr().out


def test_check_summarises_and_finds_the_same_mistakes(tmp_path, capsys):
    source = block(tmp_path / "mat")
    assert main(["check", "--source", str(source), "--omit", "Port_1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["labels"] == ["Port_2", "Port_3", "Port_4"]
    assert (said["rate"], said["duration_s"]) == (20000.0, 0.3)
    assert said["n_bytes"] == (source / "one.mat").stat().st_size
    assert main(["check", "--source", str(source)]) == 0
    assert "4 channels at 20000 Hz, 0.3 s" in capsys.readouterr().out
    for words, says in [
        (["--source", str(tmp_path / "x")], "there is no folder"),
        (["--source", str(source), "--omit", "Port_7"], "unknown channel Port_7"),
        (["--source", str(source), "--omit", "Port_1,Port_2,Port_3,Port_4"], "all 4 channels"),
        (["--source", str(source), "--probe", "no-such-probe"], "no-such-probe"),
    ]:
        assert main(["check", *words]) == 1
        assert re.fullmatch(rf"error: .*{says}.*\n", capsys.readouterr().err)


def test_sigterm_removes_what_was_begun_and_exits_with_143(tmp_path):
    target = tmp_path / "out"
    process = begun(sparse(tmp_path / "mat"), target)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "Traceback" not in errors
    assert list(target.iterdir()) == []


def test_a_killed_run_leaves_nothing_final_and_the_next_one_cleans_up(tmp_path):
    target = tmp_path / "out"
    process = begun(sparse(tmp_path / "mat"), target)
    process.kill()
    process.communicate(timeout=30)
    assert [path.name for path in target.iterdir()] == [f".b.raw.kwd.partial-{process.pid}"]
    done = run("denoise", "--source", block(tmp_path / "small"), "--target", target, "--name", "b")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in target.iterdir()} == {"b.raw.kwd", "b.prb", "b.prm", "b.denoise.json"}


def test_memory_does_not_grow_with_the_recording(tmp_path):
    peaks = []
    for megabytes in (20, 120):
        source, target = sparse(tmp_path / f"mat{megabytes}", megabytes), tmp_path / f"out{megabytes}"
        done = run("denoise", "--source", source, "--target", target, "--name", "b", "--reference", "car")
        assert done.returncode == 0, done.stderr
        peaks.append(json.loads((target / "b.denoise.json").read_text())["peak_rss_bytes"])
        (target / "b.raw.kwd").unlink()
    assert max(peaks) < 200e6
    assert peaks[1] < peaks[0] + 30e6
