"""From a synthetic block to known units, with the real klusta: what the demo promises."""

from pathlib import Path

import pytest

from labsched.ephys.denoise import denoise
from labsched.ephys.evaluate import Comparison, compare
from labsched.ephys.klusta.run import sort
from labsched.ephys.synth import Made, Recipe, make

pytestmark = pytest.mark.klusta


@pytest.fixture(scope="module")
def block(tmp_path_factory) -> Made:
    """The demo's own block."""
    return make(tmp_path_factory.mktemp("mat"), Recipe(times=False))


def sorted_with(block: Made, folder: Path, reference: str) -> Comparison:
    denoise(block.folder, folder, "b", omit=block.omit.split(","), probe=block.rig, reference=reference)
    return compare(block.truth, sort(folder, "b", threads=2, say=lambda line: None).shanks)


def test_the_demo_finds_at_least_eight_of_ten_units(block, tmp_path):
    comparison = sorted_with(block, tmp_path, "war")
    assert len(comparison.matches) == 10
    assert comparison.found >= 8
    assert len(comparison.false) <= 5


def test_without_a_reference_the_common_noise_hides_most_of_them(block, tmp_path):
    assert sorted_with(block, tmp_path, "none").found <= 5
