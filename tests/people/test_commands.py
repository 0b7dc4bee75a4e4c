"""The commands, as people type them who have nothing to do with each other."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.people.conftest import OpenWorld, config
from tests.people.test_as_submitter import sh
from tests.people.test_modes import ROOT, python
from tests.people.users import User
from tests.worlds import World, world


@pytest.fixture(scope="module")
def it(boss: User) -> Iterator[World]:
    """A daemon of root's, and a block that everybody may read."""
    with world(config(boss), kind=OpenWorld) as made:
        words = [sys.executable, str(ROOT / "examples/make_block.py"), str(made.folder / "data/mat")]
        subprocess.run([*words, "--name", "b1", "--seconds", "2"], check=True, capture_output=True)
        for path in (made.folder / "data", *(made.folder / "data").rglob("*")):
            path.chmod(0o755)
        yield made


def labsched(who: User, it: World, *words: str) -> tuple[int, str]:
    """What a command of theirs ends with, and prints."""
    program, packages = python()
    done = subprocess.run(
        [program, "-m", "labsched", *words],
        env={
            "PYTHONPATH": packages,
            "HOME": str(who.home),
            "USER": who.name,
            "PATH": "/usr/bin:/bin",
            "LABSCHED_SOCKET": str(it.folder / "s"),
        },
        cwd=who.home,
        user=who.uid,
        group=who.gid,
        extra_groups=[],
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("way", ["closed", "not there", "there"])
def test_nobody_has_results_put_where_they_may_not_write(way: str, it: World, one: User, two: User) -> None:
    target = (one.home if way == "closed" else it.folder) / f"phy-{way[:3]}" / "b1"
    if way == "there":
        target.mkdir(parents=True)
    before = len(it.status(all=True, limit=1000).jobs)
    source = str(it.folder / "data/mat/b1")
    for words in (["submit", "b1"], ["run", "b1", "--source", source]):
        code, said = labsched(two, it, *words, "--target", str(target))
        assert (code, "name another place with --target, or ask its owner" in said) == (5, True), said
        assert "Traceback" not in said
    assert len(it.status(all=True, limit=1000).jobs) == before


@pytest.mark.parametrize("name", ["../../etc", "x/../../y", "/etc/passwd", "..", "a\nb"])
def test_a_block_that_is_named_to_escape_its_folder_is_refused(name: str, it: World, two: User) -> None:
    code, said = labsched(two, it, "submit", "--", name)
    assert (code, "is not a block's name" in said) == (2, True), said


def test_what_is_anothers_is_refused_with_whom_to_ask(it: World, one: User, two: User) -> None:
    [number] = one.asks(it).submit(sh("sleep 60", name="one's"))
    for words in (["cancel"], ["hold"], ["retry"], ["logs"], ["show", "--env"]):
        code, said = labsched(two, it, *words, str(number))
        assert (code, f"belongs to {one.name}: ask them, or an admin" in said) == (5, True), said
    code, said = labsched(two, it, "show", str(number))
    assert (code, "/bin/sh …" in said, f"shown to {one.name}, and to admins" in said) == (0, True, True), said
    assert "sleep 60" not in said
    for words in (["pool", "set", "CPU", "1"], ["backup", str(two.home / "x")], ["config", "reload"]):
        code, said = labsched(two, it, *words)
        assert (code, "ask an admin" in said) == (5, True), said
    one.asks(it).verb("cancel", number)


def test_the_doctor_looks_at_the_folders_as_whoever_asks(it: World, one: User, two: User) -> None:
    mine = it.folder / "data/phy"
    mine.mkdir(exist_ok=True)
    mine.chmod(0o755)
    _, said = labsched(two, it, "doctor")
    assert f"{mine}, where results go, may not be written" in said
    Path(mine).chmod(0o777)
    _, said = labsched(two, it, "doctor")
    assert f"results go to {mine}" in said
    assert said.count("results go") == 1
