"""Everybody is told of their own jobs, by processes of their own."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labsched.wire.messages import Targets
from tests.people.conftest import OpenWorld, config
from tests.people.test_commands import labsched
from tests.people.users import User
from tests.worlds import World, command, eventually, world


@pytest.fixture(scope="module")
def it(boss: User) -> Iterator[World]:
    with world(config(boss, "[notify]\ndigest = 0.2\n"), kind=OpenWorld) as made:
        yield made


def hook(who: User) -> Path:
    """A command of theirs that writes down who runs it, and what for."""
    path = who.home / "told.sh"
    path.write_text("#!/bin/sh\nid -un > $HOME/who\nenv > $HOME/env\ngrep CapEff /proc/self/status > $HOME/caps\n"
                    "cat > $HOME/part\nmv $HOME/part $HOME/message\n")  # fmt: skip
    path.chmod(0o700)
    os.chown(path, who.uid, who.gid)
    return path


def test_a_command_runs_as_whoever_set_it_and_hears_of_their_jobs_alone(it: World, one: User, two: User) -> None:
    code, said = labsched(one, it, "notify", "add", "-q", "--command", str(hook(one)), "--on", "succeeded")
    assert code == 0, said
    it.wait(*it.submit(command("true", name="root's")))
    assert labsched(one, it, "add", "-q", "--name", "mine", "--", "true")[0] == 0
    eventually((one.home / "message").exists)
    assert (one.home / "who").read_text().strip() == one.name
    assert int((one.home / "caps").read_text().split()[1], 16) == 0
    assert "LABSCHED_STATE" not in (one.home / "env").read_text()
    assert [thing["name"] for thing in json.loads((one.home / "message").read_text())["things"]] == ["mine"]
    [target] = it.client.get("notify", Targets, all=1).targets
    for verb in ("remove", "test"):
        code, said = labsched(two, it, "notify", verb, str(target.id))
        assert (code, f"there is no target {target.id}" in said) == (4, True), said
    assert labsched(two, it, "notify", "list", "-q") == (0, "")
    assert labsched(two, it, "notify", "list", "--all")[0] == 5
    assert labsched(one, it, "notify", "remove", str(target.id))[0] == 0
