"""What people and programs see, to the letter. LABSCHED_GOLDEN=write writes the files anew: then look at the diff."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from labsched import __version__
from labsched.cli import history, show, status
from labsched.wire.messages import Daemon, Doctor, Finding, Job, Waited
from tests.cli.canned import answering
from tests.cli.conftest import Labsched
from tests.cli.samples import HISTORY, JOB, NOW, ROWS, SAID, STATUS

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str, text: str) -> None:
    file = GOLDEN / name
    if os.environ.get("LABSCHED_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text)
        pytest.fail(f"{file} was written; look at it, and run the test without LABSCHED_GOLDEN")
    assert text == file.read_text()


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.parametrize("cells", [None, 80, 110, 160])
def test_the_status_table(cells: int | None) -> None:
    golden(
        f"status-{cells or 'pipe'}.txt",
        "\n".join(status.render(msgspec.structs.replace(STATUS, version=__version__), cells)) + "\n",
    )


def test_an_empty_queue_says_what_to_do() -> None:
    quiet = msgspec.structs.replace(STATUS, jobs=(), counts=type(STATUS.counts)(), draining=True, version="0.0.9")
    golden("status-empty.txt", "\n".join(status.render(quiet, 80)) + "\n")


def test_a_job() -> None:
    golden("show.txt", "\n".join(show.render(JOB, NOW)) + "\n")


def test_a_job_with_the_values_of_its_environment() -> None:
    stage = msgspec.structs.replace(JOB.stages[0], env_values={"PATH": "/bin", "HOME": "/home/a\nb"})
    golden("show-env.txt", "\n".join(show.render(msgspec.structs.replace(JOB, stages=(stage,)), NOW)) + "\n")


def test_the_history() -> None:
    lines = history.render(HISTORY, NOW, 110)
    golden("history.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("words", "what", "message"),
    [
        (("status",), "status", STATUS),
        (("show", "428"), "job", JOB),
        (("history",), "history", HISTORY),
        (("pools",), "pools", SAID),
    ],
)
def test_json(words: tuple[str, ...], what: str, message: msgspec.Struct, scratch: Path, labsched: Labsched) -> None:
    with answering(scratch / "socket", {what: message}):
        ran = labsched(*words, "--json")
    assert ran.code == 0, ran
    assert ran.out.count("\n") == 1
    golden(f"{words[0]}.json", json.dumps(json.loads(ran.out), indent=1, ensure_ascii=False) + "\n")


def test_wait_as_json_is_one_value(scratch: Path, labsched: Labsched) -> None:
    with answering(scratch / "socket", {"wait": Waited(True, (ROWS[3],)), "job": JOB}):
        ran = labsched("wait", "428", "--json")
    assert ran.code == 1
    golden("wait.json", json.dumps(json.loads(ran.out), indent=1, ensure_ascii=False) + "\n")


def test_doctor_as_json_has_what_the_daemon_found(scratch: Path, labsched: Labsched) -> None:
    found = Finding(level="problem", what="the disk is full", mend="make room")
    who = Daemon(version="0.1.0", pid=1, user="lab", python="/no/python", state="/s", settings={"sort": {}})
    with answering(scratch / "socket", {"daemon": who, "doctor": Doctor((found,))}):
        ran = labsched("doctor", "--json")
    findings = json.loads(ran.out)["findings"]
    assert ran.code == 1
    assert msgspec.to_builtins(found) in findings
    assert any("cannot run /no/python" in one["what"] for one in findings)


def test_quiet_prints_numbers_only(scratch: Path, labsched: Labsched) -> None:
    with answering(scratch / "socket", {"status": STATUS, "history": HISTORY, "job": JOB, "pools": SAID}):
        assert labsched("status", "-q").out == "430\n432\n434\n428\n"
        assert labsched("history", "-q").out == "428\n421\n420\n"
        assert labsched("show", "428", "-q").out == "428\n"
        assert labsched("pools", "-q").out == "0\n7\n1\n"


def test_a_job_survives_its_own_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(JOB), type=Job) == JOB
