"""Sending events, and following them: who goes on after the last one that they got misses none, and sees none twice."""

from collections.abc import AsyncIterator

import msgspec
import sqlalchemy as sa

from labsched.daemon.bus import Bus
from labsched.daemon.peers import Peer
from labsched.daemon.sight import event_data, shown_name
from labsched.daemon.views import moment
from labsched.store import events
from labsched.store.engine import Store
from labsched.store.events import Row
from labsched.wire.messages import Event

BLOCK = 500  # events that are read at a time: the rest of the daemon reads in between
ASK_AGAIN_S = 60.0


class Feed:
    """The events, as JSON lines."""

    def __init__(self, store: Store, bus: Bus, person: Peer, job: int | None = None) -> None:
        self.store = store
        self.bus = bus
        self.person = person  # who sees of others' jobs what `sight` says
        self.job = job

    async def lines(self, after: int, limit: int | None, follow: bool) -> AsyncIterator[bytes]:
        """All events after this one, at most `limit`; with `follow` also those that are still to come."""
        left = limit
        while left is None or left > 0:
            revision = self.bus.revision  # before the look: what is written from then on makes another
            found = await self.store.read(self._read, after, BLOCK if left is None else min(left, BLOCK))
            if found:
                after = found[-1].id
                left = None if left is None else left - len(found)
                yield b"".join(msgspec.json.encode(event) + b"\n" for event in found)
            elif follow:
                await self.bus.wait(revision, ASK_AGAIN_S)
            else:
                return

    def _read(self, connection: sa.Connection, after: int, count: int) -> list[Event]:
        return [self._event(row) for row in events.after(connection, after, count, self.job)]

    def _event(self, row: Row) -> Event:
        name, data = row.job, row.data
        if row.uid is not None:
            data = event_data(data, row.argv_head, row.uid, self.person)
            name = name if self.person.sees(row.uid) else shown_name(name, row.argv_head)
        return Event(
            id=row.id,
            at=moment(row.at),
            kind=row.kind,
            job=row.job_id,
            name=name,
            stage=row.stage,
            user=row.user,
            data=data,
        )
