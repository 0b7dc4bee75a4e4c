"""A daemon started as systemd starts one: with somebody who listens to what it says, and on a socket that is there."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.worlds import QUICK, World, eventually, new_state, world


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip where this program is not installed."""
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


@dataclass
class Ear:
    """The end of a NOTIFY_SOCKET that a service manager has."""

    socket: socket.socket
    heard: list[str] = field(default_factory=list)

    def listen(self) -> list[str]:
        """All that was said so far, one assignment each."""
        while True:
            try:
                self.heard += self.socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.heard

    def until(self, start: str, seconds: float = 20.0) -> str:
        """Wait for an assignment that begins so, and return it."""
        eventually(lambda: any(word.startswith(start) for word in self.listen()), seconds)
        return next(word for word in self.heard if word.startswith(start))


@contextmanager
def ear(name: str) -> Iterator[Ear]:
    """A socket that a daemon may be told of: a path, or an abstract name that begins with @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name[1:] if name.startswith("@") else name)
        end.setblocking(False)
        yield Ear(end)


@dataclass
class Service(World):
    """A world whose daemon has more in its environment, and a program before its command line."""

    env: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()

    def start(self) -> None:
        self.launch()
        eventually(self._answers)

    def launch(self) -> None:
        """Start the daemon; do not wait for it."""
        (self.folder / "config.toml").write_text(self.config)
        new_state(self.folder / "state")
        words = [
            *self.before,
            sys.executable,
            "-m",
            "labsched",
            "daemon",
            "--state",
            "state",
            "--config",
            "config.toml",
        ]
        words += [] if self.before else ["--socket", "s"]
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                words, cwd=self.folder, env=os.environ | self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


def service(*before: str, env: dict[str, str] | None = None, config: str = QUICK) -> AbstractContextManager[Service]:
    """A world with a daemon behind the words `before`, and with `env` in its environment."""
    return world(config, partial(Service, env=env or {}, before=before))  # type: ignore[arg-type]
