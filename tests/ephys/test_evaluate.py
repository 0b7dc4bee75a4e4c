"""A sorting is compared with the truth as the field does it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.ephys.__main__ import main
from labsched.ephys.errors import EphysError
from labsched.ephys.evaluate import agreeing, compare, table
from labsched.ephys.klusta.result import Shank, read
from labsched.ephys.synth.truth import Truth, Unit, save

RATE = 20000.0


def unit(name: str, samples, shank: int = 0) -> Unit:
    at = np.asarray(samples, dtype=float)
    return Unit(name, shank, 0.0, 0.0, 100.0, "Port_1", ("Port_1",), np.zeros((1, 4)), at, at / RATE)


def truth(*units: Unit) -> Truth:
    return Truth("b", 1, RATE, 1_000_000, (), (), units)


def shank(number: int = 0, **clusters) -> Shank:
    """A shank with clusters given as ``c2=[...]``."""
    pairs = sorted((int(at), int(name[1:])) for name, train in clusters.items() for at in train)
    samples, ids = (np.array(column, dtype=np.int64) for column in (zip(*pairs, strict=True) if pairs else ((), ())))
    return Shank(number, (0,), samples, ids)


TRAIN = np.arange(1000, 101000, 1000)
OTHER = TRAIN + 500


def test_a_perfect_sorting_is_one():
    comparison = compare(truth(unit("a", TRAIN), unit("b", OTHER)), [shank(c2=OTHER, c3=TRAIN + 8)])
    assert [(m.cluster, m.accuracy, m.precision, m.recall) for m in comparison.matches] == [(3, 1, 1, 1), (2, 1, 1, 1)]
    assert (comparison.found, comparison.sorted_units, comparison.false) == (2, 2, ())


def test_spikes_beyond_the_tolerance_do_not_agree():
    (match,) = compare(truth(unit("a", TRAIN)), [shank(c2=TRAIN + 9)]).matches
    assert (match.cluster, match.accuracy) == (None, 0.0)


def test_the_measures_are_those_of_the_field():
    # 60 of 100 found, and 20 that are something else
    comparison = compare(truth(unit("a", TRAIN)), [shank(c2=[*TRAIN[:60], *(TRAIN[:20] + 300)])])
    (match,) = comparison.matches
    assert match.accuracy == pytest.approx(60 / 120)
    assert match.precision == pytest.approx(60 / 80)
    assert match.recall == pytest.approx(60 / 100)
    assert comparison.found == 0


def test_noise_and_multi_unit_clusters_are_no_units():
    comparison = compare(truth(unit("a", TRAIN)), [shank(c0=TRAIN, c1=TRAIN + 2)])
    assert comparison.sorted_units == 0
    assert comparison.matches[0].cluster is None


def test_a_unit_that_is_split_matches_its_larger_half_and_the_rest_is_not_false():
    comparison = compare(truth(unit("a", TRAIN)), [shank(c2=TRAIN[:70], c3=TRAIN[70:])])
    assert comparison.matches[0].cluster == 2
    assert comparison.matches[0].accuracy == pytest.approx(0.7)
    assert comparison.false == ()


def test_a_cluster_of_nothing_known_is_false():
    comparison = compare(truth(unit("a", TRAIN)), [shank(c2=TRAIN, c5=OTHER)])
    assert comparison.false == ((0, 5, 100),)


def test_shanks_are_not_mixed():
    comparison = compare(truth(unit("a", TRAIN, 0), unit("b", OTHER, 1)), [shank(0, c2=OTHER), shank(1, c2=TRAIN)])
    assert [match.accuracy for match in comparison.matches] == [0.0, 0.0]
    assert comparison.false == ((0, 2, 100), (1, 2, 100))


def test_a_shank_that_was_not_sorted_has_nothing_found():
    comparison = compare(truth(unit("a", TRAIN, 0), unit("b", OTHER, 1)), [shank(0, c2=TRAIN)])
    assert [match.cluster for match in comparison.matches] == [2, None]


def test_the_sum_of_accuracies_decides_who_gets_a_cluster():
    # b fits cluster 2 best, but a fits nothing else
    known = truth(unit("a", TRAIN[:60]), unit("b", TRAIN[30:] + 2))
    comparison = compare(known, [shank(c2=TRAIN[:100], c3=TRAIN[40:] + 4)])
    assert [match.cluster for match in comparison.matches] == [2, 3]


def test_the_table_is_for_people():
    lines = table(compare(truth(unit("a", TRAIN), unit("b", OTHER)), [shank(c2=TRAIN)])).splitlines()
    assert lines[1].split() == ["a", "0", "100", "100", "2", "1.00", "✓", "1.00", "1.00"]
    assert lines[2].split() == ["b", "0", "100", "100", "–", "0.00", "0.00", "0.00"]
    assert lines[3] == "found 1 of 2 known units at 0.8 accuracy; 1 sorted units, 0 of them false"


TRAINS = st.lists(st.integers(0, 30), max_size=6).map(sorted)


@given(TRAINS, TRAINS, st.integers(0, 3))
def test_the_pairs_are_as_many_as_can_be(known, found, tolerance):
    def best(i: int, j: int) -> int:
        if i == len(known) or j == len(found):
            return 0
        together = 1 + best(i + 1, j + 1) if abs(known[i] - found[j]) <= tolerance else 0
        return max(together, best(i + 1, j), best(i, j + 1))

    assert agreeing(np.array(known, float), np.array(found, float), tolerance) == best(0, 0)


@given(TRAINS, TRAINS)
def test_measures_stay_between_nothing_and_one(known, found):
    (match,) = compare(truth(unit("a", known)), [shank(c2=found)]).matches
    assert all(0.0 <= value <= 1.0 for value in (match.accuracy, match.precision, match.recall))
    assert match.accuracy <= min(match.precision, match.recall) + 1e-4


def test_a_sorting_that_is_not_there_is_a_sentence(tmp_path, capsys):
    save(truth(unit("a", TRAIN)), tmp_path / "b.truth.h5")
    words = ["evaluate", "--target", str(tmp_path), "--name", "b", "--truth", str(tmp_path / "b.truth.h5")]
    assert main(words) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"error: there is no {tmp_path / 'b.kwik'}: run the klusta stage (again)"


def test_a_kwik_that_is_none_is_a_sentence(tmp_path):
    for suffix in (".kwik", ".kwx"):
        (tmp_path / f"b{suffix}").write_bytes(b"no")
    with pytest.raises(EphysError, match="cannot be read"):
        read(tmp_path / "b.kwik")
