"""The installed package under a systemd that is booted for it: what the unit promises, with real systemctl."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.install import booted, machine
from tests.install.booted import Booted
from tests.install.package import NOT_NAMED, OLD, PACKAGE, needed, older
from tests.worlds import eventually

WHY_NOT = (machine.why_not() or booted.why_not()) if PACKAGE.is_file() else None
pytestmark = [
    pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT)),
    pytest.mark.skipif(not PACKAGE.is_file(), reason=NOT_NAMED),
    pytest.mark.timeout(1200),
]
MORE = ["systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "procps", "man-db", "bash-completion"]
#: Keeps the queue to itself, as a program would that has hung while it writes.
HANG = """
import sqlite3, time
other = sqlite3.connect("/var/lib/labsched/queue.db", isolation_level=None)
other.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Booted]:
    """A lab's server: the older version is installed and runs; anna and bela are of the lab, and eve is not."""
    with machine.place() as folder:
        it = machine.new(folder, "systemd", [*needed(PACKAGE), *MORE])
        shutil.copy(PACKAGE, it.root / "new.deb")
        shutil.move(older(PACKAGE, folder), it.root / "old.deb")
        with booted.boot(it) as lab:
            lab.run("dpkg -i /old.deb")
            for user, group in (("anna", "labsched"), ("bela", "labsched"), ("eve", "users")):
                lab.run(f"useradd --create-home --shell /bin/bash --groups {group} {user}")
            lab.run("systemctl enable --now labsched.service")
            yield lab


@pytest.fixture(autouse=True)
def nothing_left(lab: Booted) -> Iterator[None]:
    """No test leaves its jobs to the next."""
    yield
    lab.run("labsched status -q --all | xargs -n 1 labsched cancel", code=None)


def pid(lab: Booted, job: str) -> str:
    """The process of a running job's command."""
    said = json.loads(lab.run(f"labsched show {job} --json", user="anna"))
    return str(said["stages"][0]["attempts"][-1]["pid"])


def sleeper(lab: Booted, seconds: int = 600) -> tuple[str, str]:
    """A job that runs: its number and its process."""
    job = lab.run(f"labsched add -q -- sleep {seconds}", user="anna").strip()
    lab.until(f'labsched show {job} --json | grep -c \'"state":"running"\'', "1")
    return job, pid(lab, job)


def main_pid(lab: Booted) -> str:
    return lab.run("systemctl show -P MainPID labsched.service").strip()


def test_the_service_runs_and_tells_systemd_how_it_is(lab: Booted) -> None:
    assert lab.run("systemctl is-active labsched.service labsched.socket").split() == ["active", "active"]
    lab.until("systemctl show -P StatusText labsched.service", "0 running, 0 waiting")
    assert lab.run("stat -c '%U %G %a' /run/labsched/labsched.sock").strip() == "root labsched 660"
    assert lab.run("stat -c %a /var/lib/labsched").strip() == "711"
    assert "daemon answers on /run/labsched/labsched.sock" in lab.run("labsched doctor", user="anna", code=None)


def test_each_stage_is_its_submitter_and_who_is_not_in_the_group_is_told_what_to_do(lab: Booted) -> None:
    for user in ("anna", "bela"):
        job = lab.run("labsched add -q -- id -un", user=user).strip()
        lab.run(f"labsched wait {job}", user=user)
        assert lab.run(f"labsched logs {job}", user=user).strip().endswith(user)
    said = lab.run("labsched status", user="eve", code=5)
    assert "you may not use the socket" in said and "labsched" in said.replace("labsched.sock", "")


def test_a_stage_goes_on_through_stop_start_restart_and_kill(lab: Booted) -> None:
    job, stage = sleeper(lab)
    lab.run("systemctl restart labsched.service")
    assert pid(lab, job) == stage
    lab.run("systemctl stop labsched.service")
    assert lab.run("systemctl is-active labsched.service", code=3).strip() == "inactive"
    lab.run(f"kill -0 {stage}")
    lab.run("systemctl start labsched.service")
    assert pid(lab, job) == stage
    before = main_pid(lab)
    lab.run(f"kill -9 {before}")
    eventually(lambda: main_pid(lab) not in ("0", before))
    assert pid(lab, job) == stage  # the socket is there all the time
    lab.run(f"labsched cancel {job}", user="anna")
    lab.run(f"kill -0 {stage}", code=1)


def test_whoever_connects_starts_the_daemon(lab: Booted) -> None:
    lab.run("systemctl stop labsched.service")
    assert lab.run("systemctl is-active labsched.socket").strip() == "active"
    assert "running" in lab.run("labsched status", user="anna")
    assert lab.run("systemctl is-active labsched.service").strip() == "active"


def test_a_reload_answers_when_it_is_true_and_fails_where_the_file_has_a_mistake(lab: Booted) -> None:
    config = lab.root / "etc/labsched/config.toml"
    good = config.read_text()
    job, stage = sleeper(lab)
    daemon = main_pid(lab)
    try:
        config.write_text(good.replace("[pools]\n", "[pools]\nDISK = 5\n"))
        lab.run("systemctl reload labsched.service")
        assert '"name":"DISK","slots":5' in lab.run("labsched pools --json", user="anna")
        config.write_text(good.replace("[pools]\n", "[pools]\nDISK = 6\n").replace("[limits]\n", "[limit]\n"))
        lab.run("systemctl reload labsched.service", code=1)
        lab.until("systemctl is-active labsched.service", "active")
        assert '"name":"DISK","slots":5' in lab.run("labsched pools --json", user="anna")
        assert "there is no section limit; did you mean limits?" in lab.run("journalctl --no-pager -u labsched.service")
        assert "did you mean limits?" in " ".join(lab.run("labsched status", user="anna").split())
        assert "did you mean limits?" in lab.run("labsched doctor", user="anna", code=1)
    finally:
        config.write_text(good)
        lab.run("systemctl reload labsched.service")
    assert (main_pid(lab), pid(lab, job)) == (daemon, stage)
    assert "did you mean" not in lab.run("labsched status", user="anna")
    lab.run(f"labsched cancel {job}", user="anna")


def test_a_daemon_that_hangs_is_started_anew_and_its_stages_go_on(lab: Booted) -> None:
    drop = lab.root / "etc/systemd/system/labsched.service.d/quick.conf"
    drop.parent.mkdir()
    drop.write_text("[Service]\nWatchdogSec=2s\n")
    lab.run("systemctl daemon-reload && systemctl restart labsched.service")
    job, stage = sleeper(lab)
    before = main_pid(lab)
    (lab.root / "root/hang.py").write_text(HANG)
    lab.run("systemd-run --quiet --unit=hang /opt/labsched/venv/bin/python /root/hang.py")
    lab.until("systemctl show -P NRestarts labsched.service | grep -cv ^0", "1")
    lab.run("systemctl stop hang")
    drop.unlink()
    drop.parent.rmdir()
    lab.run("systemctl daemon-reload && systemctl restart labsched.service")
    assert "watchdog" in lab.run("journalctl --no-pager -u labsched.service").lower()
    assert main_pid(lab) != before
    assert pid(lab, job) == stage
    lab.run(f"labsched cancel {job}", user="anna")


def test_a_configuration_that_makes_no_sense_is_tried_once(lab: Booted) -> None:
    config = lab.root / "etc/labsched/config.toml"
    good = config.read_text()
    config.write_text("[daemn]\n")
    lab.run("systemctl restart labsched.service", code=1)
    lab.until("systemctl is-failed labsched.service", "failed")
    assert lab.run("systemctl show -P NRestarts labsched.service").strip() == "0"
    assert "did you mean daemon?" in lab.run("journalctl --no-pager -u labsched.service -n 20")
    config.write_text(good)
    lab.run("systemctl reset-failed labsched.service labsched.socket")
    lab.run("systemctl restart labsched.socket labsched.service")
    assert "running" in lab.run("labsched status", user="anna")


def test_manual_pages_and_completions_work_where_they_are_installed(lab: Booted) -> None:
    lab.run("rm -f /etc/dpkg/dpkg.cfg.d/docker /etc/dpkg/dpkg.cfg.d/excludes")
    assert "labsched submit" in lab.run("man labsched-submit | cat", user="anna")
    assert "[daemon]" in lab.run("man 5 labsched.toml | cat", user="anna")
    assert "labsched-add" in lab.run("man labsched | cat", user="anna")
    complete = (
        "bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader labsched; "
        'COMP_WORDS=(labsched sta) COMP_CWORD=1; COMP_LINE="labsched sta" COMP_POINT=12; '
        "_labsched_completion labsched sta labsched; echo ${COMPREPLY[@]}'"
    )
    assert lab.run(complete, user="anna").strip() == "status"


def test_one_person_has_a_daemon_of_their_own_without_root(lab: Booted) -> None:
    lab.run("loginctl enable-linger eve")
    lab.until("systemctl is-active user@$(id -u eve).service", "active")
    unit = (Path(__file__).parents[2] / "systemd/labsched-user.service").read_text()
    folder = lab.root / "home/eve/.config/systemd/user"
    folder.mkdir(parents=True)
    (folder / "labsched.service").write_text(unit.replace("%h/.local/bin/labsched", "/usr/bin/labsched"))
    (folder.parents[1] / "labsched").mkdir()
    (folder.parents[1] / "labsched/config.toml").write_text("[pools]\nMINE = 1\n")
    lab.run("chown -R eve: /home/eve/.config")
    mine = "export XDG_RUNTIME_DIR=/run/user/$(id -u); export LABSCHED_SOCKET=$XDG_RUNTIME_DIR/labsched/labsched.sock; "
    lab.run(f"{mine} systemctl --user daemon-reload && systemctl --user enable --now labsched", user="eve")
    job = lab.run(f"{mine} labsched add -q -- sleep 600", user="eve").strip()
    lab.until(f"runuser -u eve -- sh -c '{mine} labsched show {job} --json' | grep -c '\"state\":\"running\"'", "1")
    lab.run(f"{mine} systemctl --user restart labsched", user="eve")
    assert '"number":1,' in lab.run(f"{mine} labsched show {job} --json", user="eve")
    (folder.parents[1] / "labsched/config.toml").write_text("[pools]\nMINE = 2\n")
    lab.run(f"{mine} systemctl --user reload labsched", user="eve")
    assert '"name":"MINE","slots":2' in lab.run(f"{mine} labsched pools --json", user="eve")
    lab.run(f"{mine} labsched cancel {job} && systemctl --user disable --now labsched", user="eve")
    lab.run("loginctl disable-linger eve")


def test_an_upgrade_keeps_what_runs_and_what_waits(lab: Booted) -> None:
    job, stage = sleeper(lab)
    waits = lab.run(f"labsched add -q --after {job} -- true", user="bela").strip()
    before = main_pid(lab)
    assert lab.run("dpkg-query -W -f '${Version}' labsched") == OLD
    lab.run("dpkg --force-confold -i /new.deb", seconds=300)
    assert lab.run("dpkg-query -W -f '${Version}' labsched") != OLD
    assert lab.run("systemctl is-active labsched.service labsched.socket").split() == ["active", "active"]
    assert main_pid(lab) != before
    assert pid(lab, job) == stage
    lab.run(f"kill {stage}")  # it fails, in front of the new daemon
    lab.run(f"labsched wait {job} {waits}", user="anna", code=1)
    said = json.loads(lab.run(f"labsched show {job} --json", user="anna"))
    assert (said["outcome"], said["stages"][0]["attempts"][0]["signal"]) == ("failed", "SIGTERM")


def test_an_ordinary_user_has_a_block_sorted_under_the_service(lab: Booted) -> None:
    lab.run("install -d -o anna -g labsched -m 2775 /data/mat /data/phy")
    synth = "/opt/labsched/venv/bin/python -W ignore -m labsched.ephys synth /data/mat --name site01 --seconds 20"
    lab.run(synth, user="anna")
    config = lab.root / "etc/labsched/config.toml"
    places = 'source = "/data/mat/{block}"\ntarget = "/data/phy/{block}"\nprobe = "/data/mat/site01.rig.toml"\n'
    config.write_text(config.read_text().replace("[sort]\n", f"[sort]\n{places}"))
    lab.run("systemctl reload labsched.service")
    job = lab.run("labsched submit site01 --omit Port_10,Port_16 -q", user="anna").strip()
    said = lab.run(f"labsched wait {job} || labsched logs {job}", user="anna", code=None, seconds=900)
    assert json.loads(lab.run(f"labsched show {job} --json", user="anna"))["outcome"] == "succeeded", said
    assert "site01" in lab.run("labsched status -a", user="bela")
    assert lab.run("stat -c %U /data/phy/site01/site01.kwik") == "anna\n"
    assert "klusta" in lab.run(f"labsched logs {job} --stage klusta", user="anna")


def test_what_is_removed_stops_and_what_runs_goes_on(lab: Booted) -> None:
    job, stage = sleeper(lab)
    lab.run("dpkg --remove labsched")
    assert lab.run("systemctl is-active labsched.service labsched.socket", code=3).split() == ["inactive"] * 2
    lab.run(f"kill -0 {stage}")
    assert (lab.root / "var/lib/labsched/queue.db").exists()
    lab.run("dpkg -i /new.deb", seconds=300)
    lab.run("systemctl start labsched.service")
    assert pid(lab, job) == stage
    lab.run("dpkg --purge labsched")
    assert not (lab.root / "var/lib/labsched").exists()
    assert not list((lab.root / "etc/systemd").rglob("*labsched*"))
    assert (lab.root / "data/phy/site01/site01.kwik").exists()
    lab.run(f"kill {stage}")
