"""What the shanks say becomes a fraction that never goes back, a message and an estimate."""

import json

from hypothesis import given
from hypothesis import strategies as st

from labsched.ephys.klusta.clustering.heard import Heard, expected
from labsched.ephys.klusta.clustering.history import record, told, usual
from labsched.ephys.klusta.watch import Watch

FOUND = "09:49:30 [I] launch:190   Spike detection done! 1000 spikes found in shank 0, 3000 spikes found in shank 1"
SAID = (
    FOUND,
    "clustering shank 0: 1000 spikes",
    "clustering shank 1: 3000 spikes",
    "clustering shank 1: iteration 1, 40 clusters, 2900 of 3000 spikes changed, 0.600 s each",
    "clustering shank 0: iteration 1, 30 clusters, 900 of 1000 spikes changed, 0.200 s each",
    "clustering shank 1: iteration 30, 22 clusters, 90 of 3000 spikes changed, 0.400 s each",
    "clustering shank 0: done after 41 iterations, 12 clusters, 1000 spikes, 8.2 s",
    "clustering shank 1: iteration 90, 14 clusters, 0 of 3000 spikes changed, 0.400 s each",
    "clustering shank 1: done after 95 iterations, 14 clusters, 3000 spikes, 38.0 s",
)


def test_shanks_at_once_are_a_fraction_and_a_message():
    watch, fractions, messages = Watch(), [], []
    for line in SAID:
        assert watch.hear(line) == line
        fractions.append(watch.fraction)
        messages.append(watch.message)
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.6 and abs(fractions[-1] - 0.99) < 1e-9
    # half of three quarters of the spikes, and 1 of 60 iterations of the rest
    assert abs(fractions[5] - (0.6 + 0.39 * (0.75 * 0.5 + 0.25 / 60))) < 1e-9
    assert messages[4] == (
        "clustering 4,000 spikes, 0 of 2 shanks done; shank 0 iteration 1, 30 clusters; "
        "shank 1 iteration 1, 40 clusters; ~47s left"
    )
    # 30 more iterations of 0.4 s
    assert messages[6].endswith("1 of 2 shanks done; shank 1 iteration 30, 22 clusters; ~12s left")
    # it takes longer than usual: a third more
    assert messages[7].endswith("shank 1 iteration 90, 14 clusters; ~12s left")
    assert messages[8] == "clustering 4,000 spikes, 2 of 2 shanks done"


def test_a_resumed_shank_goes_on_where_it_was():
    heard = Heard()
    for line in (
        "clustering shank 3: 500 spikes",
        "clustering shank 3: checkpoint shank-3.checkpoint is not used: it is cut short or no checkpoint",
        "clustering shank 3: resumed from shank-3.checkpoint.before, iteration 20",
    ):
        heard.hear(line)
    assert heard.shanks[3].iteration == 20 and abs(heard.fraction() - 20 / 60) < 1e-9
    assert heard.seconds_left() is None
    heard.hear("clustering shank 3: done in an earlier attempt")
    assert heard.fraction() == 1.0 and heard.seconds_left() == 0.0


def test_earlier_blocks_say_how_long_it_takes_before_anything_is_measured():
    heard = Heard()
    assert heard.hear(expected((100, 50.0), 2))
    for shank in range(4):
        heard.hear(f"clustering shank {shank}: 100000 spikes")
    # 100 iterations of 50 s for a million spikes, of a tenth of that each, two at a time
    assert abs((heard.seconds_left() or 0) - 1000) < 1e-6
    assert heard.message() == "clustering 400,000 spikes, 0 of 4 shanks done; ~17m left"


def test_what_earlier_blocks_took_is_found(tmp_path):
    assert usual(tmp_path / "phy" / "B9") is None
    for k, shanks in enumerate(([(100, 40, 0.1)], [(200, 50, 0.1), (400, 90, 0.2)], [])):
        block = tmp_path / "phy" / f"B{k}"
        (block / "clustering").mkdir(parents=True)
        record(
            block / "clustering",
            [{"shank": 0, "spikes": n, "iterations": its, "seconds_each": each} for n, its, each in shanks],
        )
        (block / f"B{k}.sorting.json").write_text(json.dumps({"clustering": told(block)}))
    (tmp_path / "phy" / "B0" / "torn.sorting.json").write_text("{")
    (tmp_path / "phy" / "B1" / "other.sorting.json").write_text('{"clustering": [{"spikes": "many"}]}')
    assert told(tmp_path) == []
    assert usual(tmp_path / "phy" / "B9") == (50.0, 500.0)


steps = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 300)), max_size=60)


@given(steps)
def test_the_fraction_never_goes_back(said):
    watch, last = Watch(), 0.0
    for shank in range(4):
        watch.hear(f"clustering shank {shank}: {1000 * (shank + 1)} spikes")
    for shank, n in said:
        spikes = 1000 * (shank + 1)
        watch.hear(f"clustering shank {shank}: iteration {n}, 9 clusters, 5 of {spikes} spikes changed, 0.100 s each")
        assert last <= watch.fraction <= 0.99
        last = watch.fraction
