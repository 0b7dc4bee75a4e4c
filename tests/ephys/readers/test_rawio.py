"""Formats of neo's: files written by hand after their descriptions, read through neo."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labsched.ephys.errors import EphysError
from labsched.ephys.probes import resolve
from labsched.ephys.readers import examine, opened
from tests.ephys.exports import noise
from tests.ephys.readers.formats import blackrock, intan, neuralynx, open_ephys, plexon, spikeglx

pytest.importorskip("neo", reason="the extra labsched[readers] is not installed")

SAMPLES = 12800  # a multiple of what the formats put into a block, but of Plexon's 150
DATA = noise(SAMPLES, 4)
Write = Callable[..., Path]


def split(folder: Path, data: np.ndarray) -> Path:
    return intan.write_split(folder, data)


#: name: (write, µV a bit, first label, how many samples of DATA it holds)
FORMATS: dict[str, tuple[Write, float, str, int]] = {
    "SpikeGLX": (spikeglx.write, spikeglx.MICROVOLTS, "AP0", SAMPLES),
    "Intan": (intan.write, intan.MICROVOLTS, "A-000", SAMPLES),
    "Intan RHS": (lambda f, d: intan.write(f, d, rhs=True), intan.MICROVOLTS, "A-000", SAMPLES),
    "Intan split": (split, intan.MICROVOLTS, "A-000", SAMPLES),
    "Open Ephys (binary)": (open_ephys.write, open_ephys.MICROVOLTS, "CH1", SAMPLES),
    "Open Ephys (legacy)": (open_ephys.write_legacy, open_ephys.MICROVOLTS, "CH1", SAMPLES // 1024 * 1024),
    "Neuralynx": (neuralynx.write, neuralynx.MICROVOLTS, "CSC1", SAMPLES),
    "Blackrock": (blackrock.write, blackrock.MICROVOLTS, "chan1", SAMPLES),
    "Plexon": (plexon.write, plexon.MICROVOLTS, "WB01", SAMPLES),
}


def microvolts(segment, start: int, stop: int) -> np.ndarray:
    return segment.fetch(start, stop) * np.array(segment.gains)[:, None] + np.array(segment.offsets)[:, None]


@pytest.mark.parametrize("name", FORMATS)
def test_values_labels_and_gains_of_any_piece(tmp_path, name):
    write, unit, label, samples = FORMATS[name]
    source = examine(write(tmp_path / "block", DATA), {label})
    assert source.labels[0] == label and len(source.kept) == 3 and source.gain_known
    random = np.random.default_rng(1)
    with opened(source) as recording:
        (segment,) = recording.segments
        assert segment.n_samples == source.n_samples == samples and segment.counts
        for _ in range(30):
            start = int(random.integers(-40, samples))
            stop = min(start + int(random.integers(1, 2500)), samples + 40)
            take = np.clip(np.arange(start, stop), 0, samples - 1)
            np.testing.assert_allclose(microvolts(segment, start, stop), DATA[1:, take] * unit, atol=1e-8)
        np.testing.assert_allclose(microvolts(segment, 0, samples), DATA[1:, :samples] * unit, atol=1e-8)


@pytest.mark.parametrize(
    ("write", "cut", "seconds"),
    [
        (lambda f: open_ephys.write_legacy(f, DATA, gap_after=3), 3 * 1024, 2048 / 30000),
        (lambda f: neuralynx.write(f, DATA, gap_after=3), 3 * 512, 1.0),
        (lambda f: blackrock.write(f, DATA, cuts=(5000,)), 5000, 1.0),
        (lambda f: plexon.write(f, DATA, gap_after=3), 450, 1.0),
        (
            lambda f: open_ephys.write(f, DATA, numbers=np.r_[0:4000, 10000 : SAMPLES + 6000]),
            4000,
            6000 / 30000,
        ),
    ],
    ids=["Open Ephys (legacy)", "Neuralynx", "Blackrock", "Plexon", "Open Ephys (binary)"],
)
def test_a_gap_begins_another_segment(tmp_path, write, cut, seconds):
    with opened(examine(write(tmp_path / "block"))) as recording:
        one, two = recording.segments
        assert (one.n_samples, two.first) == (cut, cut)
        assert two.start_s - one.start_s - cut / recording.rate == pytest.approx(seconds, abs=1e-6)
        np.testing.assert_array_equal(two.fetch(0, 100) - two.fetch(0, 1), (DATA - DATA[:, [cut]])[:, cut : cut + 100])


def test_files_of_intan_follow_each_other_by_their_stamps(tmp_path):
    intan.write(tmp_path, DATA[:, 6400:], name="a", first=6400)
    intan.write(tmp_path, DATA[:, :6400], name="b")
    with opened(examine(tmp_path)) as recording:
        assert [segment.file.name for segment in recording.segments] == ["b.rhd", "a.rhd"]
        assert recording.segments[1].start_s == pytest.approx(6400 / 20000)
        np.testing.assert_array_equal(recording.segments[1].fetch(0, 10).astype(int) - 32768, DATA[:, 6400:6410])


def test_the_stream_with_the_highest_rate_that_is_neural_is_taken(tmp_path):
    spikeglx.write(tmp_path, DATA)
    spikeglx.write(tmp_path, DATA[:, :1000], rate=2500.0, kind="lf")
    source = examine(tmp_path)
    assert (source.stream, source.rate) == ("imec0.ap", 30000.0)
    assert "left out: imec0.ap-SYNC" in source.notes[0] and "imec0.lf (4 channels, 2500 Hz)" in source.notes[0]
    low = examine(tmp_path, stream="imec0.lf")
    assert (low.labels, low.rate, low.n_samples) == (("LF0", "LF1", "LF2", "LF3"), 2500.0, 1000)
    with pytest.raises(EphysError, match=r"has no stream 'imec9': it has imec0\.ap, imec0\.ap-SYNC, imec0\.lf"):
        examine(tmp_path, stream="imec9")


def test_two_probes_are_a_choice(tmp_path):
    spikeglx.write(tmp_path, DATA)
    spikeglx.write(tmp_path, DATA[:2], probe=1)
    source = examine(tmp_path)
    assert source.stream == "imec0.ap"
    assert any("imec1.ap may be meant as well: choose with --stream" in note for note in source.notes)
    assert examine(tmp_path, stream="imec1.ap").labels == ("AP0", "AP1")


def test_a_rig_may_name_the_stream(tmp_path):
    from labsched.ephys.check import check

    spikeglx.write(tmp_path / "block", DATA)
    spikeglx.write(tmp_path / "block", DATA[:, :1000], rate=2500.0, kind="lf")
    rig = tmp_path / "rig.toml"
    rig.write_text('probe = "tetrode4"\nstream = "imec0.lf"\n[ports]\nLF0 = 1\nLF1 = 2\nLF2 = 3\nLF3 = 4\n')
    assert check(tmp_path / "block", probe=rig).stream == "imec0.lf"


def test_neuropixels_bring_their_geometry_unless_a_probe_is_named(tmp_path):
    source = examine(spikeglx.write(tmp_path, DATA))
    layout = resolve(None, source.labels, carried=source.wiring)
    (group,) = layout.groups
    assert "imec0.ap.meta" in layout.probe and group.labels == ("AP0", "AP1", "AP2", "AP3")
    assert group.geometry[2][1] - group.geometry[0][1] == 20 and group.geometry[1][0] - group.geometry[0][0] == 32
    assert resolve("tetrode4", source.labels, carried=source.wiring).probe == "tetrode4"


@pytest.mark.parametrize(
    ("write", "other"),
    [
        (lambda f, d: intan.write(f, d, name="a"), lambda f, d: intan.write(f, d, name="b", rate=30000.0)),
        (
            lambda f, d: blackrock.write(f, d, name="a"),
            lambda f, d: blackrock.write(f, d, name="b", number=2, rate=1000.0),
        ),
    ],
)
def test_files_of_different_rates_or_channels_are_named(tmp_path, write, other):
    write(tmp_path / "rates", DATA)
    other(tmp_path / "rates", DATA)
    with pytest.raises(EphysError, match=r"different sampling rates: a.* Hz, b.* Hz"):
        examine(tmp_path / "rates")
    intan.write(tmp_path / "channels", DATA, name="a")
    intan.write(tmp_path / "channels", DATA[:3], name="b")
    with pytest.raises(EphysError, match=r"do not have the same channels \(A-003 only in one\)"):
        examine(tmp_path / "channels")


def test_a_channel_of_neuralynx_that_is_shorter_is_named(tmp_path):
    neuralynx.write(tmp_path, DATA)
    file = tmp_path / "CSC3.ncs"
    file.write_bytes(file.read_bytes()[: -10 * 1044])
    with pytest.raises(EphysError, match=r"CSC3\.ncs has 15 records where CSC1\.ncs has 25"):
        examine(tmp_path)


def _cut(path: Path, by: int) -> None:
    path.write_bytes(path.read_bytes()[:-by])


@pytest.mark.parametrize(
    ("write", "name", "by", "says"),
    [
        (spikeglx.write, "run_g0_t0.imec0.ap.bin", 10, r"ap\.bin has 127990 bytes where .*ap\.meta says 128000"),
        (open_ephys.write, "continuous.dat", 8 * 7, "has 12793 samples but 12800 times: it was cut short"),
        (open_ephys.write, "continuous.dat", 3, "which is no multiple of 4 channels"),
        (open_ephys.write_legacy, "100_CH3.continuous", 2070, r"CH3\.continuous has 11 records where .*CH1.* has 12"),
        (open_ephys.write_legacy, "100_CH3.continuous", 70, r"CH3\.continuous has .* no multiple of 2070"),
        (neuralynx.write, "CSC2.ncs", 44, r"CSC2\.ncs has .* no multiple of 1044"),
        (intan.write, "rec_240101_120000.rhd", 5, r"rec_240101_120000\.rhd as Intan: it is damaged or cut short"),
        (split, "amplifier.dat", 8 * 5, r"amplifier\.dat has 12795 samples where others have 12800"),
        (blackrock.write, "rec.ns5", 100, r"rec\.ns5 as Blackrock: it is damaged or cut short"),
        (plexon.write, "rec.plx", 100, r"rec\.plx was cut short within channel number 3"),
    ],
    ids=lambda each: each if isinstance(each, str) and "." in each[:25] else "",
)
def test_a_file_that_is_cut_short_is_named(tmp_path, write, name, by, says):
    write(tmp_path, DATA)
    (file,) = tmp_path.rglob(name)
    _cut(file, by)
    with pytest.raises(EphysError, match=says):
        examine(tmp_path)


def test_pages_of_a_file_that_has_been_read_are_given_back(tmp_path):
    def resident() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssFile")) * 1024

    intan.write(tmp_path, np.tile(DATA, 1000))
    size = next(tmp_path.iterdir()).stat().st_size
    assert size > 100e6
    before = resident()
    with opened(examine(tmp_path)) as recording:
        assert resident() - before < 20e6
        (segment,) = recording.segments
        for start in range(0, segment.n_samples, 1 << 16):
            segment.fetch(start, min(start + (1 << 16), segment.n_samples))
            assert resident() - before < 75e6


def test_a_single_file_is_a_block_and_its_name_needs_no_suffix(tmp_path):
    intan.write(tmp_path, DATA, name="rat12")
    assert examine(tmp_path / "rat12.rhd").files == examine(tmp_path / "rat12").files
    blackrock.write(tmp_path, DATA, name="rat12")
    with pytest.raises(EphysError, match=r"there are rat12\.ns5, rat12\.rhd: name one of them"):
        examine(tmp_path / "rat12")


@pytest.mark.parametrize(("write", "name"), [(blackrock.write, "rec.ns5"), (intan.write, "rec_240101_120000.rhd")])
def test_a_file_that_becomes_shorter_while_it_is_read_is_a_sentence_and_exit_code_1(tmp_path, write, name):
    """A map that has lost its file is SIGBUS, which would end the process without a word."""
    write(tmp_path, np.tile(DATA, 30))
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom labsched.ephys.errors import EphysError\n"
        "from labsched.ephys.readers import examine, opened\n"
        f"path = Path({str(tmp_path / name)!r})\n"
        "with opened(examine(path)) as recording:\n"
        "    os.truncate(path, 8192)\n"
        "    try:\n"
        "        recording.segments[0].fetch(200_000, 210_000)\n"
        "    except EphysError as error:\n"
        "        sys.exit(f'error: {error}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot read {tmp_path / name}") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.rhd", b"", r"a\.rhd is empty \(0 bytes\)"),
        ("a.rhd", b"junk", "cannot read .*a.rhd as Intan: it is damaged or cut short"),
        ("a.pl2", b"junk", "can be read only with a library of Plexon's for Windows: save it as .plx"),
        ("a.smrx", b"junk", "save it as .smr"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(tmp_path, name, content, says):
    if name.endswith("smrx") and importlib.util.find_spec("sonpy") is not None:
        pytest.skip("sonpy is installed")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EphysError, match=says):
        examine(tmp_path)


def test_without_the_extra_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "neo" else found(name, *rest))
    blackrock.write(tmp_path, DATA)
    with pytest.raises(EphysError, match=r"Blackrock needs the package neo.*pip install 'neo"):
        examine(tmp_path)
