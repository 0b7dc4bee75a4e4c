"""The life of a package, on a machine that has nothing. `make test-deb` builds it first."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.install import machine
from tests.install.machine import Machine
from tests.install.package import LEFTOVER, NOT_NAMED, OLD, PACKAGE, field, needed, older
from tests.install.services import needs
from tests.worlds import eventually

pytestmark = [
    pytest.mark.skipif(machine.why_not() is not None, reason=str(machine.why_not())),
    pytest.mark.skipif(not PACKAGE.is_file(), reason=NOT_NAMED),
    pytest.mark.timeout(1200),
]


@pytest.fixture(scope="module")
def package() -> Path:
    return PACKAGE


@pytest.fixture(scope="module")
def clean(package: Path) -> Iterator[Machine]:
    """A machine with what the package depends on, and nothing else."""
    with machine.place() as folder:
        it = machine.new(folder, "bare", needed(package))
        shutil.copy(package, it.root / "new.deb")
        shutil.move(older(package, folder), it.root / "old.deb")
        yield it


@pytest.fixture(scope="module")
def installed(clean: Machine) -> Machine:
    """The older version was there, was set up, and was upgraded to the newer."""
    clean.run("dpkg -i /old.deb")
    assert clean.run("dpkg-query -W -f '${Version}' labsched") == OLD
    assert (clean.root / LEFTOVER).exists()
    config = clean.root / "etc/labsched/config.toml"
    text = config.read_text().replace("[pools]\n", "[pools]\nRAM = 3\n")
    text = text.replace("[sort]\n", '[sort]\nsource = "/data/mat/{block}"\ntarget = "/data/phy/{block}"\n')
    config.write_text(text)
    (clean.root / "var/lib/labsched/kept").touch()
    clean.run("dpkg --force-confold -i /new.deb")
    return clean


@pytest.fixture(scope="module")
def daemon(installed: Machine) -> Iterator["subprocess.Popen[bytes]"]:
    """The daemon, root's, as its unit starts it; and three users, two of them of the lab."""
    for user, group in (("anna", "labsched"), ("bela", "labsched"), ("eve", "users")):
        installed.run(f"useradd --create-home --groups {group} {user}")
    log = installed.root / "var/log/labsched.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            installed.words("exec /opt/labsched/venv/bin/labsched daemon"), stdout=out, stderr=out, env={}
        )
    try:
        eventually(lambda: process.poll() is not None or b"state in" in log.read_bytes(), 60)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_the_environment_has_all_that_it_needs(clean: Machine, package: Path) -> None:
    clean.run("dpkg -i /new.deb")
    assert clean.run("labsched --version") == f"labsched {field('Version', package)}\n"
    clean.run("dpkg --verify labsched")
    assert clean.run("/opt/labsched/venv/bin/python -m pip --version", code=1)  # nothing is installed into it later
    clean.run("/opt/labsched/venv/bin/python -W ignore -c 'import klusta, klustakwik2, scipy.signal, h5py, alembic'")
    assert clean.run("labsched doctor", code=None).count("klusta 3.0.16 works") == 1
    # Nothing was written beside what the package brought.
    found = clean.run("find /opt/labsched -not -type d").splitlines()
    assert set(found) - set(clean.run("dpkg -L labsched").splitlines()) == set()


@needs("lintian")
def test_lintian_finds_no_more_than_the_package_says_why(package: Path) -> None:
    words = ["lintian", "--profile", "debian", "--allow-root", "--fail-on", "error,warning", str(package)]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=900)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_no_file_names_the_folder_where_it_was_built(clean: Machine) -> None:
    built = os.fsencode(machine.BUILD.parent)
    for path in (clean.root / "opt/labsched").rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert built not in path.read_bytes(), path


def test_installing_makes_groups_and_folders_and_starts_nothing(clean: Machine) -> None:
    groups = {line.split(":")[0] for line in (clean.root / "etc/group").read_text().splitlines()}
    assert groups >= {"labsched", "labsched-admin"}
    assert (clean.root / "var/lib/labsched").stat().st_mode & 0o777 == 0o711
    assert not list((clean.root / "etc/systemd").rglob("*.wants/labsched*"))
    clean.run("dpkg --purge labsched")
    assert not (clean.root / "etc/labsched").exists()


def test_an_upgrade_keeps_configuration_and_state_and_leaves_nothing_of_the_old(installed: Machine) -> None:
    assert installed.run("dpkg-query -W -f '${Version}' labsched") != OLD
    assert not (installed.root / LEFTOVER).exists()
    assert "RAM = 3" in (installed.root / "etc/labsched/config.toml").read_text()
    assert (installed.root / "var/lib/labsched/kept").exists()


def test_an_ordinary_user_of_the_group_has_a_block_sorted(
    installed: Machine, daemon: "subprocess.Popen[bytes]"
) -> None:
    installed.run("install -d -o anna -g labsched -m 2775 /data/mat /data/phy")
    installed.run(
        "/opt/labsched/venv/bin/python -W ignore -m labsched.ephys synth /data/mat --name site01 --seconds 20",
        user="anna",
    )
    words = "labsched submit site01 --probe /data/mat/site01.rig.toml --omit Port_10,Port_16 -q"
    number = installed.run(words, user="anna").strip()
    said = installed.run(f"labsched wait {number} || labsched logs {number}", user="anna", code=None, seconds=900)
    shown = installed.run(f"labsched show {number} --json", user="bela")
    assert '"outcome":"succeeded"' in shown.replace(" ", ""), said
    for name in ("site01.kwik", "site01.sorting.json"):
        assert (installed.root / "data/phy/site01" / name).owner() is not None
    assert installed.run("stat -c %U /data/phy/site01/site01.kwik") == "anna\n"


def test_stages_are_their_submitters_and_who_is_not_in_the_group_is_sent_away(
    installed: Machine, daemon: "subprocess.Popen[bytes]"
) -> None:
    for user in ("anna", "bela"):
        number = installed.run("labsched add -q -- id -un", user=user).strip()
        installed.run(f"labsched wait {number}", user=user)
        assert installed.run(f"labsched logs {number}", user=user).strip().endswith(user)
    assert "error: you may not use the socket" in installed.run("labsched status", user="eve", code=5)


def test_removing_keeps_configuration_and_state_and_purging_does_not(
    installed: Machine, daemon: "subprocess.Popen[bytes]"
) -> None:
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(30) == 0
    installed.run("dpkg --remove labsched")
    assert not (installed.root / "opt/labsched").exists()
    assert not (installed.root / "usr/bin/labsched").exists()
    assert (installed.root / "etc/labsched/config.toml").exists()
    assert (installed.root / "var/lib/labsched/queue.db").exists()
    installed.run("dpkg --purge labsched")
    assert not (installed.root / "etc/labsched").exists()
    assert not (installed.root / "var/lib/labsched").exists()
    assert (installed.root / "data/phy/site01/site01.kwik").exists()  # people's results are no part of it
