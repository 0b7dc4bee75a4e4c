"""Changes: what people do to jobs and pools."""

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec
import sqlalchemy as sa
from aiohttp import web

from labsched.core.model import Limits, Pool
from labsched.daemon import intake
from labsched.daemon.desk import MAX_STAGES, PERSON, Desk, not_too_many, reply
from labsched.daemon.peers import Peer, may_rank, may_submit, may_touch, session_limits, user_name
from labsched.daemon.sight import find_all
from labsched.errors import BadRequest, Forbidden, NotFound, TryLater
from labsched.faults import point
from labsched.store import lines, read, verbs
from labsched.store.edit import Edit, edit
from labsched.store.limits import few_kinds, room
from labsched.store.prepared import Row
from labsched.store.ready import Ready
from labsched.store.submit import insert
from labsched.wire import messages as wire
from labsched.wire import requests

MAX_REFS = 10_000  # jobs of one verb
MAX_RETRIES = 2_000  # jobs of one retry, each of which is looked at by itself
MINE = 2_000  # of one's own at a time: nobody else's are touched meanwhile
FEW = 32  # jobs of a submit that the thread that writes makes ready itself


class Changes:
    """The handlers of POST."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def submit(self, request: web.Request) -> web.Response:
        """POST jobs"""
        async with self.desk.body(request, intake.Body) as asked:
            limits = None if request.transport is None else session_limits(request.transport.get_extra_info("socket"))
            response = reply(await self._submit(asked, request[PERSON], limits), 201)
            await self.desk.send(request, response)
            return response

    async def _submit(self, asked: intake.Body, person: Peer, limits: Limits | None) -> wire.Submitted:
        may_submit(person, self.desk.peers.mode)
        most = self.desk.config.limits.queued_jobs_per_user

        def take(pools: Mapping[str, Pool]) -> list[Ready]:
            jobs = intake.take(asked, pools, self.desk.loop.shares(), MAX_STAGES)
            for job in jobs:
                may_rank(person, job.name, job.priority, self.desk.config.limits.priority)
            return jobs

        many = None
        if len(asked.jobs) > FEW:  # nobody can write meanwhile, so as much as can be is done before
            many = await asyncio.to_thread(take, await self.desk.store.read(lines.all_pools))

        def work(connection: sa.Connection) -> tuple[list[Ready], list[int]]:
            room(connection, person.uid, len(asked.jobs), most)
            jobs = take(lines.all_pools(connection)) if many is None else many
            numbers = insert(connection, jobs, person.name, person.uid, self.desk.loop.clock.now(), limits)
            few_kinds(connection, person.uid)
            return jobs, numbers

        jobs, numbers = await self.desk.change(work)
        point("submit.committed", numbers)
        return wire.Submitted(tuple(wire.Ref(n, job.name) for n, job in zip(numbers, jobs, strict=True)))

    async def verb(self, request: web.Request) -> web.Response:
        """POST jobs/VERB"""
        person = request[PERSON]
        async with self.desk.body(request, requests.Verb) as asked:
            numbers, stopping, more = await self._verb(request.match_info["verb"], asked, person)
        point("cancel.committed" if stopping else "verb.committed", numbers)
        assert self.desk.loop.engine is not None
        for attempt in stopping:
            self.desk.loop.engine.stop(attempt)
        if stopping:
            point("cancel.signalled", numbers)
            await self._all_ended(numbers, person)

        async def touched() -> wire.Jobs:
            return wire.Jobs(await self.desk.many_rows(numbers, person), more)

        return await self.desk.answer_with(request, touched())

    async def _verb(self, what: str, asked: requests.Verb, person: Peer) -> tuple[list[int], list[int], bool]:
        """Do it; returns the jobs that were meant, the attempts that are to be stopped, and whether there are more."""
        now = self.desk.loop.clock.now()
        # A job's end or return may end or bring back those after it, which are younger: nobody asked for it twice.
        verb: dict[str, Callable[[sa.Connection, list[int]], list[int] | None]] = {
            "cancel": lambda c, jobs: verbs.cancel(c, jobs[::-1], now, person.name, asked.reason),
            "retry": lambda c, jobs: self._retry(c, jobs, now, person, asked.from_stage),
            "hold": lambda c, jobs: verbs.hold(c, jobs, now, person.name),
            "release": lambda c, jobs: verbs.release(c, jobs, now, person.name),
        }
        if what not in verb:
            raise NotFound(f"there is no verb {what}; known are {', '.join(verb)}")
        _check(what, asked)

        def work(connection: sa.Connection) -> tuple[list[int], list[int], bool]:
            if asked.mine:
                every = read.mine(connection, person.uid, what, waiting=asked.waiting, limit=MINE)
                numbers = read.at_most(connection, every, MAX_STAGES // 2)
                more = len(numbers) < len(every) or len(every) == MINE
            else:
                found, more = find_all(connection, asked.jobs, person), False
                for job in found:
                    may_touch(person, job.uid, f"job {job.id}")
                numbers = [job.id for job in found]
            not_too_many(connection, numbers)
            stops = set(verb[what](connection, sorted(numbers)) or ())
            return numbers, [row.id for row in read.open_rows(connection) if row.stage_id in stops], more

        return await self.desk.change(work)

    def _retry(
        self, connection: sa.Connection, jobs: list[int], now: float, person: Peer, from_stage: str | None
    ) -> None:
        rows = read.brief(connection, jobs)
        ended = [row for row in rows if row.ended_at is not None]
        self._room(connection, ended, person)
        had_ended = {row.id for row in ended}
        for number in jobs:
            if number not in had_ended or verbs.has_ended(connection, number):
                verbs.retry(connection, number, now, person.name, from_stage)
        for uid in {row.uid for row in rows}:
            few_kinds(connection, uid)

    def _room(self, connection: sa.Connection, ended: list[Row], person: Peer) -> None:
        """Raise Refused where the owners of these jobs would have too many if they came back."""
        for uid in {job.uid for job in ended}:
            more = len({job.id for job in ended if job.uid == uid})
            who = "you" if uid == person.uid else user_name(uid)
            room(connection, uid, more, self.desk.config.limits.queued_jobs_per_user, who)

    async def edit(self, request: web.Request) -> web.Response:
        """POST jobs/edit"""
        person = request[PERSON]
        async with self.desk.body(request, requests.Edit) as asked:
            numbers = await self._edit(asked, person)

        async def touched() -> wire.Jobs:
            return wire.Jobs(await self.desk.many_rows(numbers, person))

        return await self.desk.answer_with(request, touched())

    async def _edit(self, asked: requests.Edit, person: Peer) -> list[int]:
        said = msgspec.structs.asdict(asked)
        refs = said.pop("jobs")
        if not refs or all(value is None for value in said.values()):
            raise BadRequest("change which jobs, and what of them?")
        if len(refs) > MAX_RETRIES:
            raise BadRequest(f"edit at most {MAX_RETRIES} jobs at a time")
        now = self.desk.loop.clock.now()

        def work(connection: sa.Connection) -> list[int]:
            found = find_all(connection, refs, person)
            for job in found:
                may_touch(person, job.uid, f"job {job.id}")
                if asked.priority is not None:
                    may_rank(person, f"job {job.id}", asked.priority, self.desk.config.limits.priority)
                edit(connection, job.id, Edit(**said), now, person.name, self.desk.loop.shares())
            for uid in {job.uid for job in found}:
                few_kinds(connection, uid)
            return [job.id for job in found]

        return await self.desk.change(work)

    async def set_pool(self, request: web.Request) -> web.Response:
        """POST pools/NAME"""
        person = request[PERSON]
        async with self.desk.body(request, requests.PoolSet) as asked:
            await self._set_pool(request.match_info["name"], asked, person)
        return await self.desk.answer(request, self.desk.pools)

    async def _set_pool(self, name: str, asked: requests.PoolSet, person: Peer) -> None:
        if not person.admin:
            raise Forbidden("pools belong to everybody: ask an admin")
        if asked.slots is not None and not 0 <= asked.slots <= 1_000_000:
            raise BadRequest(f"a pool cannot have {asked.slots} slots")
        await self.desk.change(
            lambda c: verbs.set_pool(c, name, self.desk.loop.clock.now(), person.name, asked.slots, asked.paused)
        )
        point("pool.committed", name)

    async def _all_ended(self, numbers: list[int], person: Peer) -> None:
        """Until these jobs have ended, so that a cancel's answer is true; or until it takes unheard-of long."""
        end = time.monotonic() + self.desk.config.daemon.stop_grace + 20
        while True:
            revision = self.desk.loop.bus.revision
            known = await self.desk.ask(person, read.known, numbers)
            left = end - time.monotonic()
            if all(known.values()):
                return
            if left <= 0:
                live = ", ".join(str(job) for job, ended in known.items() if not ended)
                raise TryLater(f"job {live} is asked to stop, but has not yet: its processes are stuck in the kernel")
            await self.desk.loop.bus.wait(revision, left)


def _check(what: str, asked: requests.Verb) -> None:
    """Raise BadRequest where a verb cannot mean what is asked."""
    if asked.mine or asked.waiting:
        if asked.jobs or what == "retry" or not asked.mine:
            raise BadRequest(f"{what} which jobs? name them, or (but for a retry) all of yours: mine, and waiting")
        return
    most = MAX_RETRIES if what == "retry" else MAX_REFS
    if not asked.jobs:
        raise BadRequest(f"{what} which jobs?")
    if len(asked.jobs) > most:
        raise BadRequest(f"{what} at most {most} jobs at a time")
