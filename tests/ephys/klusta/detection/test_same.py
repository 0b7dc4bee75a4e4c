"""The compiled detection leaves what klusta's own leaves, to the bit: spikes, masks, features, attributes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .recordings import recording

pytestmark = pytest.mark.klusta

SHORT = (14_000,)
WORLDS = {
    "defaults": {},
    "positive": {"settings": ["detect_spikes=positive"], "samples": SHORT},
    "both_signs": {"settings": ["detect_spikes=both"], "samples": SHORT},
    "low_thresholds": {
        "settings": ["threshold_weak_std_factor=1.2", "threshold_strong_std_factor=2.6"],
        "samples": (5_000,),
    },
    "one_threshold_a_channel": {"settings": ["use_single_threshold=false", "connected_component_join_size=3"]},
    "small_chunks": {"settings": ["chunk_size_seconds=0.1", "chunk_overlap_seconds=0.011"], "samples": SHORT},
    "no_overlap": {"settings": ["chunk_size_seconds=0.2", "chunk_overlap_seconds=0"], "samples": SHORT},
    "shorter_than_a_chunk": {"samples": (7_000,)},
    "excerpts": {"settings": ["n_excerpts=3", "excerpt_size_seconds=0.25"], "seed": 2},
    "long_waveforms": {"settings": ["extract_s_before=17", "extract_s_after=29", "weight_power=1.5"], "seed": 3},
    "another_filter": {"settings": ["filter_butter_order=2", "filter_low=700", "n_features_per_channel=5"]},
    "an_empty_shank_and_channels_outside": {
        "groups": {0: [0, 1, 2], 3: [7], 5: [4, 3]}, "channels": 11, "rate": 40.0, "samples": SHORT,
    },
    "a_graph_of_many_channels": {
        "groups": {0: [8, 0, 16, 24, 1, 9], 1: [31, 23, 15, 7]},
        "edges": [(0, 8), (8, 16), (16, 24), (0, 24), (1, 9), (31, 7), (7, 23), (15, 23)],
        "channels": 32, "samples": SHORT,
    },
    "two_recordings": {"samples": (12_000, 13_000), "seed": 4},
    "kwd": {"samples": (12_000, 12_500), "kwd": True, "seed": 5},
}  # fmt: skip


def both(*words: str) -> object:
    run = subprocess.run(
        [sys.executable, "-m", "tests.ephys.klusta.detection.both", *words],
        capture_output=True, text=True, cwd=Path(__file__).parents[4], env=os.environ | {"OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    home = tmp_path_factory.mktemp("both")
    return both("detect", *(str(recording(home / name, **world)) for name, world in WORLDS.items()))


@pytest.mark.parametrize("name", WORLDS)
def test_every_bit_is_the_same(compared, name):
    found = compared[name]
    assert found == found | {"differences": [], "disagreement": ""}
    assert found["spikes"] == found["ours"]
    assert sum(found["spikes"].values()) > 10


def test_crossings_are_joined_in_the_same_order():
    assert both("join") == []
