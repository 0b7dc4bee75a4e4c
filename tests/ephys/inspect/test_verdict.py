"""The rule: all bad channels, none falsely accused; and numbers that are wild do it no harm."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks.channels.__main__ import ours
from benchmarks.channels.recordings import draw
from labsched.ephys.inspect.verdict import KINDS, judge
from tests.ephys.inspect.rows import bits, good, kinds, line, measured


@pytest.mark.parametrize("seed", range(4000, 4007))
def test_all_planted_channels_are_found_and_none_is_accused_falsely(seed: int) -> None:
    case = draw(seed, seconds=4.0)
    assert set(ours(case)) == set(case.bad), (case.family, case.about)


def test_good_channels_are_good_also_where_they_are_less_loud_than_the_others() -> None:
    data = good(16)
    data[3] *= 0.3
    data[12] *= 0.4
    assert kinds(bits(data)) == {}
    assert kinds(data / 0.2) == {}


@pytest.mark.parametrize("channels", [4, 16])
def test_each_kind_is_called_by_its_name(channels: int) -> None:
    random = np.random.default_rng(channels)
    for kind in ("dead", "flat", "noisy", "clipped", "uncorrelated"):
        data = good(channels)
        if kind == "dead":
            data[2] = random.standard_normal(data.shape[1])
        elif kind == "flat":
            data[2] = 40.0
        elif kind == "noisy":
            data[2] += random.standard_normal(data.shape[1]) * 60
        elif kind == "clipped":
            data[2] = np.clip(data[2], -45, 60)
        else:
            data[2] = good(1, seed=101)[0]
        assert kinds(bits(data)) == {2: kind}


def test_sites_out_of_the_brain_are_a_run_from_an_end_of_a_shank() -> None:
    data = good(12)
    field = np.median(data, axis=0)
    slow = np.convolve(field, np.ones(400) / 400, mode="same")
    inside = data.copy()
    inside[5] -= 0.85 * slow
    data[9:] -= 0.85 * slow
    assert kinds(bits(data)) == {9: "outside", 10: "outside", 11: "outside"}
    assert "outside" not in kinds(bits(inside)).values()


def test_two_channels_of_another_recording_do_not_vouch_for_each_other() -> None:
    data = good(16)
    data[[4, 11]] = good(2, seed=77)
    assert kinds(bits(data)) == {4: "uncorrelated", 11: "uncorrelated"}


def test_channels_that_share_nothing_are_not_all_called_uncorrelated() -> None:
    assert kinds(bits(np.random.default_rng(1).standard_normal((8, 80_000)) * 10)) == {}


def test_a_channel_that_is_dead_for_half_of_the_time_is_told_with_the_part() -> None:
    data = good(8)
    data[1, : data.shape[1] // 2] = 0
    (found,) = judge(measured(bits(data)), *line(8)).findings
    assert (found.channel, found.kind) == (1, "flat")
    assert "50 % of the time" in found.reason


def test_movements_and_what_they_saturate_on_all_channels_are_no_bad_channels() -> None:
    data = good(8, seconds=8)
    at = slice(50_000, 58_000)
    data[:, at] += np.hanning(8_000) * 9_000
    assert kinds(np.clip(bits(data), -20_000, 20_000).astype(np.int16)) == {}


def test_one_channel_that_a_movement_saturates_is_not_clipped() -> None:
    data = good(8, seconds=8)
    data[:, 50_000:58_000] += np.hanning(8_000) * 4_000 * np.linspace(1, 1.5, 8)[:, None]
    raw = bits(data)
    raw[7] = np.minimum(raw[7], 20_000)
    assert kinds(raw) == {}


def test_noise_on_top_of_much_that_is_shared_is_noise() -> None:
    data = good(8, common=80.0)
    data[3] += np.random.default_rng(5).standard_normal(data.shape[1]) * 40
    measures = measured(bits(data))
    assert measures.follows[3] > 0.5
    assert kinds(bits(data)) == {3: "noisy"}


def test_what_is_wrong_with_the_whole_recording_is_a_note() -> None:
    def notes(raw: np.ndarray, gain: float = 0.2) -> str:
        return " ".join(judge(measured(raw, gain), *line(len(raw))).notes)

    floats = good(8).astype("<f4")
    assert "random numbers" in notes(np.ascontiguousarray(floats.T).view("<i2").reshape(-1, 8).T)
    assert "random numbers" in notes(bits(good(8)).byteswap())
    assert "no brain's" in notes(bits(good(8)), 5000.0)
    data = good(8)
    data[:5] = np.random.default_rng(1).standard_normal((5, data.shape[1])) * 0.5
    assert "5 of 8 channels look bad" in notes(bits(data))
    assert notes(bits(good(8))) == ""


def test_nan_is_told_by_its_part() -> None:
    data = good(6)
    data[2, ::4] = np.nan
    data[4, 5] = np.inf
    found = judge(measured(data, 1.0), *line(6)).findings
    assert [(each.channel, each.kind) for each in found] == [(2, "not a number"), (4, "not a number")]
    assert found[0].reason.startswith("25 %")


def test_what_is_measured_does_not_depend_on_threads() -> None:
    one, two = measured(bits(good(6))), measured(bits(good(6)), threads=3)
    for name in ("level", "own", "follows", "follows_field", "spectrum", "clipped"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()


wild = st.sampled_from([np.int16, np.int32, np.float32, np.float64]).flatmap(
    lambda kind: arrays.arrays(
        kind,
        st.tuples(st.integers(1, 5), st.integers(64, 300)),
        elements=st.integers(-32768, 32767)
        if np.issubdtype(kind, np.integer)
        else st.floats(-(2.0**99), 2.0**99, width=32) | st.just(np.nan) | st.just(np.inf),
    )
)


@settings(max_examples=40, deadline=None)
@given(wild)
def test_no_numbers_are_too_wild(raw: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = judge(measured(raw), *line(len(raw)))
    assert {each.kind for each in verdict.findings} <= set(KINDS)
    json.dumps([each.reason for each in verdict.findings], allow_nan=False)
