"""Figures for Prometheus: its own parser understands them, and they are those of the queue."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labsched.wire.client import Headers
from labsched.wire.messages import Pools
from labsched.wire.requests import PoolSet
from tests.worlds import QUICK, World, command, eventually, world

parser = pytest.importorskip("prometheus_client.parser")
Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def it() -> Iterator[World]:
    with world(QUICK + '[pools]\nCPU = 2\n"OD.D-1" = 3\n') as made:
        yield made


def read(text: str) -> Figures:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def figures(it: World) -> Figures:
    heard: list[Headers] = []
    text = b"".join(it.client.stream("metrics", timeout=30, hear=heard.append)).decode()
    assert heard[0]["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    for family in parser.text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("gauge", "counter", "summary")
        assert f"# HELP {family.name}" in text or f"# HELP {family.name}_total" in text
    return read(text)


def test_the_figures_are_those_of_the_queue(it: World) -> None:
    before = figures(it)
    good, bad = it.submit(command("true"), command("false"))
    it.wait(good, bad)
    it.submit(*(command("sleep", "60") for _ in range(2)))
    it.submit(*(command("true", name=f"w{n}") for n in range(5)))
    it.submit(command("true", hold=True))
    it.client.post("pools/GPU", PoolSet(paused=True), Pools)
    eventually(lambda: figures(it)["labsched_pool_used", (("pool", "CPU"),)] == 2)
    now = figures(it)

    def grew(name: str, **labels: str) -> float:
        key = name, tuple(sorted(labels.items()))
        return now[key] - before[key]

    assert now["labsched_pool_slots", (("pool", "OD.D-1"),)] == 3
    assert now["labsched_pool_slots", (("pool", "CPU"),)] == 2
    assert now["labsched_pool_waiting", (("pool", "CPU"),)] == 5
    assert now["labsched_pool_oldest_seconds", (("pool", "CPU"),)] > 0
    assert now["labsched_pool_paused", (("pool", "GPU"),)] == 1
    assert grew("labsched_stages", state="ended", outcome="succeeded") == 1
    assert grew("labsched_stages", state="ended", outcome="failed") == 1
    running = [now["labsched_stages", (("outcome", ""), ("state", state))] for state in ("starting", "running")]
    assert sum(running) == 2
    assert now["labsched_stages", (("outcome", ""), ("state", "waiting"))] == 6
    assert now["labsched_jobs_live", ()] == 8
    assert grew("labsched_events_total") >= 10
    assert grew("labsched_stage_wait_seconds_count") == 4
    assert 0 <= grew("labsched_stage_wait_seconds_sum") < 60
    assert 0 < now["labsched_uptime_seconds", ()] < 3600
    assert 10e6 < now["labsched_daemon_resident_memory_bytes", ()] < 1e9
    assert 0 < now["labsched_daemon_cpu_seconds_total", ()] < 3600
    assert now["labsched_database_size_bytes", (("file", "queue"),)] == (it.folder / "state/queue.db").stat().st_size
    assert now["labsched_troubles", ()] == 0


def run(it: World, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "labsched", *words],
        cwd=it.folder,
        text=True,
        capture_output=True,
        timeout=60,
        env={**os.environ, "LABSCHED_SOCKET": str(it.folder / "s")},
    )


def test_a_file_for_the_collector_is_whole_or_as_it_was(it: World, tmp_path: Path) -> None:
    said = run(it, "metrics")
    assert said.returncode == 0
    assert read(said.stdout).keys() == figures(it).keys()
    file = tmp_path / "labsched.prom"
    assert run(it, "metrics", "-o", str(file)).returncode == 0
    assert read(file.read_text()).keys() == figures(it).keys()
    assert file.stat().st_mode & 0o777 == 0o644
    before = file.read_bytes()
    gone = run(it, "--socket", str(tmp_path / "none"), "metrics", "-o", str(file))
    assert (gone.returncode, file.read_bytes()) == (3, before)
    wrong = run(it, "metrics", "-o", str(tmp_path / "no/such/labsched.prom"))
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: ")
    assert [one.name for one in tmp_path.iterdir()] == ["labsched.prom"]


def test_the_hard_words_of_labels_and_texts() -> None:
    from labsched.daemon.metrics import Metric

    metric = Metric("x", "gauge", "one\\two\nthree").add(1.5, pool='a"b\\c\nd')
    (family,) = parser.text_string_to_metric_families("".join(f"{line}\n" for line in metric.lines()))
    assert family.documentation == "one\\two\nthree"
    assert family.samples[0].labels == {"pool": 'a"b\\c\nd'}
