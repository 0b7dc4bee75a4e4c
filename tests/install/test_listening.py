import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.install.services import needs, service
from tests.worlds import QUICK, command, eventually, new_state

WORDS = ("--state", "state", "--config", "config.toml")
#: The socket at its place, passed by systemd's own tool, which wants absolute paths.
ACTIVATE = ("sh", "-c", 'exec systemd-socket-activate -l "$PWD/s" "$@"', "sh")
#: Become a daemon with a socket as descriptor 3, as systemd does it: python -c PASS HOW WORDS. HOW may be a descriptor.
PASS = """
import os, socket, sys
how, *words = sys.argv[1:]
if how == "two":
    os.environ["LISTEN_FDS"] = "2"
elif how.isdecimal():
    os.dup2(int(how), 3)
elif how != "nothing":
    family, kind = {
        "tcp": (socket.AF_INET, socket.SOCK_STREAM),
        "datagram": (socket.AF_UNIX, socket.SOCK_DGRAM),
        "packets": (socket.AF_UNIX, socket.SOCK_SEQPACKET),
        "silent": (socket.AF_UNIX, socket.SOCK_STREAM),
    }[how]
    there = socket.socket(family, kind)
    there.bind(("127.0.0.1", 0) if how == "tcp" else "passed")
    if how in ("tcp", "packets"):
        there.listen()
    os.dup2(there.fileno(), 3)
    os.set_inheritable(3, True)
else:
    os.closerange(3, 4)
os.environ.setdefault("LISTEN_FDS", "1")
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "labsched", "daemon", *words])
"""


@needs("systemd-socket-activate")
def test_a_connection_starts_the_daemon_and_its_question_is_answered() -> None:
    with service(*ACTIVATE) as it:
        (job,) = it.submit(command("env"))
        assert it.wait(job)[0].state == "ended"
        assert "LISTEN_" not in it.read_log(job)
        assert it.stop() == 0
        # The socket is not the daemon's: it stays for the next one.
        assert (it.folder / "s").is_socket()
        it.start()
        assert it.job(job).state == "ended"


@needs("systemd-socket-activate")
def test_a_socket_that_was_passed_gets_the_mode_and_the_group_of_the_configuration() -> None:
    group = "daemon" if os.getuid() == 0 else None
    said = f'{QUICK}socket_mode = "0606"\n' + (f'socket_group = "{group}"\n' if group else "")
    with service(*ACTIVATE, config=said) as it:
        there = (it.folder / "s").stat()
        assert stat.S_IMODE(there.st_mode) == 0o606
        assert group is None or (it.folder / "s").group() == group


@needs("systemd-socket-activate")
def test_who_connects_while_the_daemon_is_restarted_waits_and_is_not_refused(folder: Path) -> None:
    """One process holds the socket, as systemd does, and passes it to one daemon after the other."""
    path = folder / "s"
    (folder / "config.toml").write_text(QUICK)
    new_state(folder / "state")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        held.bind(str(path))
        held.listen(16)
        for _ in range(2):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as early:
                early.connect(str(path))  # before there is a daemon
                early.sendall(b"GET /v1/daemon HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                daemon = subprocess.Popen(
                    [sys.executable, "-c", PASS, str(held.fileno()), *WORDS],
                    cwd=folder,
                    pass_fds=[held.fileno()],
                    stderr=subprocess.PIPE,
                )
                early.settimeout(20)
                assert early.recv(4096).startswith(b"HTTP/1.1 200")
                daemon.send_signal(signal.SIGTERM)
                _, log = daemon.communicate(timeout=20)
                assert daemon.returncode == 0, log.decode()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("tcp", "of another kind (AF_INET, SOCK_STREAM)"),
        ("datagram", "of another kind (AF_UNIX, SOCK_DGRAM)"),
        ("packets", "of another kind (AF_UNIX, SOCK_SEQPACKET)"),
        ("silent", "does not listen"),
        ("nothing", "is no socket"),
        ("two", "2 sockets were passed"),
    ],
)
def test_what_is_passed_and_is_no_unix_stream_socket_is_refused_with_a_sentence(
    folder: Path, how: str, words: str
) -> None:
    (folder / "config.toml").write_text(QUICK)
    ran = subprocess.run(
        [sys.executable, "-c", PASS, how, *WORDS],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: ") and ran.stderr.count("\n") == 1
    assert words in ran.stderr and "labsched.socket" in ran.stderr
    assert not (folder / "state").exists()


def test_sockets_for_another_process_are_none_of_ours() -> None:
    with service(env={"LISTEN_PID": "1", "LISTEN_FDS": "7"}) as it:
        eventually((it.folder / "s").is_socket)
