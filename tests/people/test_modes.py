"""Whom a daemon serves, and as whom it runs things: by what it may do, and what the configuration says."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from labsched.daemon.privileges import NEEDED, Mode
from labsched.errors import Forbidden
from labsched.wire.messages import Doctor
from tests.people.conftest import OpenWorld
from tests.people.test_as_submitter import WHO, folder, sh
from tests.people.users import User
from tests.worlds import QUICK, World, alive, eventually, new_state, world

ROOT = Path(__file__).parents[2]


@cache
def python() -> tuple[str, str]:
    """A Python that everybody may run, with what labsched needs, and its PYTHONPATH; skips where there is none."""
    import aiohttp

    path = f"{ROOT}:{Path(aiohttp.__file__).parents[1]}"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    script = "import aiohttp, msgspec, sqlalchemy, labsched.daemon.main"
    for candidate in (os.path.realpath(sys.executable), f"/usr/bin/{version}"):
        with suppress(OSError):
            words, env = [candidate, "-c", script], {"PYTHONPATH": path}
            nobody = {"user": 65534, "group": 65534, "extra_groups": []}
            if subprocess.run(words, cwd="/", env=env, capture_output=True, **nobody).returncode == 0:  # type: ignore[call-overload]
                return candidate, path
    pytest.skip(f"other users may not run this {version} and its packages")


class TheirWorld(OpenWorld):
    """A world whose daemon is not root's."""

    user: User
    prefix: tuple[str, ...] = ()

    def start(self) -> None:
        (self.folder / "config.toml").write_text(self.config)
        self.folder.chmod(0o755)
        new_state(self.folder / "state")
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, self.user.uid, self.user.gid)
        program, packages = python()
        words = ["daemon", "--state", "state", "--socket", "s", "--config", "config.toml"]
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, program, "-m", "labsched", *words],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env={"PYTHONPATH": packages, "HOME": str(self.user.home), "PATH": os.environ["PATH"]},
                user=None if self.prefix else self.user.uid,  # the prefix changes user itself
                group=None if self.prefix else self.user.gid,
                extra_groups=None if self.prefix else [],
            )
        eventually(self._answers)


@contextmanager
def daemon_of(user: User, config: str = "", prefix: tuple[str, ...] = ()) -> Iterator[World]:
    kind: type[TheirWorld] = type("TheirWorld", (TheirWorld,), {"user": user, "prefix": prefix})
    with world(f'{QUICK}socket_mode = "0666"\n{config}', kind=kind) as it:
        yield it


def whom(it: World) -> list[str]:
    return [finding.what for finding in it.client.get("doctor", Doctor).findings]


def test_a_daemon_that_may_not_change_user_serves_its_own_alone(one: User, two: User) -> None:
    with daemon_of(one) as it:
        [number] = one.asks(it).submit(sh("id -u; umask", umask="077"))
        one.asks(it).wait(number)
        assert one.asks(it).log(number) == f"{one.uid}\n0077\n"
        with pytest.raises(Forbidden, match=f"this daemon serves {one.name} alone: run one of your own"):
            two.asks(it).status()
        with pytest.raises(Forbidden):
            two.asks(it).submit(sh("true"))
        assert it.status(all=True).jobs[0].user == one.name
        assert "it serves its own user alone, and root; all stages run as that user" in whom(it)
        assert (it.folder / "state").stat().st_mode & 0o777 == 0o750
        with pytest.raises(PermissionError):
            two.does(lambda: list((it.folder / "state").iterdir()))


def test_a_shared_account_serves_all_as_itself_and_tells_them_apart(one: User, two: User, boss: User) -> None:
    with daemon_of(one, "shared_account = true\n") as it:
        [number] = two.asks(it).submit(sh("id -u; umask; echo secret", umask="077", name="theirs"))
        two.asks(it).wait(number)
        assert two.asks(it).log(number) == f"{one.uid}\n0022\nsecret\n"
        assert it.job(number).user == two.name
        with pytest.raises(Forbidden, match=f"job {number} belongs to {two.name}"):
            boss.asks(it).verb("retry", number)
        with pytest.raises(Forbidden, match=f"the log of job {number} belongs to {two.name}"):
            boss.asks(it).log(number)
        assert one.asks(it).log(number).endswith("secret\n")  # the account's own user is an admin
        assert "it serves everybody who reaches its socket; all stages run as its own user" in whom(it)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
class TestCapabilities:
    def setpriv(self, user: User, *capabilities: str) -> tuple[str, ...]:
        words = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in capabilities)
        return (
            *("setpriv", "--reuid", str(user.uid), "--regid", str(user.gid), "--clear-groups"),
            *("--inh-caps", words, "--ambient-caps", words, "--"),
        )

    def test_a_daemon_with_the_capabilities_runs_each_stage_as_its_submitter(self, one: User, two: User) -> None:
        with daemon_of(one, prefix=self.setpriv(one, *NEEDED)) as it:
            mine, theirs = *one.asks(it).submit(sh(WHO)), *two.asks(it).submit(sh(WHO))
            two.asks(it).wait(mine, theirs)
            for who, number in ((one, mine), (two, theirs)):
                assert who.asks(it).job(number).outcome == "succeeded"
                said = who.asks(it).log(number).splitlines()
                assert said[0] == str(who.uid)
                sets = {line.split()[1] for line in said[7:] if not line.startswith("CapBnd")}
                assert sets == {"0" * 16}, "a stage must not get what its daemon may"
            assert (folder(it, theirs) / "log").stat().st_uid == two.uid
            assert "each stage runs as its submitter" in " ".join(whom(it))
            script = "echo 0.5 > $LABSCHED_PROGRESS; trap '' TERM; setsid sleep 60 & echo $!; wait"
            [number] = two.asks(it).submit(sh(script))
            eventually(lambda: two.asks(it).job(number).stages[0].progress == 0.5)
            stray = int(two.asks(it).log(number))
            two.asks(it).verb("cancel", number)
            assert not alive(stray)

    def test_a_stage_of_such_a_daemon_enters_no_closed_folder(self, one: User, two: User, boss: User) -> None:
        (boss.home / "there").touch()
        with daemon_of(one, prefix=self.setpriv(one, *NEEDED)) as it:
            [number] = two.asks(it).submit(sh("true", cwd=str(boss.home)))
            [job] = two.asks(it).wait(number)
            assert "may not enter its working folder" in str(job.stages[0].reason)
            [number] = two.asks(it).submit(sh("true", outputs=(f"{boss.home}/there",)))
            [job] = two.asks(it).wait(number)
            assert job.outcome == "failed"

    def test_some_of_the_capabilities_are_not_enough(self, one: User, two: User) -> None:
        with daemon_of(one, prefix=self.setpriv(one, "CAP_SETUID", "CAP_SETGID")) as it:
            with pytest.raises(Forbidden, match=r"serves .* alone"):
                two.asks(it).status()
            [number] = one.asks(it).submit(sh(WHO))
            one.asks(it).wait(number)
            sets = one.asks(it).log(number).splitlines()[7:]
            assert {line.split()[1] for line in sets if not line.startswith("CapBnd")} == {"0" * 16}
            assert "it lacks CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_KILL, CAP_SYS_PTRACE" in it.log

    @pytest.mark.parametrize("without", [None, *NEEDED])
    def test_it_takes_all_of_them(self, without: str | None, one: User) -> None:
        program, path = python()
        script = "from labsched.daemon.privileges import choose, lacking; print(choose(False), *lacking())"
        words = [*self.setpriv(one, *(NEEDED.keys() - {without})), program, "-c", script]
        done = subprocess.run(words, env={"PYTHONPATH": path}, cwd="/", capture_output=True, text=True, check=True)
        assert done.stdout.split() == (["own", without] if without else ["each"])

    def test_the_page_names_them_all(self) -> None:
        page = (ROOT / "docs/how-to/several-people.md").read_text()
        assert set(re.findall("CAP_[A-Z_]+", page)) - {"CAP_SYS_RESOURCE"} == set(NEEDED)

    def test_a_daemon_that_could_become_root_does_not_share_its_account(self, one: User, tmp_path: Path) -> None:
        program, path = python()
        tmp_path.chmod(0o755)
        config = one.home / "shared.toml"
        config.write_text("[daemon]\nshared_account = true\n")
        os.chown(config, one.uid, one.gid)
        done = subprocess.run(
            [
                *(*self.setpriv(one, "CAP_SETUID", "CAP_SETGID"), program, "-m", "labsched", "daemon"),
                *("--state", str(one.home / "state"), "--socket", str(one.home / "s"), "--config", str(config)),
            ],
            env={"PYTHONPATH": path, "PATH": os.environ["PATH"]},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, "would make root of everybody" in done.stderr) == (5, True), done.stderr


def test_the_words_for_each_mode_are_there() -> None:
    from labsched.daemon.findings import WHOM

    assert set(WHOM) == set(Mode)
