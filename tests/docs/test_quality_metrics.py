"""The page on quality metrics says what the code does."""

import re

import pytest

from labsched.ephys.qc import amplitudes, drift, separation, trains
from labsched.ephys.qc.labels import GOOD, NOISE
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/quality-metrics.md").read_text()


def test_every_metric_is_on_the_page() -> None:
    import numpy as np

    empty = np.empty(0, dtype=np.float32)
    one = np.array([5])
    names = {
        *trains.measures(one, 100, 10.0),
        *amplitudes.measures(empty, one, empty, 1.0, 1.0, 1, 100, 10.0),
        *drift.measures(one, empty, 100, 10.0),
        *separation.NAMES,
    }
    rows = re.findall(r"^\| (`.*?) \|", PAGE.partition("## The metrics")[2].partition("## The labels")[0], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == names


@pytest.mark.parametrize(("word", "thresholds"), [("noise", NOISE), ("mua", GOOD)])
def test_the_thresholds_are_on_the_page(word: str, thresholds: tuple) -> None:
    row = re.search(rf"^\| `{word}` \| (.*) \|$", PAGE.partition("## The labels")[2], re.MULTILINE)
    assert row
    said = re.findall(r"`(\w+)` (above|below) ([\d.]*\d)", row[1])
    code = [(t.metric, "below", t.least) if t.most is None else (t.metric, "above", t.most) for t in thresholds]
    assert [(metric, way, float(value)) for metric, way, value in said] == code
