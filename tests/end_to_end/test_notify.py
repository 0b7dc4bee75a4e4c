"""People are told: by real mail and real HTTP, once each, whatever happens to the daemon."""

import json
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
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


class Hook:
    """A command that remembers what it is sent; it waits while there is a file `wait`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "hook"
        self.path.write_text(
            f"#!/bin/sh\ncd {folder}\ntouch came\nwhile [ -e wait ]; do sleep 0.05; done\ncat > m.$$\nmv m.$$ got.$$\n"
        )
        self.path.chmod(0o700)

    @property
    def got(self) -> list[dict[str, Any]]:
        files = sorted(self.folder.glob("got.*"), key=lambda path: path.stat().st_mtime)
        return [json.loads(path.read_text()) for path in files]


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    return Hook(tmp_path)


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
    assert it.process is not None
    rollup = Path(f"/proc/{it.process.pid}/smaps_rollup").read_text()
    assert int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)[1]) / 1024 < 60  # type: ignore[index]


def test_a_hundred_failures_are_one_message(it: World, hook: Hook) -> None:
    add(it, "--command", str(hook.path), "--on", "failed")
    it.wait(*it.submit(*(command("false", name=f"seed {n}") for n in range(100))))
    eventually(lambda: sum(len(m["things"]) for m in hook.got) == 100, 40)
    assert len(hook.got) <= 2  # the second has what came while the first was on its way


def test_by_mail(it: World) -> None:
    controllers = pytest.importorskip("aiosmtpd.controller", reason="aiosmtpd is not installed")
    mails: list[Any] = []

    async def keep(_server: Any, _session: Any, envelope: Any) -> str:
        mails.append(envelope)
        return "250 OK"

    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    server = controllers.Controller(SimpleNamespace(handle_DATA=keep), hostname="127.0.0.1", port=port)
    server.start()
    try:
        add(it, f"mailto://127.0.0.1:{port}?from=labsched@example.org&to=ann@example.org&format=text")
        number = fail(it)
        eventually(lambda: bool(mails))
        mail = message_from_bytes(mails[0].content, policy=policy.default)
        assert mails[0].rcpt_tos == ["ann@example.org"]
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
    said = it.log + "".join(labsched(it, *words) for words in (("notify", "list"), ("events", "--json")))
    assert "s3cret" not in said
    assert (it.folder / "state/queue.db").stat().st_mode & 0o077 == 0
    it.kill()
    endpoint.status = 200
    endpoint.got.clear()
    with closing(sqlite3.connect(it.folder / "state/queue.db")) as queue, queue:
        queue.execute("UPDATE targets SET due = 0")  # rather than wait for half a minute
    it.start()
    eventually(lambda: bool(endpoint.got))
    assert f"job {number} (train) failed" in endpoint.got[0]["title"]
    eventually(lambda: (listed(it)[0].trouble, listed(it)[0].waiting) == (None, 0))


def test_a_daemon_that_is_killed_while_it_is_sent_sends_it_once(it: World, hook: Hook) -> None:
    add(it, "--command", str(hook.path))
    (hook.folder / "wait").touch()
    fail(it)
    eventually((hook.folder / "came").exists)
    it.kill()
    it.start()
    assert (listed(it)[0].waiting, hook.got) == (1, [])
    (hook.folder / "wait").unlink()
    eventually(lambda: listed(it)[0].waiting == 0)
    assert len(hook.got) == 1
    eventually(lambda: not list((it.folder / "state/notify").iterdir()))


def test_what_happened_while_nobody_listened_is_told_once_and_an_empty_queue_too(it: World, hook: Hook) -> None:
    add(it, "--command", str(hook.path), "--on", "success,empty")
    [number] = it.submit(chain(["sh", "-c", f"until [ -e {it.folder}/go ]; do sleep 0.05; done"], ["true"]))
    eventually(lambda: it.job(number).state == "running")
    it.kill()
    (it.folder / "go").touch()
    it.start()
    it.wait(number)
    eventually(lambda: sum(len(m["things"]) for m in hook.got) == 2)
    assert [thing["kind"] for message in hook.got for thing in message["things"]] == ["succeeded", "empty"]


def test_a_long_wait_and_a_full_disk_are_told_once(hook: Hook) -> None:
    with world(f"{CONFIG}disk_free_gb = 1e9\n") as it:
        labsched(it, "pool", "pause", "CPU")
        [number] = it.submit(command("true", name="patient"))
        add(it, "--command", str(hook.path), "--on", "wait,disk")
        eventually(lambda: {thing["kind"] for m in hook.got for thing in m["things"]} == {"wait", "disk"})
        assert sorted(thing["job"] or 0 for m in hook.got for thing in m["things"]) == [0, number]
        labsched(it, "pool", "resume", "CPU")


def test_a_command_gets_the_message_on_its_stdin_and_is_run_again_where_it_fails(it: World) -> None:
    script = it.folder / "hook"
    script.write_text(
        f"#!/bin/sh\ncat > {it.folder}/got.$1\n[ -e {it.folder}/ok ] || {{ echo not yet >&2; exit 4; }}\n"
    )
    script.chmod(0o700)
    add(it, "--command", f"{script} 1", "--on", "failed")
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


def test_a_word_of_the_command_line_is_hidden_from_ps() -> None:
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
