"""Owners touch their jobs, admins all; what is in a job is not shown to those who may not see it."""

from typing import Any

import pytest

from labsched.core.model import JobSpec, StageSpec
from labsched.errors import Forbidden, LabschedError, NotFound
from labsched.recipes.command import expand
from labsched.wire.messages import History, Jobs, Pools, Reloaded
from labsched.wire.requests import PoolSet, Reload, Verb
from tests.people.conftest import OpenWorld, config
from tests.people.test_as_submitter import sh
from tests.people.users import User
from tests.worlds import World, eventually, world

SECRET = "s3cret-t0ken"


def leaky(**more: object) -> JobSpec:
    """A job with secrets wherever one can have them, that fails with one on its lips."""
    words = ["/bin/sh", "-c", f"echo {SECRET}; exit 3", "--token", SECRET]
    made = expand(words, cwd=f"/tmp/../tmp/{SECRET}/..", extra={"TOKEN": SECRET})
    [stage] = made.stages
    stage = StageSpec(stage.name, stage.argv, {}, "/", (f"/{SECRET}",), None, stage.env)
    return JobSpec(made.name, (stage,), env={"PATH": "/bin", SECRET: SECRET}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["cancel", "hold", "release", "retry"])
def test_a_strangers_jobs_are_not_touched(what: str, it: World, one: User, two: User, boss: User) -> None:
    live, over = one.asks(it).submit(sh("sleep 60"), sh("exit 3", name="over"))
    one.asks(it).wait(over)
    if what == "release":
        one.asks(it).verb("hold", live)
    before = it.status(all=True).jobs
    number = over if what == "retry" else live
    mine = two.asks(it).submit(sh("true", hold=True, name="two's"))
    for numbers in ([number], [*mine, number]):  # all or none
        with pytest.raises(Forbidden, match=f"job {number} belongs to {one.name}: ask them, or an admin"):
            two.asks(it).verb(what, *numbers)
    assert it.job(mine[0]).state == "waiting"
    assert [row.held for row in before] == [row.held for row in it.status(all=True).jobs if row.id not in mine]
    assert boss.asks(it).verb(what, number).jobs[0].id == number
    two.asks(it).verb("cancel", *mine)
    if it.job(live).state != "ended":
        one.asks(it).verb("cancel", live)


def test_pools_are_the_admins(it: World, one: User, boss: User) -> None:
    from labsched.wire.client import Client

    def shrink() -> Pools:
        return Client(it.folder / "s").post("pools/GPU", PoolSet(slots=3), Pools)

    with pytest.raises(Forbidden, match="ask an admin"):
        one.does(shrink)
    assert next(pool.slots for pool in boss.does(shrink).pools if pool.name == "GPU") == 3


def test_what_is_in_a_job_is_its_owners(it: World, one: User, two: User, boss: User) -> None:
    [number] = one.asks(it).submit(leaky())
    for who in (one, boss):
        [job] = who.asks(it).wait(number)
        assert (SECRET in job.name, job.stages[0].reason) == (True, f"exit 3: {SECRET}")
        assert job.stages[0].argv[-1] == SECRET
        assert who.asks(it).job(number, env=True).stages[0].env_values["TOKEN"] == SECRET  # type: ignore[index]
        assert who.asks(it).log(number) == f"{SECRET}\n"
    seen = two.asks(it).job(number)
    assert (seen.name, seen.user, seen.outcome) == ("/bin/sh …", one.name, "failed")
    [stage] = seen.stages
    assert (stage.argv, stage.reason, stage.env, stage.outputs) == (("/bin/sh", "…"), "exit 3", (), ())
    for ask in (
        lambda: two.asks(it).job(number, env=True),
        lambda: two.asks(it).log(number),
        lambda: two.asks(it).log(number, follow=True),
        lambda: two.asks(it).log(number, stage="run", attempt=1, offset=0),
    ):
        with pytest.raises(Forbidden):
            ask()
    everything = [seen, two.asks(it).status(all=True, limit=1000), history(it, two), *two.asks(it).wait(number)]
    assert SECRET not in repr(everything)
    assert SECRET in events(it, one)
    assert f'"job":{number},' in events(it, two)
    assert SECRET not in events(it, two)


def events(it: World, who: User) -> str:
    from labsched.wire.client import Client

    return who.does(lambda: b"".join(Client(it.folder / "s").stream("events", timeout=30)).decode())


def history(it: World, who: User, **query: Any) -> History:
    from labsched.wire.client import Client

    return who.does(lambda: Client(it.folder / "s").get("history", History, **query))


def test_a_name_that_is_not_shown_is_not_found_either(it: World, one: User, two: User) -> None:
    spec = leaky()
    [number] = one.asks(it).submit(spec)
    one.asks(it).wait(number)
    for part in (SECRET, SECRET[:3], spec.name):
        assert number in [row.id for row in history(it, one, name=part, limit=1000).jobs]
        assert number not in [row.id for row in history(it, two, name=part, limit=1000).jobs]
    assert number in [row.id for row in history(it, two, name="/bin/sh", limit=1000).jobs]
    for ask in (
        lambda: two.asks(it).job(spec.name),
        lambda: two.asks(it).verb("cancel", spec.name),
        lambda: two.asks(it).log(spec.name),
    ):
        with pytest.raises(NotFound):
            ask()
    assert one.asks(it).job(spec.name).id == number


def test_history_pages_are_full_though_names_are_hidden(it: World, one: User, two: User) -> None:
    for _ in range(3):
        mine = two.asks(it).submit(sh("true", name="page of two"))
        others = one.asks(it).submit(*[expand(["/bin/true", "page of two"], cwd="/", needs=None) for _ in range(4)])
        one.asks(it).wait(*mine, *others)
    found = history(it, two, name="page of two", limit=2)
    assert ([row.user for row in found.jobs], found.more) == ([two.name] * 2, True)


def test_a_name_that_was_given_is_seen_by_all(it: World, one: User, two: User) -> None:
    [number] = one.asks(it).submit(sh(f"true {SECRET}", name="rat12/2024-03-10"))
    one.asks(it).wait(number)
    assert two.asks(it).job("rat12/2024-03-10").id == number
    assert number in [row.id for row in history(it, two, name="rat12", limit=1000).jobs]


def test_last_and_names_mean_ones_own_jobs(it: World, one: User, two: User) -> None:
    [mine] = one.asks(it).submit(sh("true", name="same name", hold=True))
    [theirs] = two.asks(it).submit(sh("true", name="same name", hold=True))
    assert [one.asks(it).job(ref).id for ref in ("last", "same name")] == [mine, mine]
    assert [two.asks(it).job(ref).id for ref in ("last", "same name")] == [theirs, theirs]
    one.asks(it).verb("cancel", "last")
    two.asks(it).verb("cancel", "same name")
    assert [it.job(number).outcome for number in (mine, theirs)] == ["cancelled"] * 2


def test_a_stage_named_to_escape_its_folder_is_refused(it: World, one: User) -> None:
    from labsched.recipes.block import check_name

    for name in ("../../../etc", "..", "/etc", "a/../../b", "run/../../x", ".hidden", "a\0b", "a\nb"):
        with pytest.raises(LabschedError):
            one.asks(it).submit(JobSpec("job", (StageSpec(name, ("true",), {}, "/"),)))
    for name in ("../../../etc/x", "/etc/x", "rat/../../x", "rat/..", "rat\0x", "./../x"):
        with pytest.raises(LabschedError):
            check_name(name)


def test_a_stage_may_not_speak_for_its_submitters_admin(it: World, one: User, two: User) -> None:
    """A stage that asks the daemon is its submitter, whatever it sets or says."""
    from labsched.wire.client import Client

    [theirs] = two.asks(it).submit(sh("sleep 60"))
    eventually(lambda: it.job(theirs).state == "running")

    def cancel() -> Jobs:
        import os

        os.environ.update(USER="root", LOGNAME="root", SUDO_UID=str(two.uid), LABSCHED_JOB=str(theirs))
        return Client(it.folder / "s").post("jobs/cancel", Verb(jobs=(str(theirs),)), Jobs)

    with pytest.raises(Forbidden):
        one.does(cancel)
    two.asks(it).verb("cancel", theirs)


def test_people_may_lower_their_priority_and_admins_may_raise_it(it: World, one: User, boss: User) -> None:
    [low] = one.asks(it).submit(sh("true", priority=-5, hold=True))
    assert one.asks(it).job(low).priority == -5
    with pytest.raises(Forbidden, match=r"raised: a priority of 1 is for admins, .* 0 or less \(\[limits\] priority\)"):
        one.asks(it).submit(sh("true", hold=True), sh("true", name="raised", priority=1, hold=True))
    [high] = boss.asks(it).submit(sh("true", priority=1000, hold=True))
    assert one.asks(it).job(high).priority == 1000
    it.verb("cancel", low, high)


def test_jobs_are_changed_by_those_who_may(it: World, one: User, two: User, boss: User) -> None:
    first, second = one.asks(it).submit(sh("true", hold=True), sh("true", hold=True))
    with pytest.raises(Forbidden, match=f"job {first} belongs to {one.name}: ask them, or an admin"):
        two.asks(it).edit(first, priority=-1)
    with pytest.raises(Forbidden, match="a priority of 1 is for admins"):
        one.asks(it).edit(first, second, priority=1)
    assert {it.job(first).priority, it.job(second).priority} == {0}  # all or none
    one.asks(it).edit(first, priority=-1)
    boss.asks(it).edit(second, priority=7)
    assert [it.job(number).priority for number in (first, second)] == [-1, 7]
    it.verb("cancel", first, second)


def test_a_lab_may_let_everybody_raise_their_priority_a_little(one: User, boss: User) -> None:
    with world(config(boss, "[limits]\npriority = 10\n"), kind=OpenWorld) as it:
        [number] = one.asks(it).submit(sh("true", priority=10, hold=True))
        with pytest.raises(Forbidden, match="ask for 10 or less"):
            one.asks(it).submit(sh("true", priority=11, hold=True))
        (it.folder / "config.toml").write_text(config(boss, "[limits]\npriority = 3\n"))
        it.client.post("config/reload", Reload(), Reloaded)
        with pytest.raises(Forbidden, match="ask for 3 or less"):
            one.asks(it).submit(sh("true", priority=10, hold=True))
        one.asks(it).verb("release", number)  # it keeps what it was queued with
        [job] = one.asks(it).wait(number)
        assert (job.outcome, job.priority) == ("succeeded", 10)
        one.asks(it).verb("cancel", *one.asks(it).submit(sh("true", priority=-1_000_000, hold=True)))
