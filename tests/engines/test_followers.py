"""Attempts that follow another one: right after it, in its shim; or given back, and nothing of them is left."""

import asyncio
import itertools
import os
import signal
from dataclasses import replace
from pathlib import Path

from labsched.core.model import Ended, Fact, Returned
from labsched.core.states import Outcome
from labsched.engines import rundir, shim
from labsched.engines.base import Order
from labsched.store import followers
from tests.engines.place import Place, place, until

TRIES = 40  # a command that is to end at once may take long on a busy machine; then what follows is given back
LONG = ("sleep", "600")


def test_what_the_queue_takes_for_quick_is_what_a_shim_does_not_announce() -> None:
    assert followers.QUICK_S == shim.BEGAN_S


def last(it: Place, order: Order) -> Fact | None:
    """How it ended, or that it was given back."""
    found = [fact for fact in it.facts if fact.attempt == order.attempt and isinstance(fact, Ended | Returned)]
    assert len(found) <= 1
    return found[0] if found else None


async def over(it: Place, *orders: Order) -> list[Fact]:
    await until(lambda: all(last(it, order) for order in orders))
    return [fact for order in orders if (fact := last(it, order))]


async def launch(it: Place, *orders: Order) -> list[Order]:
    """Hand them all over, each behind the one before it; there is a shim that waits."""
    assert (await it.run(it.order("true"))).outcome is Outcome.SUCCEEDED
    chain = [orders[0]]
    for order in orders[1:]:
        chain.append(replace(order, behind=chain[-1].attempt))
    for order in chain:
        it.engine.launch(order)
    return chain


def never_was(order: Order) -> bool:
    return not Path(order.folder).exists()


def test_what_follows_starts_right_after_in_the_same_shim(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            for _ in range(TRIES):
                chain = await launch(it, *(it.order("sh", "-c", "echo $PPID") for _ in range(4)))
                ends = await over(it, *chain)
                if not any(isinstance(end, Returned) for end in ends):
                    break
            assert [end.outcome for end in ends if isinstance(end, Ended)] == [Outcome.SUCCEEDED] * 4
            assert [end.followed for end in ends if isinstance(end, Ended)] == [True, False, False, False]
            assert len({(Path(order.folder) / rundir.LOG).read_text() for order in chain}) == 1
            began = [rundir.record(order.folder).ended for order in chain]
            times = [(said["started"], said["ended"]) for said in began if said]
            assert all(end <= start for (_, end), (start, _) in itertools.pairwise(times))

    asyncio.run(go())


def test_what_follows_something_that_takes_long_is_given_back_at_once(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            long, *others = await launch(it, it.order(*LONG), it.order("true"), it.order("true"))
            assert [type(fact) for fact in await over(it, *others)] == [Returned, Returned]
            assert all(map(never_was, others))
            late = replace(it.order("true"), behind=long.attempt)
            it.engine.launch(late)  # by a turn that did not know yet
            assert last(it, late) is not None and never_was(late)
            assert last(it, long) is None

    asyncio.run(go())


def test_a_cancel_hits_what_it_is_for_and_nothing_else(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            first, second, third = await launch(it, it.order(*LONG), it.order(*LONG), it.order("true"))
            await until(lambda: rundir.record(first.folder).begun is not None)
            it.engine.stop(second.attempt)
            await over(it, second, third)
            assert last(it, first) is None
            it.engine.stop(first.attempt)
            [end] = await over(it, first)
            assert isinstance(end, Ended) and end.outcome is Outcome.CANCELLED

            first, second = await launch(it, it.order("true"), it.order(*LONG))
            it.engine.stop(first.attempt)  # it may be over, and the second one under way
            await over(it, first)
            it.engine.stop(second.attempt)
            [end] = await over(it, second)
            assert isinstance(end, Returned) or (isinstance(end, Ended) and end.outcome is Outcome.CANCELLED)

    asyncio.run(go())


def test_whom_a_killed_shim_had_ahead_is_given_back(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            chain = await launch(it, it.order("sh", "-c", "kill -9 $PPID; sleep 600"), it.order("true"))
            first, second = await over(it, *chain)
            assert isinstance(first, Ended) and first.outcome is Outcome.LOST
            assert isinstance(second, Returned) and never_was(chain[1])

    asyncio.run(go())


def test_what_is_behind_something_that_nobody_has_is_given_back_and_behind_what_has_ended_it_starts(
    tmp_path: Path,
) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            first = it.order("true")
            stray = replace(it.order("true"), behind=first.attempt)
            it.engine.launch(stray)
            assert isinstance(last(it, stray), Returned)
            await it.run(first)
            second = replace(it.order("true"), behind=first.attempt)
            assert (await it.run(second)).outcome is Outcome.SUCCEEDED

    asyncio.run(go())


def test_the_next_daemon_neither_loses_it_nor_starts_it_too_early(tmp_path: Path) -> None:
    async def go() -> None:
        async with place(tmp_path) as it:
            first, second = await launch(it, it.order(*LONG), it.order("sh", "-c", f"echo >> {tmp_path}/second"))
            await it.restart()
            it.engine.adopt(second)
            it.engine.adopt(first)
            [back] = await over(it, second)
            assert back == Returned(second.attempt, back.at, barred=True)
            await it.restart()  # and nobody has heard of that
            it.engine.adopt(first)
            it.engine.adopt(replace(second, behind=None))
            [back] = await over(it, second)
            assert back == Returned(second.attempt, back.at, barred=True)
            os.kill(rundir.holder(first.folder), signal.SIGTERM)
            await over(it, first)
            assert (await it.run(it.order("true"))).outcome is Outcome.SUCCEEDED
            assert not (tmp_path / "second").exists()

    asyncio.run(go())
