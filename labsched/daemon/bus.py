"""Who waits for something to change."""

import asyncio
import contextlib


class Bus:
    """`changed` wakes all who wait in `wait`; `revision` says how often it was called."""

    def __init__(self) -> None:
        self.revision = 1
        self._event = asyncio.Event()

    def changed(self) -> None:
        """Something that people can see is different now."""
        self.revision += 1
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, revision: int, seconds: float) -> None:
        """Return once there is another revision than this one, or after so many seconds."""
        if revision == self.revision:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._event.wait(), seconds)
