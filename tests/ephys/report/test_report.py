"""The page of a finished block: what it shows is what the files say."""

import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labsched.ephys import report
from labsched.ephys.__main__ import main
from labsched.ephys.report.make import make
from labsched.ephys.report.pack import scaled, unpacked, whole
from labsched.ephys.report.units import correlogram
from tests.ephys.report.finished import GAIN, Finished, finished

HOSTILE = ("</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", '"&amp;\u2028', "Port_4")


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished(tmp_path_factory.mktemp("one"), "b", sites=6, units=2, seconds=12, omitted=("Port_9",))


@pytest.fixture(scope="module")
def text(block: Finished) -> str:
    return make(block.folder, block.name).read_text()


def data(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    result: dict[str, Any] = json.loads(found[1])
    return result


def test_each_unit_has_its_spikes_and_its_drawings(block: Finished, text: str) -> None:
    units = {unit["unit"]: unit for unit in data(text)["units"]}
    assert sorted(units) == ["0.0", "0.2", "0.3"]
    for cluster in (2, 3):
        train, unit = block.trains[0, cluster], units[f"0.{cluster}"]
        assert unpacked(unit["presence"]).sum() == len(train)
        shown = re.search(rf'<tr data-unit="0.{cluster}".*?</tr>', text)
        assert shown and f">{len(train):,}</td>" in shown[0]
        times = unpacked(unit["amplitudes"]["t"])
        assert np.abs(times[:, None] * 20_000 - train[None, :]).min(axis=1).max() < 6  # a step of 16 bits of 12 s
        counts = unpacked(unit["acg"])
        assert counts.sum() > 0
        assert not counts[48:52].any()  # a dead time of 3 ms
        assert (counts == counts[::-1]).mean() > 0.7


def test_a_mean_waveform_has_its_size_on_the_channel_where_it_is(block: Finished, text: str) -> None:
    unit = next(unit for unit in data(text)["units"] if unit["unit"] == "0.3")
    mean = unpacked(unit["wave"]["mean"])
    best = int(np.argmin(mean.min(axis=1)))
    assert unit["wave"]["channels"][best] == "Port_5"  # the middle of the lower half of six sites
    assert -205 < mean[best].min() < -150
    assert np.argmin(mean[best]) == pytest.approx(unit["wave"]["before"], abs=2)


def test_the_traces_are_the_samples_raw_and_de_noised(block: Finished, text: str) -> None:
    traces = data(text)["traces"]
    samples = np.fromfile(block.folder / "b.dat", "<i2").reshape(-1, 6)
    window = traces["windows"][1]
    after, before = unpacked(window["after"]), unpacked(window["before"])
    here = samples[window["start"] : window["start"] + after.shape[1]].T * GAIN
    assert np.allclose(after, here - np.median(here, axis=1, keepdims=True), atol=window["after"]["s"])
    assert 40 < before.std() < 50  # 60 µV of hum are in the raw recording alone
    assert after.std() < 30
    assert traces["omitted"] == ["Port_9"]
    assert unpacked(window["omitted"]).std() > 80
    assert any(each["why"] == "movement" for each in traces["windows"])


def test_the_spectra_show_the_hum_before_and_not_after(text: str) -> None:
    spectra = data(text)["spectra"]
    hz = np.array(spectra["hz"])
    before, after = (unpacked(spectra[key]).mean(axis=0) for key in ("before", "after"))
    at = int(np.argmin(np.abs(hz - 50)))
    assert before[at] - after[at] > 2
    assert abs(before[-1] - after[-1]) < 0.2


def test_every_channel_is_on_the_probe_with_its_label_and_its_noise(text: str) -> None:
    channels = {each["label"]: each for each in data(text)["channels"]}
    assert list(channels) == [*(f"Port_{k}" for k in range(1, 7)), "Port_9"]
    assert [channels[f"Port_{k}"]["y"] for k in range(1, 7)] == [0, 25, 50, 75, 100, 125]
    assert channels["Port_1"]["after"] == 7.0
    assert channels["Port_6"]["state"] == "suspicious"
    assert "4 times the median" in channels["Port_6"]["reason"]
    assert channels["Port_9"] | {"reason": ""} == {
        "label": "Port_9", "column": None, "state": "omitted", "reason": "", "shank": 0, "site": "0", "x": 0.0,
        "y": 150.0, "before": None, "after": None, "clipped": None,
    }  # fmt: skip
    assert data(text)["order"] == [5, 4, 3, 2, 1, 0]


def test_it_says_how_it_was_made(text: str) -> None:
    said = unescape(text)
    for word in ("41.6 s", "400 MB", "klusta 3.0.16", "filter_low = 500.0", "2 found by stage 1, 0.60 s", "Port_9"):
        assert word in said


def test_the_page_asks_for_no_other_file(text: str) -> None:
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', text)
    assert "http://www.w3.org/2000/svg" in text  # a name, not an address
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "default-src 'none'" in unescape(text)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    made = finished(tmp_path, "b<b>&", sites=4, units=1, seconds=6, labels=HOSTILE, omitted=("<u>x</u>",))
    text = make(made.folder, made.name).read_text()
    assert text.count("<script") == 2
    for label in (*HOSTILE[:3], "<u>x</u>", "b<b>&"):
        assert label not in text
    assert [each["label"] for each in data(text)["channels"]] == [*HOSTILE, "<u>x</u>"]


def test_without_the_raw_recording_the_rest_is_drawn(tmp_path: Path, block: Finished) -> None:
    shutil.copytree(block.folder, tmp_path / "out")
    note = json.loads((tmp_path / "out" / "b.denoise.json").read_text())
    for source, why in ((str(tmp_path / "gone"), "not there any more"), ("", "does not say where")):
        (tmp_path / "out" / "b.denoise.json").write_text(json.dumps(note | {"source": source}))
        text = make(tmp_path / "out", "b").read_text()
        assert why in unescape(text)
        found = data(text)
        assert found["traces"]["windows"][0]["before"] is None
        assert found["spectra"]["before"] is None
        assert len(found["units"]) == 3


def test_a_raw_recording_that_has_changed_is_not_drawn(tmp_path: Path) -> None:
    made = finished(tmp_path, sites=4, units=1, seconds=6)
    with (made.raw / "one.dat").open("ab") as file:
        file.write(bytes(8))
    text = make(made.folder, made.name).read_text()
    assert "has changed since stage 1" in text
    assert data(text)["traces"]["windows"][0]["before"] is None


def test_without_the_de_noised_data_it_says_so(tmp_path: Path, block: Finished) -> None:
    shutil.copytree(block.folder, tmp_path / "out")
    (tmp_path / "out" / "b.dat").unlink()
    text = unescape(make(tmp_path / "out", "b").read_text())
    assert "b.dat, which the denoise stage wrote, is gone" in text
    assert len(data(text)["channels"]) == 7


def test_a_block_that_is_not_sorted_never_looks_sorted(tmp_path: Path, block: Finished) -> None:
    shutil.copytree(block.folder, tmp_path / "out")
    (tmp_path / "out" / "b.sorting.json").unlink()
    text = make(tmp_path / "out", "b").read_text()
    assert "not sorted yet" in text
    assert data(text)["units"] == []


def test_what_fails_after_a_sorting_is_said_and_nothing_is_raised(tmp_path: Path, block: Finished) -> None:
    shutil.copytree(block.folder, tmp_path / "out")
    (tmp_path / "out" / "b.denoise.json").write_text("{")
    said: list[str] = []
    report.after(tmp_path / "out", "b", said.append)
    assert len(said) == 2
    assert all("its sorting is whole" in line for line in said)
    assert not list((tmp_path / "out").glob("*.report.html"))


def test_after_a_sorting_there_are_metrics_and_a_report(tmp_path: Path, block: Finished) -> None:
    shutil.copytree(block.folder, tmp_path / "out")
    (tmp_path / "out" / "b.report.html").unlink(missing_ok=True)
    said: list[str] = []
    report.after(tmp_path / "out", "b", said.append)
    assert said[1] == f"report: {tmp_path / 'out' / 'b.report.html'}"
    text = (tmp_path / "out" / "b.report.html").read_text()
    rows = {row["unit"]: row for row in json.loads((tmp_path / "out" / "b.metrics.json").read_text())["units"]}
    for name, row in rows.items():
        shown = re.search(rf'<tr data-unit="{name}" data-label="{row["label"]}">.*?</tr>', text)
        assert shown
        snr = float(f"{row['snr']:.6g}")
        assert f'data-v="{snr}"' in shown[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{}/nowhere"], "there is no folder"),
        (["{}"], "no *.denoise.json"),
        (["{}/out", "--name", "c"], "has no block c: it has b"),
    ],
)
def test_a_wrong_target_gets_a_sentence(
    block: Finished, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *(word.format(block.folder.parent) for word in words)]) == 1
    assert says in capsys.readouterr().err


def test_a_file_of_the_block_names_it(block: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    for target in (block.folder, block.folder / "b.sorting.json", block.folder / "b.dat"):
        assert main(["report", str(target), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"name": "b", "report": str(block.folder / "b.report.html")}


def test_numbers_come_back_as_they_went() -> None:
    values = np.array([[0.0, -3.2, 1e-9], [7.5, np.nan, np.inf]])
    assert np.allclose(unpacked(scaled(values)), [[0, -3.2, 0], [7.5, 0, 0]], atol=7.5 / 32767)
    assert unpacked(whole(np.array([3, 70_000]), "i")).tolist() == [3, 70_000]
    with pytest.raises(OverflowError):
        whole(np.array([70_000]), "h")
    assert unpacked(scaled(np.zeros((2, 0)))).shape == (2, 0)


def test_a_correlogram_counts_every_pair() -> None:
    draw = np.random.Generator(np.random.PCG64(1))
    one, other = (np.sort(draw.integers(0, 40_000, 300)) for _ in range(2))
    lags = (other[None, :] - one[:, None]) / 20.0  # ms at 20 kHz
    wanted = np.histogram(lags, np.arange(-50, 51))[0]
    wanted[-1] -= (lags == 50).sum()  # numpy's last bin has its end
    assert correlogram(one, other, 20_000.0).tolist() == wanted.tolist()
    mine = (one[None, :] - one[:, None]) / 20.0
    counts = np.histogram(mine[~np.eye(300, dtype=bool)], np.arange(-50, 51))[0]
    counts[-1] -= (mine == 50).sum()
    assert correlogram(one, None, 20_000.0).tolist() == counts.tolist()
