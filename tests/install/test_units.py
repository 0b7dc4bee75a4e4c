"""The units are ones that systemd understands, and as closed as was once decided."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.install.services import needs

SYSTEMD = Path(__file__).parents[2] / "systemd"
SERVICE = SYSTEMD / "labsched.service"
#: What `systemd-analyze security` says, 0 (closed) to 10. It may get better; the unit says why it is no better.
EXPOSURE = 8.1
#: What each stage inherits, and what a stage cannot do without: see the comments in the unit.
WOULD_BREAK_STAGES = [
    "ProtectSystem",
    "ProtectHome",
    "PrivateTmp",
    "PrivateDevices",
    "ProtectProc",
    "ProcSubset",
    "ProtectKernelTunables",
    "ProtectClock",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectControlGroups",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "NoNewPrivileges",
    "RestrictSUIDSGID",
    "MemoryDenyWriteExecute",
    "RestrictNamespaces",
    "ProtectHostname",
    "PrivateUsers",
    "PrivateNetwork",
    "IPAddressDeny",
    "RestrictAddressFamilies",
    "DevicePolicy",
    "DeviceAllow",
    "LockPersonality",
    "SystemCallArchitectures",
    "RestrictRealtime",
    "PrivateMounts",
    "DynamicUser",
]


def settings(unit: Path) -> dict[str, list[str]]:
    """Key -> values, in the order of the file."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def verify(folder: Path, *units: str, env: dict[str, str] | None = None, user: bool = False) -> str:
    """What systemd-analyze has to say of units whose program is there."""
    for unit in units:
        text = re.sub(r"^(Exec\w+)=\S+", rf"\1={sys.executable}", (SYSTEMD / unit).read_text(), flags=re.M)
        text = re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE)  # it would look for the pages
        (folder / unit).write_text(text)
    words = ["systemd-analyze", "verify", *(["--user"] if user else []), *(str(folder / unit) for unit in units)]
    ran = subprocess.run(words, capture_output=True, text=True, env=os.environ | (env or {}), timeout=60)
    return ran.stderr + ran.stdout + (f"exit code {ran.returncode}" if ran.returncode else "")


@needs("systemd-analyze")
def test_systemd_understands_the_service_and_the_socket(folder: Path) -> None:
    assert verify(folder, "labsched.service", "labsched.socket") == ""


@needs("systemd-analyze")
def test_systemd_understands_the_service_of_one_person(folder: Path) -> None:
    assert verify(folder, "labsched-user.service", env={"XDG_RUNTIME_DIR": str(folder)}, user=True) == ""


@needs("systemd-analyze")
def test_the_verification_sees_what_is_wrong(folder: Path) -> None:
    (folder / "wrong.service").write_text("[Service]\nExecStart=/bin/true\nKilMode=process\n")
    ran = subprocess.run(["systemd-analyze", "verify", str(folder / "wrong.service")], capture_output=True, text=True)
    assert "KilMode" in ran.stderr


@needs("systemd-analyze")
def test_the_service_is_no_more_exposed_than_was_decided() -> None:
    words = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", str(SERVICE)]
    ran = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}, timeout=60)
    assert ran.returncode == 0, ran.stdout.splitlines()[-1:] + ran.stderr.splitlines()
    found = re.search(r"Overall exposure level for labsched.service: ([\d.]+)", ran.stdout)
    assert found is not None and float(found[1]) <= EXPOSURE


def test_what_stages_need_is_not_taken_from_them_and_the_unit_says_why() -> None:
    assert not set(WOULD_BREAK_STAGES) & settings(SERVICE).keys()
    said = "".join(line for line in SERVICE.read_text().splitlines(keepends=True) if line.startswith("#"))
    for name in ("ProtectSystem", "NoNewPrivileges", "MemoryDenyWriteExecute", "RestrictNamespaces", "PrivateDevices"):
        assert f"{name}=" in said


def test_what_the_daemon_needs_to_run_stages_as_their_submitters_stays() -> None:
    dropped = " ".join(settings(SERVICE)["CapabilityBoundingSet"]).replace("~", "").split()
    needed = {"CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SYS_PTRACE"}
    needed |= {"CAP_SYS_RESOURCE", "CAP_SYS_NICE", "CAP_SYS_ADMIN", "CAP_AUDIT_WRITE", "CAP_NET_RAW"}
    assert not needed & set(dropped)


def test_stages_outlive_the_daemon_and_the_socket_its_service() -> None:
    unit = settings(SERVICE)
    wanted = {
        "Type": "notify",
        "KillMode": "process",
        "OOMPolicy": "continue",
        "StateDirectory": "labsched",
        "RuntimeDirectory": "labsched",
        "RuntimeDirectoryPreserve": "yes",
        "TasksMax": "infinity",
        "Delegate": "yes",
    }
    assert {key: unit[key][-1] for key in wanted} == wanted
    # Twice the 30 s that the writer may wait for another program, within half of it and a bit.
    assert unit["WatchdogSec"] == ["3min"]
    assert settings(SYSTEMD / "labsched.socket")["ListenStream"] == ["/run/labsched/labsched.sock"]


@pytest.mark.parametrize("unit", ["labsched.service", "labsched-user.service"])
def test_a_configuration_that_makes_no_sense_is_not_started_again_and_again(unit: str) -> None:
    assert settings(SYSTEMD / unit)["RestartPreventExitStatus"] == ["2"]


@needs("systemd-sysusers")
def test_the_groups_are_made(folder: Path) -> None:
    (folder / "etc").mkdir()
    words = ["systemd-sysusers", f"--root={folder}", str(SYSTEMD / "labsched.sysusers")]
    subprocess.run(words, check=True, capture_output=True)
    groups = {line.split(":")[0] for line in (folder / "etc/group").read_text().splitlines()}
    assert groups >= {"labsched", "labsched-admin"}


@needs("systemd-tmpfiles")
@pytest.mark.skipif(os.getuid() != 0, reason="only root makes root's folders")
def test_the_folders_are_made(folder: Path) -> None:
    (folder / "etc").mkdir()
    (folder / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\n")
    words = ["systemd-tmpfiles", "--create", f"--root={folder}", str(SYSTEMD / "labsched.tmpfiles")]
    subprocess.run(words, check=True, capture_output=True)
    assert oct((folder / "run/labsched").stat().st_mode)[-3:] == "755"
    assert oct((folder / "var/lib/labsched").stat().st_mode)[-3:] == "711"
