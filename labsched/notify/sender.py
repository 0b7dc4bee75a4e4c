"""The process that sends: it reads letters on its stdin, sends each, writes a receipt a line, and ends.

apprise and all that it imports (dozens of megabytes) are here, and never in the daemon. It runs as the person whose
letters these are.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from labsched.notify import address
from labsched.notify.message import Hooked, Letter, Receipt

AT_ONCE = 4
COMMAND_S = 60.0
WORDS = 300
_lock = threading.Lock()
_one = threading.Lock()  # apprise's log does not say which of several messages it speaks of


def read() -> list[Letter]:
    """The letters, once all is loaded that it takes to send them."""
    letters = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Letter])
    if any(letter.url is not None for letter in letters):
        import apprise

        apprise.Apprise.instantiate("json://localhost")  # it loads its services when the first is asked for
    return letters


def deliver(letters: Sequence[Letter]) -> None:
    """Send them."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(_deliver, letters))


def _deliver(letter: Letter) -> None:
    try:
        why = _send(letter)
    except Exception as error:  # a defect of a service's module: the others are sent all the same
        why = f"{type(error).__name__}: {error}"
    if why is not None and letter.url is not None:
        why = address.scrub(why, letter.url)
    if why is not None:
        why = " ".join("".join(c if c.isprintable() else " " for c in why).split())[:WORDS]
    receipt = msgspec.json.encode(Receipt(letter.target, why)) + b"\n"
    with _lock:
        os.write(1, receipt)


def _send(letter: Letter) -> str | None:
    """Send it; returns why that could not be done."""
    if letter.command is not None:
        return _run(letter.command, letter)
    with _one:
        return _apprise(letter)


def _apprise(letter: Letter) -> str | None:
    import apprise

    heard = _Heard()
    log = logging.getLogger("apprise")
    log.addHandler(heard)
    log.propagate = False
    try:
        asset = apprise.AppriseAsset(app_id="labsched", app_desc="labsched", async_mode=False, secure_logging=True)
        service = apprise.Apprise.instantiate(letter.url or "", asset=asset, suppress_exceptions=True)
        if service is None:
            return heard.said or "apprise knows no such service, or something is missing in the URL"
        if letter.check:
            return None
        service.overflow_mode = apprise.OverflowMode.TRUNCATE
        outbox = apprise.Apprise(asset=asset)
        outbox.add(service)
        done = outbox.notify(title=letter.title, body=letter.body, body_format=apprise.NotifyFormat.TEXT)
        return None if done else heard.said or "it could not be sent"
    finally:
        log.removeHandler(heard)


class _Heard(logging.Handler):
    """What apprise's log says."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            self._words.append(record.getMessage())

    @property
    def said(self) -> str:
        return "; ".join(self._words[:3])


def _run(command: Sequence[str], letter: Letter) -> str | None:
    """Run a person's command with the message as JSON on its stdin; returns why it did not work."""
    if letter.check:
        return None
    words = msgspec.json.encode(Hooked(letter.title, letter.body, letter.host, letter.things))
    with os.fdopen(os.memfd_create("stderr"), "w+b") as errors, os.fdopen(os.memfd_create("in"), "w+b") as message:
        message.write(words)
        message.seek(0)
        env = {**os.environ, "LABSCHED_TITLE": letter.title}
        try:
            # A session of its own, so that all of it can be ended.
            process = subprocess.Popen(
                command, stdin=message, stdout=subprocess.DEVNULL, stderr=errors, env=env, start_new_session=True
            )
        except OSError as error:
            return f"the command {command[0]} cannot be run: {error.strerror}"
        try:
            code = process.wait(COMMAND_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"the command {command[0]} was not done within {COMMAND_S:g} s, and was ended"
        if code == 0:
            return None
        errors.seek(0)
        said = errors.read(65_536).decode(errors="replace").strip().splitlines()
        return f"the command {command[0]} ended with exit code {code}" + (f": {said[-1]}" if said else "")
