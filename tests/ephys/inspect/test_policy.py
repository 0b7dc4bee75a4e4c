"""What stage 1 does about bad channels: it warns, refuses, leaves them out, or does not look."""

import json

import numpy as np
import pytest

from labsched.ephys.denoise import denoise
from labsched.ephys.errors import EphysError
from tests.ephys.inspect.rows import flat_block, good


@pytest.fixture
def source(tmp_path):
    data = good(8)
    data[2] = 0.0
    data[5] += np.random.default_rng(1).standard_normal(data.shape[1]) * 90
    return flat_block(tmp_path / "b", data)


def test_a_warning_is_in_the_log_and_in_the_json_and_nothing_is_left_out(source, tmp_path):
    lines = []
    report = denoise(source, tmp_path / "out", "b", told=lines.append)
    assert any(line.startswith("WARNING: Port_3 is flat") for line in lines)
    assert report.omitted == ()
    assert report.warnings[0].endswith("omit with --omit Port_3,Port_6")
    done = json.loads(report.json.read_text())["bad_channels"]
    assert (done["setting"], done["did"]) == ("warn", "warned")
    assert [(each["channel"], each["kind"]) for each in done["found"]] == [("Port_3", "flat"), ("Port_6", "noisy")]


def test_left_out_by_itself_is_as_if_a_person_had_said_so(source, tmp_path):
    lines = []
    by_itself = denoise(source, tmp_path / "one", "b", bad_channels="omit", told=lines.append)
    by_hand = denoise(source, tmp_path / "two", "b", omit=["Port_3", "Port_6"])
    assert by_itself.omitted == by_hand.omitted == ("Port_3", "Port_6")
    assert by_itself.data.read_bytes() == by_hand.data.read_bytes()
    assert by_itself.prb.read_bytes() == by_hand.prb.read_bytes()
    assert any(line.startswith("left out by itself: Port_6 is noisy") for line in lines)
    assert by_itself.document["bad_channels"]["did"] == "omitted"
    assert by_hand.document["bad_channels"]["did"] == "nothing"


def test_a_refusal_says_what_to_type_and_leaves_an_earlier_result_whole(source, tmp_path):
    before = denoise(source, tmp_path / "out", "b").json.read_bytes()
    with pytest.raises(EphysError, match=r"Port_3 is flat: .*run it again with --omit Port_3,Port_6, or --bad"):
        denoise(source, tmp_path / "out", "b", bad_channels="refuse")
    assert (tmp_path / "out" / "b.denoise.json").read_bytes() == before
    denoise(source, tmp_path / "out", "b", bad_channels="refuse", omit=["Port_3", "Port_6"])


def test_more_than_half_are_never_left_out_by_themselves(tmp_path):
    data = good(8)
    data[:5] = 0.0
    source = flat_block(tmp_path / "b", data)
    with pytest.raises(EphysError, match="5 of 8 channels look bad"):
        denoise(source, tmp_path / "out", "b", bad_channels="omit")
    assert not (tmp_path / "out").exists()


def test_nobody_looks_where_that_is_off_and_unknown_settings_are_named(source, tmp_path):
    report = denoise(source, tmp_path / "out", "b", bad_channels="off")
    assert report.document["bad_channels"]["found"] == []
    with pytest.raises(EphysError, match="it is one of warn, refuse, omit, off"):
        denoise(source, tmp_path / "out", "b", bad_channels="perhaps")
