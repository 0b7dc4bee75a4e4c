"""Putting the daemon together: one per state folder, on one socket, until it is told to stop."""

import asyncio
import contextlib
import gc
import hashlib
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from aiohttp import web

from labsched import __version__
from labsched.config import Config, load
from labsched.daemon import privileges
from labsched.daemon.alone import alone
from labsched.daemon.api import Api
from labsched.daemon.bus import Bus
from labsched.daemon.clock import Clock
from labsched.daemon.desk import Desk
from labsched.daemon.gate import Gate
from labsched.daemon.hangups import Hangups
from labsched.daemon.listening import BACKLOG, listening, passed
from labsched.daemon.loop import Loop
from labsched.daemon.notify import Notify
from labsched.daemon.opening import open_queue
from labsched.daemon.peers import Peers
from labsched.daemon.privileges import Mode
from labsched.daemon.protocol import protocols
from labsched.daemon.reload import Reload
from labsched.daemon.telling import Telling, quietly
from labsched.engines import gpu
from labsched.engines.local import Local
from labsched.errors import Refused, TryLater
from labsched.faults import point
from labsched.store import verbs
from labsched.store.engine import Store
from labsched.store.moves import record

log = logging.getLogger("labsched")
GOODBYE_S = 1.0  # for answers that are under way when the daemon stops
SWITCH_S = 0.0005


def run(state: Path, socket_path: Path, config_file: Path | None) -> int:
    """Serve until TERM or INT; stages go on without us. Returns the exit code, raises LabschedError at the start."""
    hangups = Hangups()
    config = load(config_file)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    notify, given = Notify(), passed()  # what they take out of the environment is for no child of ours
    mode = privileges.choose(config.daemon.shared_account)
    if lacking := privileges.lacking():
        log.warning("it serves its own user alone: to run others' stages it lacks %s", ", ".join(lacking))
    try:
        privileges.make_state(state, mode)
    except OSError as error:
        raise Refused(f"cannot write the state folder {state}: {error.strerror}; name another with --state") from None
    with alone(state), listening(socket_path, config, given) as listener:
        os.umask(0o077)  # whatever is made from now on holds what is somebody's
        notify.status("bringing the queue up to date")
        open_queue(state)
        asyncio.run(_serve(state, listener, config, config_file, notify, mode, hangups))
    return 0


async def _serve(
    state: Path,
    listener: socket.socket,
    config: Config,
    config_file: Path | None,
    notify: Notify,
    mode: Mode,
    hangups: Hangups,
) -> None:
    # The store's threads compute, too: a slot that has become free should not wait 5 ms for each turn of theirs.
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()  # the modules stay; what comes and goes from now on is looked through as the interpreter means it
    gc.set_threshold(700, 10, 10)
    clock = Clock()
    store = Store(state / "queue.db")
    loop = Loop(store, Bus(), clock, state / "attempts")
    engine = Local(
        loop.tell,
        boot_id=clock.boot_id(),
        grace=config.daemon.stop_grace,
        nice=config.daemon.nice,
        as_submitter=mode is Mode.EACH,
        umask=0o022 if mode is Mode.SHARED else None,  # what a shared account writes is for all
        limits={resource.RLIMIT_NOFILE: privileges.more_descriptors()},
        log_size=config.limits.log_size,
        name=f"labsched-{hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:8]}",
    )
    loop.engine = engine
    desk = Desk(loop, config, config_file, state, Peers(mode, config.daemon.admin_group))
    telling = Telling(desk)
    reload = Reload(desk, notify, telling.poke)
    gate = Gate(lambda: desk.config.limits.connections_per_user, lambda: desk.config.limits.patience)
    api = Api(desk, reload, telling, gate.asked)
    runner = web.AppRunner(api.application(), handle_signals=False, shutdown_timeout=GOODBYE_S)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    told: list[asyncio.Task[None]] = []
    try:
        await store.write(verbs.declare_pools, default_pools() | config.pools, clock.now())
        await store.write(verbs.configure_pools, config.pools, clock.now(), None)
        await store.write(record, "daemon.started", clock.now(), data={"version": __version__, "pid": os.getpid()})
        await reload.lab_at_start()
        await engine.open()
        await loop.adopt()
        turns = asyncio.create_task(loop.run())
        await runner.setup()
        assert runner.server is not None
        gate.server = protocols(runner.server)
        server = await asyncio.get_running_loop().create_server(gate, sock=listener, backlog=BACKLOG)
        log.info("labsched %s, process %s: state in %s, on %s", __version__, os.getpid(), state, listener.getsockname())
        notify.ready(f"labsched {__version__}")
        hangups.serve(lambda: asyncio.ensure_future(reload.hangup()), stop.set)
        beside = [notify.keep_alive(store), notify.follow(loop), api.pruning.daily(), quietly(telling.run())]
        told = [asyncio.create_task(work) for work in beside]
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({turns, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if turns.done():
            turns.result()  # it never ends by itself: say what went wrong
        notify.stopping()
        log.info("stopping; what runs goes on, and is found again at the next start")
        loop.draining = True
        loop.bus.changed()
        server.close()
        desk.cut_off()
        await runner.cleanup()
        turns.cancel()
        await asyncio.gather(turns, return_exceptions=True)
        point("daemon.draining")
        await loop.last()  # what was heard last is recorded, and nothing more is started
        with contextlib.suppress(TryLater):  # a full disk
            await store.write(record, "daemon.stopped", clock.now(), data={"pid": os.getpid()})
    finally:
        for task in told:
            task.cancel()
        await engine.close()
        store.close()


def default_pools() -> dict[str, int]:
    """RAM for de-noising, CPU for as many stages as there are processors, GPU for as many as there are GPUs."""
    return {"RAM": 2, "CPU": len(os.sched_getaffinity(0)), "GPU": gpu.count()}
