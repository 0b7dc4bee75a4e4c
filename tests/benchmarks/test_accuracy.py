"""The benchmark of accuracies: families by name, what rows do, and the verdict."""

import numpy as np
import pytest

from benchmarks.accuracy import families, report, rows
from benchmarks.accuracy.families import Family


def test_families_are_chosen_by_name_and_by_pattern():
    assert [family.name for family in families.chosen(["linear-40-some-hum"])] == ["linear-40-some-hum"]
    assert len(families.chosen(["dense-*"])) == 5 * 3 * 2
    assert len(families.chosen(["dense-5-none", "dense-*"])) == 30
    usual = families.chosen([])
    assert {(family.probe, family.spread) for family in usual} == {
        (p, s) for p in families.PROBES for s in families.SPREADS
    }
    assert {family.artefacts for family in usual} == set(families.ARTEFACTS)
    with pytest.raises(ValueError, match="no family is called 'sparse'"):
        families.chosen(["sparse"])


def test_a_clean_recording_has_the_same_spikes():
    recipe = Family("tetrode", 40, "many", True).recipe(3, 2.0)
    assert (recipe.saturations, recipe.hum) == (6.0, 60.0)
    assert families.clean(recipe).seed == recipe.seed
    assert families.clean(recipe).common == 0


def test_the_labs_references_take_what_is_common():
    draw = np.random.default_rng(1)
    common, own = draw.standard_normal(20000), draw.standard_normal((6, 20000))
    x = (10 * common * np.array([[1.0], [1.5], [0.5], [1.0], [1.2], [0.8]]) + own).astype(np.float32)
    assert rows.lab_weighted(x, 20000.0).std() < 1.3
    assert 1.3 < rows.lab_mean(x, 20000.0).std() < 6
    np.testing.assert_allclose(
        rows.lab_weighted(x, 20000.0)[0],
        x[0] - np.linalg.lstsq(x[1:].T, x[0], rcond=None)[0] @ x[1:],
        atol=0.2,
    )


def test_the_verdict_compares_with_the_best_peer_of_each_family_and_of_each_recording():
    one, other = Family("linear", 5, "none", False), Family("dense", 5, "none", False)
    good = {
        (one, 1): {"raw": 0.5, "ibl": 0.8, "labsched": 0.83},
        (other, 1): {"raw": 0.8, "ibl": 0.7, "labsched": 0.795},
    }
    assert report.verdict(good).good
    assert not report.verdict(good | {(other, 1): {"raw": 0.8, "ibl": 0.7, "labsched": 0.78}}).good
    lost = {(one, seed): {"raw": seed - 1.0, "ibl": 2.0 - seed, "labsched": 0.6} for seed in (1, 2)}
    assert "not above" in report.verdict(lost).lines[1]


def test_the_section_leaves_the_others_as_they_are(tmp_path):
    file = tmp_path / "page.md"
    file.write_text("# Page\n\nWords.\n\n<!-- part: noop -->\n\n## No-op\n\n<!-- end: noop -->\n")
    found = {(Family("linear", 5, "none", False), 1): {"raw": 0.5, "labsched": 0.83}}
    report.write(found, ["raw", "labsched"], 60.0, ["linear-5-none"], file)
    text = file.read_text()
    assert text.startswith("# Page\n\nWords.\n\n<!-- part: noop -->\n\n## No-op")
    assert "+0.330" in text
    assert 'make bench-accuracy SEEDS=1 FAMILIES="linear-5-none"' in text
