"""SIGHUP: somebody wants the configuration to be read again, or the terminal that we were started in is closed."""

import asyncio
import os
import signal
from collections.abc import Callable


class Hangups:
    """Catches SIGHUP from the beginning: what comes before we serve is not lost, and ends nothing."""

    def __init__(self) -> None:
        self._terminal = os.isatty(0)
        self._early = False
        signal.signal(signal.SIGHUP, self._remember)  # a handler: what is ignored, children would ignore, too

    def serve(self, reload: Callable[[], object], stop: Callable[[], object]) -> None:
        """From now on, call `reload` for each; or `stop`, where our terminal has gone."""

        def hangup() -> None:
            closed = self._terminal and not os.isatty(0)
            (stop if closed else reload)()

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup)
        if self._early:
            hangup()

    def _remember(self, _number: int, _frame: object) -> None:
        self._early = True
