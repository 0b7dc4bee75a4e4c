"""klusta's options: all of them, checked, and written as klusta reads them."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.ephys import harmless
from labsched.ephys.errors import EphysError
from labsched.ephys.klusta.params import KlustaKwik2, Params, SpikeDetekt, parse_settings, write_prm


@pytest.mark.klusta
def test_the_defaults_are_klustas_own():
    code = (
        "import json, warnings; warnings.simplefilter('ignore')\n"
        "from labsched.ephys.klusta import compat; compat.apply()\n"
        "from klusta.traces.default_settings import spikedetekt\n"
        "from klustakwik2.default_parameters import default_parameters\n"
        "print(json.dumps([spikedetekt, default_parameters]))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(said.splitlines()[-1]) == [asdict(SpikeDetekt()), asdict(KlustaKwik2())]


def test_settings_are_set_and_the_rest_stays():
    params = parse_settings(
        ["spikedetekt.threshold_strong_std_factor=5", "klustakwik2.fast_split=true", "filter_low=300"]
    )
    assert params.spikedetekt == SpikeDetekt(threshold_strong_std_factor=5.0, filter_low=300.0)
    assert params.klustakwik2 == KlustaKwik2(fast_split=True)


def test_settings_come_on_top_of_those_that_are_there():
    base = parse_settings(["filter_low=300"])
    assert parse_settings(["filter_butter_order=2"], base).spikedetekt.filter_low == 300.0


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("spikedetekt.filter_lo=3", "no option spikedetekt.filter_lo: did you mean filter_low"),
        ("spikedetect.filter_low=3", "no section 'spikedetect'.*did you mean spikedetekt"),
        ("max_iteration=3", "did you mean klustakwik2.max_iterations"),
        ("filter_low", "is not a setting"),
        ("=3", "is not a setting"),
        ("filter_low=loud", "is a number, not 'loud'"),
        ("filter_low=nan", "is a number"),
        ("filter_low=", "is a number"),
        ("filter_butter_order=2.5", "is a whole number, not '2.5'"),
        ("filter_butter_order=0", "must be between 1 and 16"),
        ("use_single_threshold=maybe", "is true or false"),
        ("detect_spikes=up", "one of negative, positive, both"),
        ("threshold_weak_std_factor=9", "exceeds threshold_strong"),
        ("chunk_overlap_seconds=2", "smaller than chunk_size_seconds"),
    ],
)
def test_a_wrong_setting_is_a_sentence(word, said):
    with pytest.raises(EphysError, match=said):
        parse_settings([word])


def test_an_option_that_may_be_none_takes_it():
    assert parse_settings(["max_split_iterations=5"]).klustakwik2.max_split_iterations == 5
    assert parse_settings(["max_split_iterations=none"]).klustakwik2.max_split_iterations is None


@given(st.text(max_size=30), st.text(max_size=10))
def test_any_word_gives_parameters_or_a_sentence(key, value):
    try:
        assert isinstance(parse_settings([f"{key}={value}"]), Params)
    except EphysError as error:
        assert str(error)


def test_the_prm_says_it_all(tmp_path):
    params = parse_settings(["filter_low=300", "num_starting_clusters=60"])
    write_prm(
        tmp_path / "b.prm",
        name="b",
        prb_file="b.prb",
        raw_data_files="b.raw.kwd",
        sample_rate=25000,
        n_channels=14,
        params=params,
        voltage_gain=0.15,
    )
    found = harmless.evaluate((tmp_path / "b.prm").read_text())
    assert found["experiment_name"] == "b"
    assert found["prb_file"] == "b.prb"
    assert found["traces"] == {
        "raw_data_files": "b.raw.kwd",
        "sample_rate": 25000.0,
        "n_channels": 14,
        "dtype": "int16",
        "voltage_gain": 0.15,
    }
    assert Params().updated({key: found[key] for key in ("spikedetekt", "klustakwik2")}) == params
