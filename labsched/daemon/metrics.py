"""Figures for Prometheus: GET metrics, in its text format 0.0.4.

They cost the same however long the queue is: what is counted is what the database keeps count of. Nothing in them is
somebody's: no names of people or jobs.
"""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa
from aiohttp import web

from labsched import __version__
from labsched.core.states import Outcome, State
from labsched.daemon import views
from labsched.daemon.desk import PERSON, Desk
from labsched.store import backup, lines, waits
from labsched.wire.messages import Pool

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = Mapping[str, str]


@dataclass(slots=True)
class Metric:
    """A name, what it is, and its figures; a summary's are its sum and its count."""

    name: str
    kind: Literal["gauge", "counter", "summary"]
    text: str
    values: list[tuple[str, Labels, float]] = field(default_factory=list)

    def add(self, value: float, part: str = "", **labels: str) -> "Metric":
        self.values.append((part, labels, value))
        return self

    def lines(self) -> list[str]:
        """As Prometheus reads them."""
        head = [f"# HELP {self.name} {_escape(self.text)}", f"# TYPE {self.name} {self.kind}"]
        return head + [f"{self.name}{part}{_labels(labels)} {float(value)!r}" for part, labels, value in self.values]


class Metrics:
    """Its handler."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._waits = waits.Waits()

    async def metrics(self, request: web.Request) -> web.Response:
        """GET metrics"""
        found = [*await self.desk.ask(request[PERSON], self._queue), *self._daemon()]
        text = "".join(f"{line}\n" for metric in found for line in metric.lines())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    def _queue(self, connection: sa.Connection) -> list[Metric]:
        now = self.desk.loop.clock.now()
        stages = Metric("labsched_stages", "gauge", "Stages in the queue, by state and outcome")
        for state, count in waits.states(connection).items():
            stages.add(count, state=state, outcome="")
        over = waits.ended(connection)
        for outcome in Outcome:
            stages.add(over.get(outcome, 0), state=State.ENDED.value, outcome=outcome.value)
        count, seconds = self._waits.so_far(connection)
        waited = Metric(
            *("labsched_stage_wait_seconds", "summary"),
            "Time from when a stage was queued, or all that it comes after had ended, until its first attempt, "
            "since the daemon was first asked for this",
        )
        return [
            *_pools(views.pools(connection, lines.snapshot(connection)), waits.oldest(connection, now)),
            stages,
            Metric("labsched_jobs_live", "gauge", "Jobs that have not ended").add(waits.live_jobs(connection)),
            waited.add(seconds, "_sum").add(count, "_count"),
            Metric("labsched_events_total", "counter", "Events in the queue's history, those that were pruned included")
            .add(waits.events(connection)),
        ]  # fmt: skip

    def _daemon(self) -> Iterable[Metric]:
        yield Metric("labsched_info", "gauge", "The version that runs").add(1, version=__version__)
        yield Metric("labsched_uptime_seconds", "gauge", "Time since the daemon's start").add(
            time.monotonic() - self.desk.since
        )
        yield Metric("labsched_troubles", "gauge", "Troubles of the daemon itself, as labsched status names them").add(
            len(self.desk.troubles())
        )
        yield Metric("labsched_daemon_resident_memory_bytes", "gauge", "Memory that the daemon has").add(_resident())
        yield Metric("labsched_daemon_cpu_seconds_total", "counter", "Processor time that the daemon has taken").add(
            time.process_time()
        )
        sizes = Metric("labsched_database_size_bytes", "gauge", "Size of the queue's files")
        for name, suffix in (("queue", ""), ("wal", "-wal")):
            sizes.add(_size(f"{self.desk.state / backup.QUEUE}{suffix}"), file=name)
        yield sizes


def _pools(pools: Iterable[Pool], oldest: Mapping[str, float]) -> list[Metric]:
    slots = Metric("labsched_pool_slots", "gauge", "Slots of a pool")
    used = Metric("labsched_pool_used", "gauge", "Slots of a pool that are used")
    paused = Metric("labsched_pool_paused", "gauge", "Whether a pool is paused")
    waiting = Metric("labsched_pool_waiting", "gauge", "Stages that wait for nothing but room in the pool")
    longest = Metric(
        "labsched_pool_oldest_seconds", "gauge", "Time since the oldest job was queued that waits for room in the pool"
    )
    for pool in pools:
        slots.add(pool.slots, pool=pool.name)
        used.add(pool.used, pool=pool.name)
        paused.add(pool.paused_by is not None, pool=pool.name)
        waiting.add(pool.waiting, pool=pool.name)
        longest.add(oldest.get(pool.name, 0.0), pool=pool.name)
    return [slots, used, paused, waiting, longest]


def _resident() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _size(path: str) -> int:
    with suppress(FileNotFoundError):
        return os.stat(path).st_size
    return 0


def _labels(labels: Labels) -> str:
    said = ",".join(f'{name}="{_escape(value, quotes=True)}"' for name, value in labels.items())
    return f"{{{said}}}" if said else ""


def _escape(text: str, quotes: bool = False) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quotes else escaped
