"""Whatever changes has its event: each is provoked, and says what the page on files says of it."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import labsched
from labsched.core.model import Retry
from labsched.core.states import Outcome, State
from labsched.engines import rundir
from labsched.errors import Refused
from labsched.wire.events import Events
from labsched.wire.messages import Event, Jobs, Pools, Pruned, Reloaded, Targets
from labsched.wire.requests import Edit, NotifyAdd, NotifyPick, PoolSet, Prune, Reload
from tests.docs.pages import ROOT, table
from tests.end_to_end.typed import labsched as typed
from tests.worlds import QUICK, World, chain, command, eventually, world

SOURCE = Path(labsched.__file__).parent
OF_CODE = re.compile(r'(?:(?:record|_tell)[(,]|told\.append\(\()(?:\s*\w+,)?\s*"([a-z]+\.[a-z_]+)"')


@dataclass(frozen=True)
class Wanted:
    """What an event is to say: whose it is, and the keys of its data."""

    provoke: Callable[[World], object]
    job: bool = True
    stage: bool = False
    user: bool = True  # whether it says who did it
    data: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def it() -> Iterator[World]:
    with world() as made:
        yield made


def held(it: World) -> int:
    return it.submit(command("true", hold=True))[0]


def later(it: World) -> int:
    return it.submit(command("true", hold=True, not_before=4e9))[0]


def edit(it: World) -> None:
    slots = {"needs": {"CPU": 1}, "up_to": {"CPU": 2}}
    limits = {"time_limit": 60.0, "memory": 10**9, "not_before": 4e9}
    asked = Edit(jobs=(str(held(it)),), priority=-1, name="other", **slots, **limits)  # type: ignore[arg-type]
    it.client.post("jobs/edit", asked, Jobs)


def ended(it: World, *argv: str, **more: object) -> int:
    [number] = it.submit(command(*argv, **more))
    it.wait(number)
    return number


def cancel(it: World) -> None:
    [number] = it.submit(command("sleep", "60"))
    eventually(lambda: it.job(number).state == "running")
    it.verb("cancel", number, reason="enough")


def waits(it: World) -> int:
    """A job that waits for its next attempt."""
    job = command("sh", "-c", f"[ -e {it.folder}/again ]")
    [number] = it.submit(replace(job, stages=tuple(replace(s, retry=Retry(1, 3600.0)) for s in job.stages)))
    eventually(lambda: it.job(number).stages[0].not_before is not None)
    return number


def at_once(it: World) -> None:
    number = waits(it)
    (it.folder / "again").touch()
    it.verb("retry", number)
    it.wait(number)
    (it.folder / "again").unlink()


def lose(it: World) -> None:
    [number] = it.submit(command("sleep", "60"))
    eventually(lambda: it.job(number).state == "running")
    os.kill(rundir.holder(str(it.folder / f"state/attempts/{number}/run.1")), signal.SIGKILL)
    it.wait(number)


def skip(it: World) -> None:
    [number] = it.submit(chain(["false"], ["true"]))
    it.wait(number)


def reload(it: World) -> None:
    (it.folder / "config.toml").write_text(f"{QUICK}[limits]\npriority = {time.time_ns() % 1000}\n[pools]\nNEW = 1\n")
    it.client.post("config/reload", Reload(), Reloaded)


def again(it: World) -> None:
    it.stop()
    it.start()


def back(it: World) -> None:
    typed(it, "backup", "b.db", "--force")
    it.stop()
    typed(it, "restore", "b.db")
    it.start()


def told(it: World, kind: str, provoke: Callable[[World], object]) -> None:
    """While somebody wants to be told of it, of whatever size it is."""
    (it.folder / "config.toml").write_text(f"{QUICK}[notify]\nlong_wait = 0.2\ndisk_free_gb = 1e9\n")
    it.client.post("config/reload", Reload(), Reloaded)
    asked = NotifyAdd(command=("/bin/true",), on=(kind,))
    [target] = it.client.post("notify/add", asked, Targets).targets
    *_, last = Events(it.client, last=1)
    provoke(it)
    first(it, {"wait": "job.waits", "empty": "queue.empty", "disk": "disk.low"}[kind], last.id - 1)
    it.client.post("notify/remove", NotifyPick((target.id,)), Targets)


def stuck(it: World) -> None:
    it.client.post("pools/CPU", PoolSet(paused=True), Pools)
    it.submit(command("true"))


def still(it: World) -> None:
    it.client.post("pools/CPU", PoolSet(paused=False), Pools)
    left = [row.id for row in it.status(limit=1000).jobs if row.state != "ended"]
    for number in left:
        with suppress(Refused):  # it has ended by now
            it.verb("cancel", number)
    ended(it, "true")


MOVE = frozenset({"move"})
EDITED = frozenset({"priority", "name", "needs", "up_to", "time_limit", "memory", "not_before"})
WHY = MOVE | {"reason"}
EVENTS = {
    "job.submitted": Wanted(later, data=frozenset({"name", "held", "not_before"})),
    "job.edited": Wanted(edit, stage=True, data=EDITED),
    "job.held": Wanted(lambda it: it.verb("hold", held(it))),
    "job.released": Wanted(lambda it: it.verb("release", held(it))),
    "job.cancelled": Wanted(cancel, data=frozenset({"reason"})),
    "job.retried": Wanted(lambda it: it.verb("retry", ended(it, "false")), data=frozenset({"from"})),
    "job.retry": Wanted(at_once, data=frozenset({"at"})),
    "stage.starting": Wanted(lambda it: ended(it, "true"), stage=True, user=False, data=MOVE),
    "stage.running": Wanted(lambda it: ended(it, "true"), stage=True, user=False, data=MOVE),
    "stage.waiting": Wanted(lambda it: it.verb("cancel", waits(it)), stage=True, user=False, data=WHY),
    "stage.succeeded": Wanted(lambda it: ended(it, "true"), stage=True, user=False, data=MOVE),
    "stage.failed": Wanted(lambda it: ended(it, "false"), stage=True, user=False, data=WHY),
    "stage.cancelled": Wanted(cancel, stage=True, data=WHY),
    "stage.skipped": Wanted(skip, stage=True, user=False, data=WHY),
    "stage.timed_out": Wanted(lambda it: ended(it, "sleep", "60", time_limit=0.05), stage=True, user=False, data=WHY),
    "stage.lost": Wanted(lose, stage=True, user=False, data=WHY),
    "job.waits": Wanted(lambda it: told(it, "wait", stuck), user=False, data=frozenset({"seconds"})),
    "queue.empty": Wanted(lambda it: told(it, "empty", still), job=False, user=False),
    "disk.low": Wanted(
        lambda it: told(it, "disk", lambda _: None), job=False, user=False, data=frozenset({"path", "free"})
    ),
    "pool.added": Wanted(reload, job=False, data=frozenset({"pool", "slots"})),
    "pool.changed": Wanted(
        lambda it: it.client.post("pools/CPU", PoolSet(slots=5, paused=False), Pools),
        job=False,
        data=frozenset({"pool", "slots", "paused"}),
    ),
    "config.reloaded": Wanted(reload, job=False, data=frozenset({"changed", "restart"})),
    "jobs.pruned": Wanted(
        lambda it: (ended(it, "true"), list(it.client.post_lines("prune", Prune(keep=1), Pruned))),
        job=False,
        data=frozenset({"jobs", "bytes"}),
    ),
    "queue.copied": Wanted(lambda it: typed(it, "backup", "b.db", "--force"), job=False, data=frozenset({"bytes"})),
    "daemon.started": Wanted(again, job=False, user=False, data=frozenset({"version", "pid"})),
    "daemon.stopped": Wanted(again, job=False, user=False, data=frozenset({"pid"})),
    "daemon.restored": Wanted(back, job=False, user=False, data=frozenset({"from"})),
}


@pytest.mark.parametrize("kind", EVENTS)
def test_a_change_has_its_event_and_that_says_all_that_it_should(it: World, kind: str) -> None:
    wanted = EVENTS[kind]
    *_, last = Events(it.client, last=1)  # what was there before may still go on
    wanted.provoke(it)
    event = first(it, kind, last.id)
    assert (event.job is not None, event.stage is not None, event.user is not None) == (
        wanted.job, wanted.stage, wanted.user,
    )  # fmt: skip
    assert set(event.data) == wanted.data


def first(it: World, kind: str, after: int) -> Event:
    """The first event of this kind after that number; waits for it."""
    found: list[Event] = []

    def there() -> bool:
        found.extend(event for event in Events(it.client, after=after) if event.kind == kind)
        return bool(found)

    eventually(there)
    return found[0]


def test_the_page_names_every_event_and_what_is_in_it() -> None:
    said: dict[str, set[str]] = {}
    for kinds, _, data in table(ROOT / "docs/reference/files.md", "## Events"):
        for kind in re.findall(r"`([^`]+)`", kinds):
            said[kind] = set(re.findall(r"`([^`]+)`", data))
    assert said.keys() == EVENTS.keys()
    for kind, wanted in EVENTS.items():
        assert wanted.data <= said[kind], kind


def test_no_event_is_recorded_that_is_not_in_the_table() -> None:
    in_code = {kind for path in SOURCE.rglob("*.py") for kind in OF_CODE.findall(path.read_text())}
    assert "job.submitted" in in_code and "daemon.stopped" in in_code
    moves = {f"stage.{how}" for how in (*Outcome, *(state for state in State if state is not State.ENDED))}
    assert in_code | moves == EVENTS.keys()
