"""Wall time and the machine's boot, injected so that tests can step the one and change the other."""

from labsched import wall


class Clock:
    """The machine's own, unless the chaos suite says otherwise: see `labsched.wall`."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return wall.now()

    def boot_id(self) -> str:
        """What tells one boot of the machine from another."""
        return wall.boot_id()
