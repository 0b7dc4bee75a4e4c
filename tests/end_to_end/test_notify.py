"""People are told: by real mail and real HTTP, once each, whatever happens to the daemon."""

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from labsched.wire.messages import Target, Targets
from tests.end_to_end.typed import labsched
from tests.worlds import QUICK, World, chain, command, eventually, world

CONFIG = f"{QUICK}[notify]\ndigest = 0.5\nlong_wait = 0.5\n"


class Endpoint:
    """An HTTP endpoint that remembers what it is sent, and answers with `status`."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status, self.let = 200, threading.Event()
        self.let.set()
        self.came = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.came.set()
                outer.let.wait(30)
                outer.got.append(said)
                with suppress(OSError):
                    self.send_response(outer.status)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_port}/s3cret-path"

    def close(self) -> None:
        self.let.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with closing(Endpoint()) as made:
        yield made


@pytest.fixture
def it() -> Iterator[World]:
    with world(CONFIG) as made:
        yield made


def add(it: World, *words: str) -> int:
    return int(labsched(it, "notify", "add", "-q", *words))


def listed(it: World) -> tuple[Target, ...]:
    return it.client.get("notify", Targets).targets


def fail(it: World, words: str = "echo first; echo last words; exit 3") -> int:
    [number] = it.submit(command("sh", "-c", words, name="train"))
    it.wait(number)
    return number


def test_a_failure_is_told_over_http_with_reason_log_and_what_mends_it(it: World, endpoint: Endpoint) -> None:
    add(it, endpoint.url)
    number = fail(it)
    it.wait(*it.submit(command("true")))  # nobody asked for that
    eventually(lambda: bool(endpoint.got))
    [message] = endpoint.got
    assert message["title"].endswith(f"job {number} (train) failed")
    for part in ("exit 3: last words", f"labsched retry {number}", "    first\n    last words"):
        assert part in message["message"]
    eventually(lambda: listed(it)[0].sent is not None)
    assert listed(it)[0].waiting == 0


def test_a_hundred_failures_are_one_message(it: World, endpoint: Endpoint) -> None:
    add(it, endpoint.url, "--on", "failed")
    it.wait(*it.submit(*(command("false", name=f"seed {n}") for n in range(100))))
    eventually(lambda: sum(int(re.findall(r"(\d+) job", m["title"])[0]) for m in endpoint.got) == 100, 40)
    assert len(endpoint.got) <= 2  # the second has what came while the first was on its way


def test_by_mail(it: World) -> None:
    controllers = pytest.importorskip("aiosmtpd.controller", reason="aiosmtpd is not installed")

    class Box:
        mails: list[Any] = []

        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
            self.mails.append(envelope)
            return "250 OK"

    server = controllers.Controller(Box(), hostname="127.0.0.1", port=0)
    server.start()
    try:
        port = server.server.sockets[0].getsockname()[1]
        add(it, f"mailto://127.0.0.1:{port}?from=labsched@example.org&to=ann@example.org&format=text")
        number = fail(it)
        eventually(lambda: bool(Box.mails))
        from email import message_from_bytes, policy

        mail = message_from_bytes(Box.mails[0].content, policy=policy.default)
        assert Box.mails[0].rcpt_tos == ["ann@example.org"]
        assert f"job {number} (train) failed" in mail["Subject"]
        text = mail.get_body(("plain",)).get_content()
        assert f"labsched retry {number}" in text and "last words" in text
    finally:
        server.stop()


def test_what_could_not_be_sent_is_sent_after_the_service_is_back_and_the_daemon_was_killed(
    it: World, endpoint: Endpoint
) -> None:
    add(it, endpoint.url)
    endpoint.status = 500
    number = fail(it)
    eventually(lambda: listed(it)[0].trouble is not None)
    assert listed(it)[0].waiting == 1
    it.kill()
    endpoint.status = 200
    endpoint.got.clear()
    import sqlite3

    with closing(sqlite3.connect(it.folder / "state/queue.db")) as queue, queue:
        queue.execute("UPDATE targets SET due = 0")  # rather than wait for half a minute
    it.start()
    eventually(lambda: bool(endpoint.got))
    assert f"job {number} (train) failed" in endpoint.got[0]["title"]
    eventually(lambda: (listed(it)[0].trouble, listed(it)[0].waiting) == (None, 0))


def test_a_daemon_that_is_killed_while_it_is_sent_sends_it_once(it: World, endpoint: Endpoint) -> None:
    add(it, endpoint.url)
    endpoint.let.clear()
    fail(it)
    assert endpoint.came.wait(20)
    it.kill()
    it.start()
    time.sleep(1.0)  # the new daemon waits for the sender of the old one
    assert listed(it)[0].waiting == 1
    endpoint.let.set()
    eventually(lambda: listed(it)[0].waiting == 0)
    assert len(endpoint.got) == 1
    assert not list((it.folder / "state/notify").iterdir())


def test_what_happened_while_nobody_listened_is_told_once(it: World, endpoint: Endpoint) -> None:
    add(it, endpoint.url, "--on", "failed,succeeded")
    [number] = it.submit(command("sh", "-c", f"until [ -e {it.folder}/go ]; do sleep 0.05; done"))
    eventually(lambda: it.job(number).state == "running")
    it.kill()
    (it.folder / "go").touch()
    it.start()
    it.wait(number)
    eventually(lambda: bool(endpoint.got))
    it.stop()
    it.start()
    second = fail(it)
    eventually(lambda: len(endpoint.got) == 2)
    assert [str(n) in m["title"] for n, m in zip((number, second), endpoint.got, strict=True)] == [True, True]


def test_a_job_of_two_stages_succeeds_once_and_an_empty_queue_is_told(it: World, endpoint: Endpoint) -> None:
    add(it, endpoint.url, "--on", "success,empty")
    it.wait(*it.submit(chain(["true"], ["sleep", "0.1"])))
    eventually(lambda: bool(endpoint.got))
    assert endpoint.got[0]["title"].partition(": ")[2] == "1 job succeeded, the queue was empty"


def test_a_long_wait_is_told_once(it: World, endpoint: Endpoint) -> None:
    add(it, endpoint.url, "--on", "wait")
    labsched(it, "pool", "pause", "CPU")
    [number] = it.submit(command("true", name="patient"))
    eventually(lambda: bool(endpoint.got))
    assert f"job {number} (patient) has waited" in endpoint.got[0]["title"]
    assert len([e for e in labsched(it, "events", "--json").splitlines() if "job.waits" in e]) == 1
    labsched(it, "pool", "resume", "CPU")


def test_a_full_disk_is_told(endpoint: Endpoint) -> None:
    with world(f"{CONFIG}disk_free_gb = 1e9\n") as it:
        add(it, endpoint.url, "--on", "disk")
        eventually(lambda: bool(endpoint.got))
        assert "is nearly full" in endpoint.got[0]["title"]


def test_a_command_gets_the_message_on_its_stdin_and_is_run_again_where_it_fails(it: World) -> None:
    hook = it.folder / "hook"
    hook.write_text(f"#!/bin/sh\ncat > {it.folder}/got.$1\n[ -e {it.folder}/ok ] || {{ echo not yet >&2; exit 4; }}\n")
    hook.chmod(0o700)
    add(it, "--command", f"{hook} 1", "--on", "failed")
    number = fail(it)
    eventually(lambda: listed(it)[0].trouble is not None)
    assert "exit code 4: not yet" in (listed(it)[0].trouble or "")
    said = json.loads((it.folder / "got.1").read_text())
    assert (said["things"][0]["job"], said["things"][0]["retry"]) == (number, f"labsched retry {number}")


def test_the_labs_own_targets_are_told_of_all_without_what_is_somebodys(endpoint: Endpoint) -> None:
    with world(f'{CONFIG}targets = "lab.toml"\n') as it:
        assert "lab.toml: No such file" in it.status().troubles[0]
        file = it.folder / "lab.toml"
        file.write_text(f'[chat]\nurl = "{endpoint.url}"\non = ["failed"]\n')
        file.chmod(0o644)
        assert "chmod 600" in labsched(it, "config", "reload", code=2)
        file.chmod(0o600)
        labsched(it, "config", "reload")
        [number] = it.submit(command("sh", "-c", "echo secret words; exit 3", name="sh -c 'echo secret words; exit 3'"))
        it.wait(number)
        eventually(lambda: bool(endpoint.got))
        assert "secret words" not in json.dumps(endpoint.got[0])
        assert "labsched notify" not in it.log and "s3cret" not in it.log
        [target] = listed(it)
        assert "is the lab's" in labsched(it, "notify", "remove", str(target.id), code=5)


def test_a_url_is_never_seen(it: World, endpoint: Endpoint) -> None:
    add(it, endpoint.url, "--on", "all")
    endpoint.status = 500
    fail(it)
    eventually(lambda: listed(it)[0].trouble is not None)
    said = it.log + "".join(labsched(it, *words) for words in (("notify", "list"), ("events", "--json"), ("status",)))
    assert "s3cret" not in said + (listed(it)[0].trouble or "")
    for path in (it.folder / "state").iterdir():
        assert path.stat().st_mode & 0o077 == 0 or path.is_dir(), path
    endpoint.status = 200


def test_a_word_of_the_command_line_is_hidden_from_ps() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from labsched.cli import hide; hide.word(sys.argv[1]); print('ok', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "json://s3cret"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ok\n"
        seen = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert b"s3cret" not in seen and seen.endswith(b"\0.............\0")


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["add", "bogus://x"], 2, "bogus://… cannot be sent to"),
        (["add", "no url"], 2, "does not begin with a service"),
        (["add", "json://x", "--on", "faild"], 2, "did you mean failed?"),
        (["add", "json://x", "--command", "true"], 2, "not both"),
        (["add", "--command", "no-such-program-anywhere"], 2, "there is no program"),
        (["add", "--command", "'"], 2, "not understood"),
        (["remove", "99"], 4, "there is no target 99"),
        (["test"], 4, "you have no target"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(words: list[str], code: int, part: str, quiet: World) -> None:
    assert part in labsched(quiet, "notify", *words, code=code)


@pytest.fixture(scope="module")
def quiet() -> Iterator[World]:
    with world(CONFIG) as made:
        yield made


def test_a_test_says_whether_it_went(quiet: World, endpoint: Endpoint) -> None:
    number = add(quiet, endpoint.url)
    assert "sent" in labsched(quiet, "notify", "test", str(number))
    assert endpoint.got[0]["title"].endswith("a test")
    endpoint.status = 403
    labsched(quiet, "notify", "test", str(number), code=1)
    assert "…" in labsched(quiet, "notify", "list")
    labsched(quiet, "notify", "remove", str(number))
    assert listed(quiet) == ()


def test_the_daemon_stays_small_when_it_has_told_somebody(quiet: World, endpoint: Endpoint) -> None:
    number = add(quiet, endpoint.url)
    fail(quiet)
    eventually(lambda: bool(endpoint.got))
    assert quiet.process is not None
    rollup = Path(f"/proc/{quiet.process.pid}/smaps_rollup").read_text()
    assert int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)[1]) / 1024 < 60  # type: ignore[index]
    labsched(quiet, "notify", "remove", str(number))
    assert os.getpid() != quiet.process.pid
