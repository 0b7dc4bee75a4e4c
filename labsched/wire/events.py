"""Events, as they come from the daemon."""

from collections.abc import Iterator

import msgspec

from labsched import errors
from labsched.wire.client import OTHER_VERSION, Client
from labsched.wire.messages import Event


class Events:
    """Events, in their order. Iterating again, after an error, goes on with the one after the last."""

    def __init__(self, client: Client, follow: bool = False, **query: object) -> None:
        self.answers = 0  # how often the daemon has begun to send them
        self._client = client
        self._query = {**query, "follow": follow}

    def __iter__(self) -> Iterator[Event]:
        rest = b""
        for piece in self._client.stream("events", hear=lambda _: self._hear(), **self._query):  # type: ignore[arg-type]
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                try:
                    event = msgspec.json.decode(line, type=Event)
                except msgspec.DecodeError as error:
                    raise errors.LabschedError(OTHER_VERSION.format(error)) from None
                self._query["after"] = event.id
                self._query.pop("last", None)
                if isinstance(limit := self._query.get("limit"), int):
                    self._query["limit"] = limit - 1
                yield event

    def _hear(self) -> None:
        self.answers += 1
