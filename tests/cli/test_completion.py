import shutil
import subprocess
from pathlib import Path

import pytest

from labsched.wire.messages import Daemon
from tests.cli.canned import answering
from tests.cli.conftest import Labsched
from tests.cli.samples import SAID, STATUS


def complete(labsched: Labsched, line: str) -> list[str]:
    words = line.split(" ")
    ran = labsched(
        env={"_LABSCHED_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
    )
    assert ran.err == ""
    return [item.partition(",")[2] for item in ran.out.splitlines() if item]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one_that_it_can_read(shell: str, labsched: Labsched) -> None:
    ran = labsched("completion", shell)
    assert (ran.code, "_LABSCHED_COMPLETE" in ran.out) == (0, True)
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=ran.out, text=True, capture_output=True).stderr == ""


def test_verbs_and_options_are_completed(labsched: Labsched) -> None:
    assert complete(labsched, "labsched st") == ["status"]
    assert sorted(complete(labsched, "labsched pool ")) == ["pause", "resume", "set"]
    assert complete(labsched, "labsched submit --ref") == ["--reference"]
    assert complete(labsched, "labsched submit --reference w") == ["war", "whiten"]


def test_jobs_pools_and_blocks_are_completed_with_what_there_is(scratch: Path, labsched: Labsched) -> None:
    for block in ("rat12/2024-03-10", "rat12/2024-03-12", "rat09"):
        (scratch / "mat" / block).mkdir(parents=True)
    who = Daemon(
        version="1",
        pid=1,
        user="lab",
        python="/p",
        state="/s",
        settings={"sort": {"source": f"{scratch}/mat/{{block}}"}},
    )
    with answering(scratch / "socket", {"status": STATUS, "pools": SAID, "daemon": who}):
        assert complete(labsched, "labsched logs 43") == ["430", "432", "434"]
        assert complete(labsched, "labsched logs rat12") == ["rat12/2024-03-10", "rat12/2024-03-12"]
        assert complete(labsched, "labsched cancel la") == ["last"]
        assert complete(labsched, "labsched pool pause G") == ["GPU"]
        assert complete(labsched, "labsched submit rat") == ["rat09", "rat12"]
        assert complete(labsched, "labsched submit rat12/2024-03-1") == ["rat12/2024-03-10", "rat12/2024-03-12"]


def test_without_a_daemon_there_is_nothing_to_complete_and_nothing_is_said(labsched: Labsched) -> None:
    assert complete(labsched, "labsched logs 4") == []
    assert complete(labsched, "labsched submit r") == []
