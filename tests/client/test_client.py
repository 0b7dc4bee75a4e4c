"""The queue from Python, with a real daemon and real processes."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from labsched import AsyncClient, Client, errors
from labsched.client import Job
from labsched.core.states import Outcome, State
from tests.worlds import QUICK, World, eventually, world


@pytest.fixture(scope="module")
def it() -> Iterator[World]:
    with world(QUICK + "[pools]\nCPU = 4\nGPU = 1\n") as made:
        yield made


@pytest.fixture
def client(it: World) -> Client:
    return Client(it.folder / "s")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 60))


def test_to_import_labsched_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import labsched; "
        "print(sorted(set(sys.modules) - before)); from labsched import Client, AsyncClient; "
        "assert not {'numpy', 'sqlalchemy', 'aiohttp', 'click', 'h5py'} & set(sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "['labsched']\n"


def test_a_command_runs_in_the_callers_folder_and_environment(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLOUR", "blue")
    job = client.add("sh", "-c", 'echo "$COLOUR $TASTE"; pwd; umask', env={"TASTE": "sour"}, name="where").wait()
    assert (job.state, job.outcome, job.succeeded) == (State.ENDED, Outcome.SUCCEEDED, True)
    mask = subprocess.run(["sh", "-c", "umask"], capture_output=True, text=True, check=True).stdout
    assert job.log() == f"blue sour\n{tmp_path}\n{mask}"
    assert job.results().folder == tmp_path
    assert (job.id, job.name) == (client.job("where").id, "where")


def test_what_a_command_is_given_is_what_the_command_line_gives_it(client: Client, tmp_path: Path) -> None:
    first = client.add("true")
    job = client.add(
        sys.executable, Path("a b.py"), "--lr", 0.5, 3, needs={"CPU": "1..2", "GPU": 1}, after=[first], time="2h",
        memory="12G", retry=3, priority=-2, not_before=datetime.now() + timedelta(hours=1), cwd=tmp_path, hold=True,
    )  # fmt: skip
    said = job.details()
    (stage,) = said.stages
    assert stage.argv == (sys.executable, "a b.py", "--lr", "0.5", "3")
    assert (stage.needs, stage.up_to, stage.cwd) == ({"CPU": 1, "GPU": 1}, {"CPU": 2}, str(tmp_path))
    assert (stage.time_limit, stage.memory_limit) == (7200, 12_000_000_000)
    assert stage.retry is not None
    assert stage.retry.times == 3
    assert (said.priority, said.after, job.held) == (-2, (first.id,), True)
    assert stage.not_before is not None
    assert job.release().held is False
    assert job.hold().held is True
    assert job.cancel(reason="enough").outcome is Outcome.CANCELLED
    assert "enough" in job.why


def test_many_are_queued_together_or_not_at_all(client: Client) -> None:
    made = client.add_all([{"argv": ["true"], "name": "second", "after": "first"}, {"argv": ["true"], "name": "first"}])
    assert [job.name for job in made] == ["second", "first"]
    assert client.details(made[0]).after == (made[1].id,)
    assert all(job.succeeded for job in client.wait(*made, timeout=30, check=True))
    newest = client.job("last").id
    with pytest.raises(errors.BadRequest, match="line 2: there is no key colour"):
        client.add_all([{"argv": ["true"]}, {"argv": ["true"], "colour": "blue"}])
    with pytest.raises(errors.BadRequest, match="no command 'nothing-such'"):
        client.add_all([{"argv": ["true"]}, {"argv": ["nothing-such"]}])
    assert client.job("last").id == newest
    assert client.add_all([]) == []


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        (lambda client: client.add("no-such-program"), errors.BadRequest, "check its name .or give check=False"),
        (lambda client: client.add(), errors.BadRequest, "no command to run"),
        (lambda client: client.add(["ls", "-l"]), errors.BadRequest, "no word of a command"),
        (lambda client: client.add("true", needs="CPU=x"), errors.BadRequest, "not a need"),
        (lambda client: client.add("true", needs={"CPU": 99}), errors.LabschedError, "CPU"),
        (lambda client: client.add("true", time="soon"), errors.BadRequest, "not a time"),
        (lambda client: client.add("true", memory="much"), errors.BadRequest, "not a size"),
        (lambda client: client.add("true", not_before="yesterday"), errors.BadRequest, "not a moment"),
        (lambda client: client.add("true", cwd="/no/such"), errors.BadRequest, "no folder /no/such"),
        (lambda client: client.add("true", after=99999), errors.NotFound, "99999"),
        (lambda client: client.job(99999), errors.NotFound, "99999"),
        (lambda client: client.job("nobody"), errors.NotFound, "nobody"),
        (lambda client: client.job(-1), errors.BadRequest, "no job's number"),
        (lambda client: client.job(None), errors.BadRequest, "no job"),
        (lambda client: client.cancel(), errors.BadRequest, "which job"),
        (lambda client: client.submit("no/such/block"), errors.NotFound, "no block no/such/block"),
        (lambda client: client.submit("../x"), errors.BadRequest, "not a block's name"),
        (lambda client: Client("/no/socket").status(), errors.NoDaemon, "start one with"),
    ],
)
def test_mistakes_are_sentences(
    client: Client, wrong: Callable[[Client], object], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        wrong(client)


def test_a_job_that_fails_says_so(client: Client) -> None:
    job = client.add("sh", "-c", "echo 'error: no spikes'; exit 3").wait()
    assert (job.outcome, job.succeeded) == (Outcome.FAILED, False)
    with pytest.raises(errors.LabschedError, match=f"job {job.id} .*failed .*no spikes.*labsched logs {job.id}"):
        job.wait(check=True)
    with pytest.raises(errors.Refused, match="did not succeed"):
        job.results()
    assert job.retry().outcome is None
    assert len(job.wait().details().stages[0].attempts) == 2
    assert job in client.history(outcome="failed")


def test_to_wait_has_an_end(client: Client) -> None:
    job = client.add("sleep", "60")
    with pytest.raises(errors.TryLater, match=rf"job {job.id} has not ended within 0.2 s"):
        job.wait(timeout=0.2)
    with pytest.raises(errors.Refused, match="has not ended"):
        job.results()
    assert job.cancel().ended


def test_waiting_and_events_go_through_a_restart_of_the_daemon() -> None:
    with world() as it:
        client = Client(it.folder / "s")
        events = client.events(follow=True)
        job = client.add("sh", "-c", f"until test -e {it.folder}/go; do sleep 0.05; done")
        kinds: list[str] = []
        heard = threading.Thread(target=lambda: kinds.extend(one.kind for one in _until(events, "stage.succeeded")))
        ended: list[Job] = []
        waits = threading.Thread(target=lambda: ended.append(client.job(job).wait()))
        # it follows from the moment that it is first asked: give it something to hear
        heard.start()
        waits.start()
        eventually(lambda: (client.add("true", hold=True), bool(kinds) or _alive(it))[1])
        it.kill()
        it.start()
        (it.folder / "go").touch()
        waits.join(30)
        assert ended[0].succeeded
        client.add("true").wait()
        heard.join(30)
        assert not heard.is_alive()


def _alive(it: World) -> bool:
    return it.status().counts.running == 1


def _until(events: Iterator[Any], kind: str) -> Iterator[Any]:
    for event in events:
        yield event
        if event.kind == kind:
            return


def test_events_and_logs_are_iterated(client: Client) -> None:
    job = client.add("sh", "-c", "echo one; echo two; printf three")
    assert list(job.follow()) == ["one", "two", "three"]
    job.wait()
    assert job.log(lines=1) == "three"
    kinds = [event.kind for event in job.events()]
    assert kinds[0] == "job.submitted"
    assert kinds[-1] in ("stage.succeeded", "job.succeeded", "stage.ended")
    assert [event.id for event in client.events(last=2)] == [event.id for event in list(client.events(after=0))[-2:]]


def test_a_job_shows_itself_as_a_table_in_which_nothing_is_taken_for_html(client: Client) -> None:
    job = client.add("true", "<b>&", name="<script>alert(1)</script>").wait()
    page = job._repr_html_()
    assert page.startswith("<table>")
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>" not in page
    head, line = repr(job).splitlines()
    assert head.split()[0] == "ID"
    assert line.split()[:2] == [str(job.id), "<script>alert(1)</script>"]
    table = client.jobs([job, job.id])
    assert [one.id for one in table] == [job.id] * 2
    assert len(repr(table).splitlines()) == 3
    assert table._repr_html_().count("<tr>") == 3
    assert client.jobs()[0].id
    assert {pool.name for pool in client.pools()} >= {"CPU", "GPU"}
    assert client.status(limit=1).pools == client.pools()


def test_the_same_to_be_awaited(it: World, tmp_path: Path) -> None:
    async def work() -> None:
        client = AsyncClient(it.folder / "s")
        jobs = await asyncio.gather(*(client.add("sh", "-c", f"echo {n}", cwd=tmp_path) for n in range(5)))
        # more than any pool of threads has
        slow = await client.add("sh", "-c", f"until test -e {tmp_path}/go; do sleep 0.05; done")
        waits = [asyncio.create_task(slow.wait()) for _ in range(40)]
        ended = await client.wait(*jobs, timeout=30)
        assert [job.outcome for job in ended] == [Outcome.SUCCEEDED] * 5
        assert await asyncio.gather(*(job.log() for job in jobs)) == [f"{n}\n" for n in range(5)]
        assert [line async for line in jobs[0].follow()] == ["0"]
        (tmp_path / "go").touch()
        assert all(job is slow and job.succeeded for job in await asyncio.gather(*waits))
        assert (await slow.refresh()).results is not None
        assert (await jobs[1].results()).folder == tmp_path
        assert jobs[0]._repr_html_().startswith("<table>")
        with pytest.raises(errors.NotFound):
            await client.job("nobody")
        with pytest.raises(errors.TryLater):
            await (await client.add("sleep", "60", name="long")).wait(timeout=0.1)
        assert (await client.cancel("long"))[0].ended

    run(work())


def test_what_is_cancelled_leaves_no_thread_and_no_connection(it: World) -> None:
    async def work() -> None:
        client = AsyncClient(it.folder / "s")
        job = await client.add("sleep", "60")
        following = asyncio.create_task(anext(job.follow()))  # type: ignore[arg-type]
        waiting = asyncio.create_task(job.wait())
        while threading.active_count() < 3:
            await asyncio.sleep(0.01)
        for task in (following, waiting):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        end = time.monotonic() + 20
        while threading.active_count() > before and time.monotonic() < end:
            await asyncio.sleep(0.01)
        assert threading.active_count() == before
        await job.cancel()

    before = threading.active_count()
    run(work())


def test_both_clients_have_the_same_methods() -> None:
    from labsched.client import AsyncJob

    for one, other in ((Client, AsyncClient), (Job, AsyncJob)):
        public = [{name for name in dir(kind) if not name.startswith("_")} for kind in (one, other)]
        assert public[0] == public[1]
