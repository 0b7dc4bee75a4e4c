"""The verb: what it prints, the picture, and what it says where something is wrong."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from labsched.ephys.__main__ import main
from labsched.ephys.synth import Recipe, load, make
from tests.ephys.inspect.rows import flat_block, good


def broken(channels: int = 8) -> np.ndarray:
    data = good(channels)
    data[2] = 0.0
    data[5] += np.random.default_rng(1).standard_normal(data.shape[1]) * 90
    return data


def size(picture: Path) -> tuple[int, int]:
    """Pixels of a PNG, from its header."""
    head = picture.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n")
    found: tuple[int, int] = struct.unpack(">II", head[16:])
    return found


def test_bad_channels_are_named_with_reason_and_ready_argument(tmp_path, capsys):
    source = flat_block(tmp_path / "b", broken())
    assert main(["inspect", "--source", str(source), "--omit", "Port_8"]) == 0
    out = capsys.readouterr().out
    assert "Port_3  flat   constant" in out
    assert "Port_6  noisy  " in out
    assert "To leave them out: --omit Port_3,Port_6,Port_8" in out


def test_json_has_every_channel_and_all_numbers(tmp_path, capsys):
    source = flat_block(tmp_path / "b", broken())
    picture = tmp_path / "new" / "look.png"
    assert main(["inspect", "--source", str(source), "--json", "--picture", str(picture)]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert [each["channel"] for each in seen["bad"]] == ["Port_3", "Port_6"]
    assert [each["channel"] for each in seen["channels"]] == [f"Port_{k}" for k in range(1, 9)]
    assert (seen["omit"], seen["picture"]) == ("Port_3,Port_6", str(picture))
    assert seen["looked_at_s"] == 4.0
    assert size(picture)[0] == 1800
    assert [each.name for each in picture.parent.iterdir()] == ["look.png"]


@pytest.mark.parametrize(("channels", "probe"), [(1, None), (64, "buzsaki64")])
def test_any_probe_has_a_picture(channels, probe, tmp_path):
    source = flat_block(tmp_path / "b", good(channels, seconds=0.5))
    words = ["inspect", "--source", str(source), "--picture", str(tmp_path / "a.png")]
    assert main([*words, *(["--probe", probe] if probe else [])]) == 0
    assert size(tmp_path / "a.png")[1] > 900


def test_what_cannot_be_drawn_or_read_is_a_sentence(tmp_path, capsys):
    source = flat_block(tmp_path / "b", good(2, seconds=0.2))
    (tmp_path / "file").write_text("")
    for words, said in [
        (["--picture", str(tmp_path / "a.bmp")], "end its name in .png, .pdf, .svg"),
        (["--picture", str(tmp_path / "file" / "a.png")], "name another --picture"),
        (["--omit", "Port_9"], "unknown channel Port_9"),
    ]:
        assert main(["inspect", "--source", str(source), *words]) == 1
        assert said in capsys.readouterr().err
    short = flat_block(tmp_path / "short", good(2, seconds=0.002))
    assert main(["inspect", "--source", str(short)]) == 1
    assert "too few samples" in capsys.readouterr().err


def test_every_kind_that_a_synthetic_block_can_have_is_found_by_its_name(tmp_path, capsys):
    recipe = Recipe(name="b", seconds=6, shanks=2, sites=8, flat=1, clipped=1, uncorrelated=1, outside=2)
    made = make(tmp_path, recipe)
    assert load(made.truth_file).spoilt == made.truth.spoilt
    assert main(["inspect", "--source", str(made.folder), "--probe", str(made.rig), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    truth = {made.truth.dead[0]: "dead", made.truth.noisy[0]: "noisy", **made.truth.spoilt}
    assert {each["channel"]: each["kind"] for each in seen["bad"]} == truth
    assert set(seen["omit"].split(",")) == set(made.omit.split(","))
