"""The daemon's socket against people's mistakes, broken clients and many at once: it answers, and lives on."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labsched import errors
from labsched.wire.messages import Daemon, Doctor, Job, Pools, Status, Waited
from labsched.wire.requests import PoolSet
from tests.worlds import QUICK, World, alive, command, eventually, world

GOOD = {"name": "x", "stages": [{"name": "run", "argv": ["true"], "needs": {}, "cwd": "/"}]}


@pytest.fixture(scope="module")
def it() -> Iterator[World]:
    with world(QUICK + "[pools]\nCPU = 2\n") as made:
        yield made


def connect(it: World) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(it.folder / "s"))
    return connection


def raw(it: World, request: bytes) -> tuple[int, str]:
    """The status and the sentence that these bytes are answered with."""
    with connect(it) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):  # go on
        head, _, body = body.partition(b"\r\n\r\n")
    assert b"Content-Type: application/json" in head, answer
    answered = json.loads(body)
    return int(head.split()[1]), answered["error"] if set(answered) == {"error"} else ""


def get(what: str) -> bytes:
    return f"GET /v1/{what} HTTP/1.0\r\nHost: x\r\n\r\n".encode()


def post(what: str, body: bytes | object) -> bytes:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"POST /v1/{what} HTTP/1.0\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def job(**more: object) -> dict[str, object]:
    return {"jobs": [{**GOOD, **more}]}


def stage(**more: object) -> dict[str, object]:
    return {"jobs": [GOOD, {**GOOD, "stages": [{**GOOD["stages"][0], **more}]}]}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (b"\x00\x01\x02 garbage\r\n\r\n", 400, "the request makes no sense: Invalid method"),
        (b"GET /v1/status HTTP/9.9\r\n\r\n", 400, "the request makes no sense: "),
        (b"GET /v1/status HTTP/1.0\r\nno header\r\n\r\n", 400, "the request makes no sense: Invalid header"),
        (b"GET /v1/status HTTP/1.0\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 400, "the request makes no sense: Got more"),
        (b"GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, "the request makes no sense: "),
        (b"POST /v1/jobs HTTP/1.0\r\nContent-Length: -5\r\n\r\n", 400, "the request makes no sense: "),
        (b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "makes no sense"),
        (b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: a cake\r\n\r\n", 417, "expectation"),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: a cake\r\n\r\n", 417, "expectation"),
        (get("job?ref=" + "x" * 9_000), 400, "8190"),
        (
            b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "",
        ),
        (post("jobs", b"{}").replace(b"Host", b"Content-Encoding: gzip\r\nHost"), 400, "a compressed request"),
        (post("jobs", b""), 400, "makes no sense"),
        (post("jobs", b"{"), 400, "makes no sense"),
        (post("jobs", b"[]"), 400, "makes no sense: Expected `object`, got `array`"),
        (post("jobs", b"\xff\xfe{"), 400, "makes no sense"),
        (post("jobs/cancel", b'{"jobs": ["\xff"]}'), 400, "makes no sense"),
        (post("jobs", b'{"jobs": ' + b"[" * 100_000), 400, "makes no sense"),
        (post("jobs", {"jobs": []}), 400, "there is no job in the request"),
        (post("jobs", job(name=3)), 400, "Expected `str`, got `int` - at `$.jobs[0].name`"),
        (post("jobs", job(name=" ")), 400, "a job's name"),
        (post("jobs", job(stages=[])), 400, "1 to 100 stages"),
        (post("jobs", job(priority=10**30)), 400, "priority"),
        (post("jobs", job(after=[10**30])), 404, "there is no job"),
        (post("jobs", stage(argv=[])), 400, "it has no command"),
        (post("jobs", stage(argv=["a\0b"])), 400, "NUL"),
        (post("jobs", stage(cwd="here")), 400, "not absolute"),
        (post("jobs", stage(time_limit=-1)), 400, "time limit"),
        (post("jobs", stage(env={"A=B": "c"})), 400, "environment"),
        (post("jobs", stage(needs={"CPU": 10**30})), 400, "slots of CPU"),
        (post("jobs", stage(needs={"CPU": -1})), 400, "cannot be"),
        (post("jobs", stage(needs={"TPU": 1})), 400, "the pools are"),
        (post("jobs/dance", {"jobs": ["1"]}), 404, "there is no verb dance; known are cancel, retry, hold, release"),
        (post("jobs/cancel", {"jobs": []}), 400, "cancel which jobs?"),
        (post("jobs/cancel", {"jobs": "last"}), 400, "Expected `array`, got `str`"),
        (post("jobs/cancel", {"jobs": ["1"] * 10_001}), 400, "at most 10000 jobs"),
        (post("jobs/retry", {"jobs": ["1"] * 2_001}), 400, "at most 2000 jobs"),
        (post("jobs/retry", {"jobs": [], "mine": True}), 400, "retry which jobs?"),
        (post("jobs/cancel", {"jobs": ["1"], "mine": True}), 400, "cancel which jobs?"),
        (post("jobs/cancel", {"jobs": [], "waiting": True}), 400, "cancel which jobs?"),
        (post("jobs/hold", {"jobs": ["no such", "1"]}), 404, "there is no job named 'no such'"),
        (post("pools/TPU", {"slots": 1}), 404, "the pools are"),
        (post("pools/CPU", {"slots": -1}), 400, "a pool cannot have -1 slots"),
        (post("pools/CPU", {"slots": 1.5}), 400, "Expected `int"),
        (b"PUT /v1/jobs HTTP/1.0\r\nHost: x\r\n\r\n", 405, "method not allowed"),
        (get("nothing"), 404, "/v1/nothing: not found"),
        (get("job"), 400, "which job? ref="),
        (get("job?ref=99"), 404, "there is no job 99"),
        (get("job?ref=%FF%00"), 404, "there is no job named"),
        (get("job?ref=99&env=yes"), 400, "env='yes' is neither 0 nor 1"),
        (get("wait"), 400, "wait for which jobs?"),
        (get("wait?jobs=1,zz"), 400, "wait for which jobs?"),
        (get("wait?jobs=" + "9" * 5_000), 400, "wait for which jobs?"),
        (get("wait?jobs=999999999999"), 404, "there is no job 999999999999"),
        (get("wait?within=soon&jobs=1"), 400, "within is not a number"),
        (get("status?limit=-1"), 400, "limit='-1' is not a number"),
        (get("status?offset=" + "9" * 30), 400, "is not a number"),
        (get("log?ref=1&lines=1&offset=1"), 400, "not both"),
        (get("log?ref=1&offset=-1"), 400, "offset='-1' is not a number"),
    ],
    ids=lambda value: repr(value[-60:]) if isinstance(value, bytes) else None,
)
def test_what_makes_no_sense_is_answered_with_why_and_changes_nothing(
    request_: bytes, status: int, words: str, it: World
) -> None:
    before = it.status(all=True)
    answered, sentence = raw(it, request_)
    assert (answered, words in sentence) == (status, True), sentence
    assert "Traceback" not in sentence
    after = it.status(all=True)
    assert (after.jobs, after.pools, after.revision) == (before.jobs, before.pools, before.revision)


def test_a_body_that_is_too_large_is_refused_with_what_to_do(it: World) -> None:
    with pytest.raises(errors.BadRequest, match="send fewer jobs at a time"):
        it.verb("cancel", "x" * 65 * 1024**2)


def test_a_request_that_is_cut_short_does_nothing(it: World) -> None:
    before = it.status(all=True).revision
    whole = post("jobs", {"jobs": [GOOD]})
    for end in (5, 40, len(whole) - 20, len(whole) - 1):
        with connect(it) as connection:
            connection.sendall(whole[:end])
    with connect(it) as connection:
        connection.sendall(whole[:-1])
        eventually(lambda: it.client.get("daemon", Daemon).pid > 0)
    assert it.status(all=True).revision == before


def test_unknown_fields_and_queries_are_passed_over(it: World) -> None:
    answered, _ = raw(it, post("jobs?new=1", {"jobs": [{**GOOD, "new": 1}], "newer": None}))
    assert answered == 201


def test_clients_that_say_nothing_or_go_away_hold_up_nobody(it: World) -> None:
    silent = [connect(it) for _ in range(50)]
    for number, connection in enumerate(silent):
        connection.sendall(b"GET /v1/sta"[: number % 11])
    for _ in range(50):
        with connect(it) as connection:
            connection.sendall(get("status?revision=999999&within=60"))
            connection.sendall(get("status?revision=1&within=60"))
    started = time.monotonic()
    it.status()
    assert time.monotonic() - started < 2
    for connection in silent:
        connection.close()


def test_two_hundred_clients_at_once_are_all_answered(it: World) -> None:
    with ThreadPoolExecutor(200) as pool:
        numbers = list(pool.map(lambda n: it.submit(command("true", name=f"c{n}", hold=True))[0], range(200)))
        rows = list(pool.map(lambda n: it.job(n).name, numbers))
    assert rows == [f"c{n}" for n in range(200)]
    assert len(set(numbers)) == 200
    assert len(it.verb("cancel", *numbers).jobs) == 200


def test_a_wait_says_when_the_first_of_many_has_ended(it: World) -> None:
    gate = it.folder / "gate"
    quick, slow = it.submit(
        command("sh", "-c", f"until [ -e {gate} ]; do sleep 0.01; done"), command("sleep", "60", name="slow")
    )
    now = it.client.get("wait", Waited, jobs=f"{quick},{slow}", within=0)
    assert (now.done, [row.state == "ended" for row in now.jobs]) == (False, [False, False])
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: it.client.get("wait", Waited, jobs=f"{quick},{slow}", within=30))
        gate.touch()
        waited = answer.result(timeout=20)
    assert (waited.done, [row.state == "ended" for row in waited.jobs]) == (False, [True, False])
    it.verb("cancel", slow)
    assert it.client.get("wait", Waited, jobs=f"{quick},{slow}").done


def test_a_status_with_a_revision_waits_for_another_one(it: World) -> None:
    seen = it.status().revision
    started = time.monotonic()
    assert it.status(revision=seen, within=0.3).revision == seen
    assert time.monotonic() - started >= 0.3
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: it.status(revision=seen, within=30))
        [number] = it.submit(command("true", hold=True))
        assert answer.result(timeout=20).revision > seen
    it.verb("cancel", number)


def test_a_verb_is_done_for_all_jobs_or_for_none(it: World) -> None:
    one, two = it.submit(command("true", hold=True), command("true", hold=True, name="two"))
    with pytest.raises(errors.NotFound, match="no job named 'three'"):
        it.verb("cancel", one, two, "three")
    assert [it.job(number).state for number in (one, two)] == ["waiting"] * 2
    rows = it.verb("cancel", two, "two", str(one)).jobs
    assert sorted((row.id, row.outcome) for row in rows) == [(one, "cancelled"), (two, "cancelled")]
    with pytest.raises(errors.Refused, match=f"job {one} has ended already"):
        it.verb("cancel", one)


def test_jobs_that_come_after_one_another_are_cancelled_and_retried_together(it: World) -> None:
    [first] = it.submit(command("sleep", "60", needs=({"CPU": 2},)))
    [second] = it.submit(command("true", after=(first,)))
    cancelled = it.verb("cancel", first, second).jobs
    assert [(row.id, row.outcome) for row in cancelled] == [(first, "cancelled"), (second, "cancelled")]
    again = it.verb("retry", second, first).jobs
    assert {row.state for row in again} <= {"waiting", "starting", "running"}
    it.verb("cancel", second, first)


def test_a_cancel_is_answered_when_it_is_true_also_for_one_who_did_not_wait(it: World) -> None:
    numbers = it.submit(*[command("sh", "-c", "trap '' TERM; sleep 60 & wait; wait", name=n) for n in "ab"])
    eventually(lambda: all(it.job(number).state == "running" for number in numbers))
    pids = [it.job(number).stages[0].attempts[0].pid for number in numbers]
    with connect(it) as connection:  # says what it wants, and leaves
        connection.sendall(post("jobs/cancel", {"jobs": [str(numbers[0])]}))
    [row] = it.verb("cancel", numbers[1], reason="enough").jobs
    assert (row.outcome, "enough" in row.why) == ("cancelled", True)
    assert it.wait(numbers[0])[0].outcome == "cancelled"
    assert not any(alive(pid) for pid in pids if pid)


def test_what_the_daemon_says_of_itself_is_so(it: World) -> None:
    about = it.client.get("daemon", Daemon)
    assert it.process is not None
    assert (about.pid, about.state, about.python) == (it.process.pid, str(it.folder / "state"), sys.executable)
    assert about.settings["sort"]["source"] == str(it.folder / "data/mat/{block}")  # type: ignore[index]
    said = [finding.what for finding in it.client.get("doctor", Doctor).findings if finding.level == "ok"]
    assert f"the queue {it.folder}/state/queue.db is whole" in said


def test_secrets_in_the_environment_show_only_to_who_asks_for_them(it: World) -> None:
    raw(it, post("jobs", {"jobs": [{**GOOD, "name": "secret", "env": {"TOKEN": "s3cret"}}], "env": {"A": "b"}}))
    [shown] = it.job("secret").stages
    assert shown.env == ("A", "TOKEN")
    with connect(it) as connection:
        connection.sendall(get("job?ref=secret"))
        assert b"s3cret" not in connection.recv(1_000_000)
    [asked] = it.client.get("job", Job, ref="secret", env=True).stages
    assert asked.env_values == {"A": "b", "TOKEN": "s3cret"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root could share root's account")
def test_a_daemon_that_may_change_user_does_not_share_its_account(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[daemon]\nshared_account = true\n")
    words = [sys.executable, "-m", "labsched", "daemon", "--state", "state", "--socket", "s", "--config", "config.toml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == errors.Refused.exit_code
    assert "shared_account = true would make root of everybody" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state").exists()


def test_pools_change_while_it_runs(it: World) -> None:
    changed = it.client.post("pools/GPU", PoolSet(slots=3, paused=True), Pools).pools
    [gpu] = [pool for pool in changed if pool.name == "GPU"]
    assert (gpu.slots, gpu.paused_by is not None) == (3, True)
    again = it.client.post("pools/GPU", PoolSet(), Pools).pools
    assert again == changed


def test_the_daemon_has_lived_through_all_this(it: World) -> None:
    assert it.process is not None
    assert it.process.poll() is None
    assert "Traceback" not in it.log
    assert it.client.get("status", Status).draining is False
