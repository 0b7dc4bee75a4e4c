"""klusta's words become a log and a fraction."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.ephys.attend import lines
from labsched.ephys.klusta.watch import CLUSTERING, Watch

BARS = "\r".join(f"Detecting spikes        : {k:3d}%|##  | {k}/100 [00:01<00:01,  9.0it/s]" for k in range(101))


def heard(*said: str) -> Watch:
    watch = Watch()
    for line in said:
        watch.hear(line)
    return watch


def test_a_bar_is_a_fraction_and_ten_lines_of_log():
    watch = Watch()
    shown = [line for line in lines(io.BytesIO(BARS.encode())) if watch.hear(line) is not None]
    assert len(shown) == 11
    assert abs(watch.fraction - 0.30) < 1e-9
    assert watch.message == "detecting spikes: 100 of 100"


def test_the_steps_follow_one_another_and_never_go_back():
    watch, fractions = Watch(), []
    for line in (
        "Detecting spikes        : 100%|##| 60/60 [00:05<00:00]",
        "Extracting waveforms    :  50%|##| 30/60 [00:05<00:00]",
        "Performing PCA          : 100%|##| 2/2 [00:05<00:00]",
        "Computing features      : 100%|##| 60/60 [00:05<00:00]",
        "09:49:30 [I] launch:190   Spike detection done! 1000 spikes found in shank 0, 3000 spikes found in shank 1",
        "09:49:30 [I] launch:225   Clustering group 0 (1000 spikes).",
        "09:49:31 [I] klustakwik Iteration 60F: 40 clusters, 928 changed, score=-31264.879472",
        "09:49:32 [I] launch:225   Clustering group 1 (3000 spikes).",
        "09:49:33 [I] klustakwik Iteration 1F: 40 clusters, 928 changed, score=-31264.879472",
        "09:49:33 [I] klustakwik Iteration 500F: 12 clusters, 3 changed, score=-31264.879472",
    ):
        watch.hear(line)
        fractions.append(watch.fraction)
    assert fractions == sorted(fractions)
    assert fractions[5] >= 0.6
    # a quarter of the spikes are on the first shank
    assert abs(fractions[7] - (0.6 + 0.39 / 4)) < 1e-6
    assert 0.95 < fractions[-1] <= 0.99
    assert watch.message == "clustering shank 2 of 2: iteration 500, 12 clusters"


def test_what_is_no_progress_is_passed_on_and_remembered():
    watch = heard("Traceback (most recent call last):", "MemoryError")
    assert list(watch.tail) == ["Traceback (most recent call last):", "MemoryError"]
    assert watch.fraction == 0.0


@given(st.binary(max_size=300), st.integers(1, 20))
def test_lines_are_whole_however_the_bytes_come(data, size):
    class Slow(io.RawIOBase):
        def __init__(self):
            self.rest = data

        def read1(self, most):
            piece, self.rest = self.rest[:size], self.rest[size:]
            return piece

    text = list(lines(Slow()))
    assert b"\n".join(data.replace(b"\r", b"\n").split(b"\n")).decode("utf-8", "replace").split("\n") in (
        text,
        [*text, ""],
    )


@given(st.text())
def test_no_line_makes_it_fail(line):
    watch = heard(line)
    assert 0.0 <= watch.fraction <= 1.0


def test_compiled_the_detection_is_one_step_up_to_the_clustering() -> None:
    watch = Watch()
    watch.hear("detection: compiled")
    watch.hear("Detecting spikes        :  50%|#####     | 61/122 [00:06<00:00, 17.94it/s]")
    assert watch.fraction == pytest.approx(0.5 * CLUSTERING)
    watch.hear("Detecting spikes        : 100%|##########| 122/122 [00:06<00:00, 17.94it/s]")
    assert watch.fraction == pytest.approx(CLUSTERING)
