"""Stage 2 starts only from a stage 1 that is whole."""

import json

import pytest

from labsched.ephys.__main__ import main
from labsched.ephys.errors import EphysError
from labsched.ephys.klusta.run import sort
from labsched.ephys.klusta.stage import whole

from .stage_one import RATE, stage_one


@pytest.fixture
def folder(tmp_path):
    return stage_one(tmp_path / "out", spikes=(5, 5), seconds=0.5)


def test_a_whole_stage_1_is_read(folder):
    found = whole(folder, "b")
    assert (found.rate, found.channels, found.dtype, found.gain) == (RATE, 8, "int16", 0.2)
    assert found.raw == (folder.resolve() / "b.dat",)
    assert found.bytes == (folder / "b.dat").stat().st_size


def test_an_edited_prm_is_taken_as_it_is(folder):
    prm = folder / "b.prm"
    prm.write_text(prm.read_text().replace("'filter_low': 500.0", "'filter_low': 250.0"))
    assert whole(folder, "b").params.spikedetekt.filter_low == 250.0


def broken(folder, what):
    if what == "no json":
        (folder / "b.denoise.json").unlink()
    elif what == "half a json":
        (folder / "b.denoise.json").write_text('{"outputs": {')
    elif what == "another json":
        (folder / "b.denoise.json").write_text("[]")
    elif what == "no outputs":
        (folder / "b.denoise.json").write_text(json.dumps({"outputs": {}}))
    elif what == "truncated data":
        with (folder / "b.dat").open("r+b") as file:
            file.truncate(1000)
    elif what == "no data":
        (folder / "b.dat").unlink()
    elif what == "no probe":
        (folder / "b.prb").unlink()
    elif what == "no prm":
        (folder / "b.prm").unlink()
    elif what == "prm runs things":
        (folder / "b.prm").write_text("import os\n")
    elif what == "prm without rate":
        (folder / "b.prm").write_text("prb_file = 'b.prb'\ntraces = {'raw_data_files': ['b.dat'], 'n_channels': 8}\n")
    elif what == "prm without traces":
        (folder / "b.prm").write_text("prb_file = 'b.prb'\n")
    elif what == "prm with a wrong option":
        (folder / "b.prm").write_text((folder / "b.prm").read_text().replace("filter_low", "filter_lo"))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no json", "no finished denoise stage of b"),
        ("half a json", "does not say what stage 1 wrote"),
        ("another json", "does not say what stage 1 wrote"),
        ("no outputs", "does not say what stage 1 wrote"),
        ("truncated data", "b.dat has 1,000 bytes but stage 1 wrote 160,000"),
        ("no data", "b.dat, which the denoise stage wrote, is gone"),
        ("no probe", "b.prb, which the denoise stage wrote, is gone"),
        ("no prm", "b.prm, which the denoise stage wrote, is gone"),
        ("prm runs things", "b.prm: line 1: 'import os' is more Python"),
        ("prm without rate", "b.prm does not say sample_rate"),
        ("prm without traces", "b.prm: it has no traces"),
        ("prm with a wrong option", "no option spikedetekt.filter_lo: did you mean filter_low"),
    ],
)
def test_what_is_not_whole_is_refused_in_a_sentence(folder, what, said, capsys):
    broken(folder, what)
    before = sorted(path.name for path in folder.iterdir())
    assert main(["klusta", "--target", str(folder), "--name", "b"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threads": 0}, "0 threads"),
        ({"settings": ["filter_low=9600"]}, "filter_low .* must lie below"),
        ({"settings": ["nonsense=1"]}, "no option nonsense"),
    ],
)
def test_a_wrong_request_is_refused(folder, change, said):
    with pytest.raises(EphysError, match=said):
        sort(folder, "b", **change)


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_a_name_is_no_path(folder, name):
    with pytest.raises(EphysError, match="is not the name of a block"):
        whole(folder, name)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(EphysError, match=r"there is no folder .*none"):
        whole(tmp_path / "none", "b")


def test_wrong_usage_is_exit_code_2():
    with pytest.raises(SystemExit) as end:
        main(["klusta", "--name", "b"])
    assert end.value.code == 2


def test_all_options_can_be_listed(capsys):
    assert main(["klusta", "--settings"]) == 0
    assert "spikedetekt.filter_low = 500.0" in capsys.readouterr().out
