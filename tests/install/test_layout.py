"""`make install` and `make uninstall`, with an environment that takes no minutes to make."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from labsched.config import load
from tests.install.services import needs

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A staging folder with an environment for /opt/labsched/venv that borrows all packages from our own."""
    stage = tmp_path_factory.mktemp("stage")
    venv = stage / "opt/labsched/venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    packages = next(venv.glob("lib/python*/site-packages"))
    (packages / "ours.pth").write_text(f"{ROOT}\n{Path(click.__file__).parents[1]}\n")
    (packages / "module.py").write_text("here = __file__\n")
    script = venv / "bin/labsched"
    script.write_text(f"#!{venv}/bin/python\nfrom labsched.cli.main import script\nscript()\n")
    script.chmod(0o755)
    (stage / "opt/labsched/versions.txt").write_text("")
    words = [venv / "bin/python", "-I", PACKAGING / "relocate.py", stage, "/opt/labsched/venv"]
    subprocess.run(words, check=True)
    return stage


def run(script: str, *words: Path, to: Path, prefix: str = "/usr/local") -> str:
    """One of packaging's scripts, below a folder."""
    env = {**os.environ, "DESTDIR": str(to), "PREFIX": prefix, "OPT": "/opt/labsched"}
    ran = subprocess.run(["sh", PACKAGING / script, *words], env=env, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_an_environment_names_its_final_place_and_nothing_of_where_it_was_built(stage: Path) -> None:
    venv = stage / "opt/labsched/venv"
    assert (venv / "bin/labsched").read_text().startswith("#!/opt/labsched/venv/bin/python\n")
    for path in files(venv):
        if not (venv / path).is_symlink():
            assert os.fsencode(stage) not in (venv / path).read_bytes(), path
    assert not (venv / "bin/activate").exists()
    compiled = next(venv.glob("lib/python*/site-packages/__pycache__/module.*.pyc"))
    assert b"/opt/labsched/venv/lib/" in compiled.read_bytes()
    assert compiled.read_bytes()[4] == 1  # by its source's hash, and never looked at again


def test_a_path_that_is_left_is_an_error(stage: Path, folder: Path) -> None:
    shutil.copytree(stage, folder / "s", symlinks=True)
    venv = folder / "s/opt/labsched/venv"
    (venv / "left.txt").write_text(str(folder / "s"))
    words = [venv / "bin/python", "-I", PACKAGING / "relocate.py", folder / "s", "/opt/labsched/venv"]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert (ran.returncode, "left.txt" in ran.stderr) == (1, True)


def test_everything_is_laid_out_below_destdir(stage: Path, folder: Path) -> None:
    run("install.sh", stage, to=folder)
    there = files(folder)
    share = "usr/local/share"
    assert there >= {
        "opt/labsched/venv/bin/labsched",
        "usr/local/bin/labsched",
        "usr/local/lib/systemd/system/labsched.service",
        "usr/local/lib/systemd/system/labsched.socket",
        "usr/local/lib/sysusers.d/labsched.conf",
        "usr/local/lib/tmpfiles.d/labsched.conf",
        "etc/labsched/config.toml",
        f"{share}/man/man1/labsched.1.gz",
        f"{share}/man/man1/labsched-pool-set.1.gz",
        f"{share}/man/man5/labsched.toml.5.gz",
        f"{share}/bash-completion/completions/labsched",
        f"{share}/zsh/site-functions/_labsched",
        f"{share}/fish/vendor_completions.d/labsched.fish",
        f"{share}/doc/labsched/examples/rigs/tetrodes.toml",
    }
    assert (folder / "usr/local/bin/labsched").readlink() == Path("/opt/labsched/venv/bin/labsched")
    for shell in ("bash-completion/completions/labsched", "zsh/site-functions/_labsched"):
        assert "_LABSCHED_COMPLETE" in (folder / share / shell).read_text()
    # Nothing names where it was laid out, and all may be read by everybody.
    for path in there:
        whole = folder / path
        if not whole.is_symlink() and "venv" not in path:
            assert os.fsencode(folder) not in whole.read_bytes(), path
            assert whole.stat().st_mode & 0o044 == 0o044, path


def test_the_group_of_the_socket_is_the_one_that_is_made(stage: Path, folder: Path) -> None:
    run("install.sh", stage, to=folder)
    assert load(folder / "etc/labsched/config.toml").daemon.socket_group == "labsched"


def test_a_configuration_that_is_there_is_kept_and_the_rest_is_replaced(stage: Path, folder: Path) -> None:
    run("install.sh", stage, to=folder)
    mine = folder / "etc/labsched/config.toml"
    mine.write_text("# mine\n")
    (folder / "opt/labsched/venv/of-an-older-version").touch()
    run("install.sh", stage, to=folder)
    assert mine.read_text() == "# mine\n"
    assert "opt/labsched/venv/of-an-older-version" not in files(folder)
    assert "opt/labsched/venv/bin/labsched" in files(folder)


def test_what_was_installed_is_removed_and_configuration_and_queue_stay(stage: Path, folder: Path) -> None:
    (folder / "var/lib/labsched").mkdir(parents=True)
    (folder / "var/lib/labsched/queue.db").touch()
    (folder / "usr/local/bin").mkdir(parents=True)
    (folder / "usr/local/bin/another").touch()
    before = files(folder)
    run("install.sh", stage, to=folder)
    run("uninstall.sh", to=folder)
    assert files(folder) - before == {"etc/labsched/config.toml"}
    assert before <= files(folder)
    run("uninstall.sh", to=folder)  # again: nothing is there, and that is no error


def test_another_place_is_named_wherever_the_usual_one_was(stage: Path, folder: Path) -> None:
    shutil.copytree(stage / "opt/labsched", folder / "s/srv/queue", symlinks=True)
    env = {**os.environ, "DESTDIR": str(folder / "d"), "PREFIX": "/usr", "OPT": "/srv/queue"}
    subprocess.run(["sh", PACKAGING / "install.sh", folder / "s"], env=env, check=True, capture_output=True)
    unit = (folder / "d/usr/lib/systemd/system/labsched.service").read_text()
    assert "ExecStart=/srv/queue/venv/bin/labsched daemon" in unit
    assert "/opt/labsched" not in unit


@needs("man")
def test_manual_pages_have_no_mistakes_and_say_what_the_help_says(stage: Path, folder: Path) -> None:
    run("install.sh", stage, to=folder)
    pages = sorted((folder / "usr/local/share/man").glob("man*/*.gz"))
    assert len(pages) > 20
    for page in pages:
        words = ["man", "--warnings", "-E", "UTF-8", "-l", str(page)]
        ran = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"MANWIDTH": "90", "LC_ALL": "C"})
        assert (ran.returncode, ran.stderr) == (0, ""), page.name
        shown = ran.stdout.replace("\b", "")
        assert "NAME" in shown and "SEE ALSO" in shown
        for request in (".PP", ".TP", "\\f", "\\-"):
            assert request not in shown, page.name
    shown = gzip.decompress((folder / "usr/local/share/man/man1/labsched-submit.1.gz").read_bytes()).decode()
    assert r"\-\-omit" in shown


@needs("mandoc")
def test_manual_pages_have_no_mistakes_for_mandoc(stage: Path, folder: Path) -> None:
    run("install.sh", stage, to=folder)
    for page in sorted((folder / "usr/local/share/man").glob("man*/*.gz")):
        ran = subprocess.run(["mandoc", "-T", "lint", "-W", "error", str(page)], capture_output=True, text=True)
        assert (ran.returncode, ran.stdout) == (0, ""), page.name


def test_the_service_of_one_person_names_the_program(folder: Path) -> None:
    env = {**os.environ, "XDG_CONFIG_HOME": str(folder)}
    program = "/home/anna/my programs/100%/labsched"
    subprocess.run(["sh", PACKAGING / "user-service.sh", program], env=env, check=True, capture_output=True)
    unit = (folder / "systemd/user/labsched.service").read_text()
    assert 'ExecStart="/home/anna/my programs/100%%/labsched" daemon\n' in unit
