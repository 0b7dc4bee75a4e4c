import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from labsched.daemon.notify import Notify
from labsched.store.engine import Store
from labsched.wire.messages import Daemon
from tests.install.services import ear, service
from tests.worlds import command, eventually, new_state


@pytest.mark.parametrize("abstract", [False, True], ids=["a path", "an abstract name"])
def test_systemd_is_told_when_the_daemon_answers_how_things_are_and_when_it_stops(folder: Path, abstract: bool) -> None:
    name = f"@labsched-{os.getpid()}" if abstract else str(folder / "notify")
    with ear(name) as said, service(env={"NOTIFY_SOCKET": name}) as it:
        said.until("READY=1")
        it.submit(command("sleep", "60"))
        it.submit(command("env", hold=True))
        said.until("STATUS=1 running, 1 waiting")
        assert "STOPPING=1" not in said.heard
        assert it.stop() == 0
        said.until("STOPPING=1")
        assert said.heard.count("READY=1") == 1
        assert "WATCHDOG=1" not in said.heard  # nobody waits for signs of life


def test_no_stage_can_speak_for_the_daemon(folder: Path) -> None:
    name = str(folder / "notify")
    with ear(name) as said, service(env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000"}) as it:
        said.until("READY=1")
        children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text().split()
        (job,) = it.submit(command("env"))
        assert it.wait(job)[0].state == "ended"
        assert children
        for seen in (it.read_log(job), *(Path(f"/proc/{pid}/environ").read_text() for pid in children)):
            assert "NOTIFY_SOCKET" not in seen
            assert "WATCHDOG_USEC" not in seen


def test_signs_of_life_come_at_half_the_time_that_the_watchdog_waits(folder: Path) -> None:
    name = str(folder / "notify")
    with ear(name) as said, service(env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "600000"}):
        said.until("WATCHDOG=1")
        begun, before = time.monotonic(), said.listen().count("WATCHDOG=1")
        eventually(lambda: said.listen().count("WATCHDOG=1") >= before + 5)
        assert 1.0 < time.monotonic() - begun < 6.0


def test_a_watchdog_of_another_process_is_none_of_ours(folder: Path) -> None:
    name = str(folder / "notify")
    env = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    with ear(name) as said, service(env=env) as it:
        said.until("STATUS=0 running")
        it.stop()
        assert "WATCHDOG=1" not in said.listen()


def test_no_sign_of_life_while_the_writer_of_the_queue_hangs_and_again_afterwards(folder: Path) -> None:
    name = str(folder / "notify")
    with ear(name) as said, service(env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "200000"}) as it:
        said.until("WATCHDOG=1")
        with closing(sqlite3.connect(it.folder / "state/queue.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # the writer waits for its end
            before = said.listen().count("WATCHDOG=1")
            quiet_since = time.monotonic()
            eventually(lambda: time.monotonic() > quiet_since + 1.0)  # ten times half the watchdog's time
            assert said.listen().count("WATCHDOG=1") <= before + 1
            it.client.get("daemon", Daemon)  # the event loop turns all the while
            other.execute("COMMIT")
        before = said.listen().count("WATCHDOG=1")
        eventually(lambda: said.listen().count("WATCHDOG=1") > before)


def test_no_sign_of_life_once_the_event_loop_hangs(folder: Path) -> None:
    new_state(folder / "state")
    name = str(folder / "notify")
    with ear(name) as said:

        async def live_then_hang() -> int:
            store = Store(folder / "state/queue.db")
            notify = Notify({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000"})
            task = asyncio.create_task(notify.keep_alive(store))
            while said.listen().count("WATCHDOG=1") < 3:
                await asyncio.sleep(0.01)
            before = said.listen().count("WATCHDOG=1")
            threading.Event().wait(0.3)  # fifteen times the watchdog's time
            hung = said.listen().count("WATCHDOG=1") - before
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            store.close()
            notify.close()
            return hung

        assert asyncio.run(live_then_hang()) == 0


def test_nobody_who_listens_is_no_reason_to_stop(folder: Path) -> None:
    for name in (str(folder / "gone"), "@labsched-nobody", "vsock:2:1234"):
        with service(env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"}) as it:
            (job,) = it.submit(command("true"))
            assert it.wait(job)[0].state == "ended"


def test_a_reload_is_told_and_so_is_its_end(folder: Path) -> None:
    with ear(str(folder / "n")) as said:
        notify = Notify({"NOTIFY_SOCKET": str(folder / "n")})
        with pytest.raises(ValueError), notify.reloading():  # also one that fails
            raise ValueError
        notify.close()
        said.until("READY=1")
        assert said.heard[0] == "RELOADING=1"
        assert int(said.heard[1].removeprefix("MONOTONIC_USEC=")) > 0
