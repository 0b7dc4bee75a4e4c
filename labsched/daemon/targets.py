"""Where people are told: adding, listing, removing and trying targets. Each touches their own; an admin everybody's."""

import asyncio
import json
import os
import secrets
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from aiohttp import web

from labsched.daemon import letters
from labsched.daemon.desk import PERSON, Desk, flag, reply
from labsched.daemon.peers import Peer, may_submit, user_name
from labsched.daemon.privileges import Mode
from labsched.daemon.telling import Telling
from labsched.daemon.views import moment
from labsched.errors import BadRequest, Forbidden, NotFound, TryLater
from labsched.notify import address
from labsched.notify.kinds import kinds
from labsched.notify.message import Letter
from labsched.store import targets
from labsched.store.outbox import Row
from labsched.wire import messages as wire
from labsched.wire import requests

MONTH_S = 31 * 86_400.0
WORDS = 65_536  # characters of a command
AT_ONCE = 2  # tries


class Targets:
    """The handlers of notify."""

    def __init__(self, desk: Desk, telling: Telling) -> None:
        self.desk = desk
        self.telling = telling
        self._trying = asyncio.Semaphore(AT_ONCE)

    async def every(self, request: web.Request) -> web.Response:
        """GET notify"""
        person = request[PERSON]
        all_of_them = flag(request, "all")
        if all_of_them and not person.admin:
            raise Forbidden("who is told where is everybody's own: ask an admin, or leave out all=1")
        found = await self.desk.ask(person, targets.of, None if all_of_them else person.uid)
        return reply(wire.Targets(tuple(_target(row, waiting) for row, waiting in found)))

    async def add(self, request: web.Request) -> web.Response:
        """POST notify/add"""
        person = request[PERSON]
        async with self.desk.body(request, requests.NotifyAdd) as asked:
            values = self._checked(asked, person)
        wanted = SimpleNamespace(id=0, lab=None, **values)
        if asked.url is not None:
            letter = Letter(target=0, url=asked.url, check=True)
            if why := (await self._try(person, wanted, [letter]))[0]:
                raise BadRequest(f"{address.shown(asked.url)} cannot be sent to: {why}")
        number = await self.desk.store.write(targets.add, values)
        self.telling.poke()
        return reply(wire.Targets((await self._one(number),)), 201)

    async def remove(self, request: web.Request) -> web.Response:
        """POST notify/remove"""
        person = request[PERSON]
        async with self.desk.body(request, requests.NotifyPick) as asked:
            pass

        def work(connection: sa.Connection) -> list[Row]:
            rows = _mine(connection, asked.ids, person)
            for row in rows:
                if row.lab is not None:
                    raise Forbidden(
                        f"target {row.id} is the lab's: take it out of the file that [notify] targets names"
                    )
            targets.remove(connection, asked.ids)
            return rows

        gone = await self.desk.store.write(work)
        self.telling.poke()
        return reply(wire.Targets(tuple(_target(row, 0) for row in gone)))

    async def test(self, request: web.Request) -> web.Response:
        """POST notify/test"""
        person = request[PERSON]
        async with self.desk.body(request, requests.NotifyPick) as asked:
            pass

        def look(connection: sa.Connection) -> list[Row]:
            if asked.ids:
                return _mine(connection, asked.ids, person)
            own = [row for row, _ in targets.of(connection, person.uid) if row.lab is None]
            if not own:
                raise NotFound("you have no target to try: labsched notify add URL")
            return own

        rows = await self.desk.ask(person, look)
        host = os.uname().nodename
        title, body = f"labsched on {host}: a test", f"{person.name} asked for this message: it works."
        said: dict[int, str | None] = {}
        for account in {self.telling.account(row) for row in rows}:
            ours = [row for row in rows if self.telling.account(row) == account]
            said |= await self._try(person, ours[0], [letters.addressed(row, title, body, host) for row in ours])
        return reply(wire.Tries(tuple(wire.Tried(id=row.id, shown=_shown(row), why=said[row.id]) for row in rows)))

    def _checked(self, asked: requests.NotifyAdd, person: Peer) -> dict[str, Any]:
        """What is stored of it; raises BadRequest or Forbidden."""
        if (asked.url is None) == (asked.command is None):
            raise BadRequest("told where? give a url, or a command, and not both")
        may_submit(person, self.desk.peers.mode)
        if asked.url is not None and (wrong := address.wrong(asked.url)):
            raise BadRequest(f"the URL is not understood: {wrong}")
        if asked.command is not None:
            self._may_run(asked.command, person)
        if asked.digest is not None and not 0 <= asked.digest <= MONTH_S:
            raise BadRequest("digest is a number of seconds, of a month at most")
        try:
            wanted = kinds(asked.on)
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return {
            "uid": person.uid,
            "user": person.name,
            "kind": "url" if asked.command is None else "command",
            "address": asked.url if asked.command is None else json.dumps(asked.command),
            "kinds": wanted,
            "digest": asked.digest,
            "log": True,
            "added_at": self.desk.loop.clock.now(),
        }

    def _may_run(self, command: tuple[str, ...], person: Peer) -> None:
        if not command or not command[0] or any("\0" in word for word in command):
            raise BadRequest("the command has no first word, or a NUL character in it")
        if sum(map(len, command)) > WORDS:
            raise BadRequest(f"the command has more than {WORDS} characters: put it into a script")
        if self.desk.peers.mode is not Mode.EACH and person.uid != os.geteuid():
            raise Forbidden(
                f"this daemon cannot change user, so it runs commands of {user_name(os.geteuid())} alone: give it a URL"
            )

    async def _try(self, person: Peer, target: Any, written: list[Letter]) -> dict[int, str | None]:
        """Have these sent now; returns why not, by target."""
        if self._trying.locked():
            raise TryLater("others try theirs at the moment: do it again in a few seconds")
        async with self._trying:
            name = f"try-{secrets.token_hex(8)}"
            try:
                return await self.telling.postman.send(name, written, self.telling.account(target))
            except OSError as error:
                raise TryLater(f"no process could be started for it: {error.strerror}") from None
            finally:
                self.telling.postman.throw_away(name)

    async def _one(self, number: int) -> wire.Target:
        [row] = await self.desk.store.read(targets.find, [number])
        return _target(row, 0)


def _mine(connection: sa.Connection, ids: tuple[int, ...], person: Peer) -> list[Row]:
    """These targets, if they are this person's to touch; raises NotFound or Forbidden."""
    if not ids:
        raise BadRequest("which targets? labsched notify list has their numbers")
    rows = targets.find(connection, ids)
    for row in rows:
        if row.lab is not None and not person.admin:
            raise Forbidden(f"target {row.id} is the lab's: ask an admin")
        if not person.sees(row.uid):
            raise NotFound(f"there is no target {row.id}: labsched notify list")
    return rows


def _shown(row: Row) -> str:
    """The address, without what is secret: of a command, only the program."""
    if row.kind == "url":
        return address.shown(row.address)
    command = json.loads(row.address)
    return f"command {command[0]}" + (" …" if len(command) > 1 else "")


def _target(row: Row, waiting: int) -> wire.Target:
    return wire.Target(
        id=row.id,
        user=row.user,
        lab=row.lab,
        shown=_shown(row),
        on=tuple(row.kinds),
        digest=row.digest,
        waiting=waiting,
        next=moment(row.due) if row.due is not None and waiting and row.due < _FAR else None,
        sent=moment(row.sent_at) if row.sent_at else None,
        trouble=row.trouble,
    )


_FAR = 1e11  # seconds: of a target that is being written to
