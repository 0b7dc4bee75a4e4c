"""The benchmark of stage 1: its sides run, and its sentences say what was measured."""

import numpy as np

from benchmarks.denoise import recordings, report, sides
from benchmarks.denoise.sides import Run
from labsched.ephys.readers import examine, opened


def test_both_kinds_of_recording_hold_the_same_samples_and_are_made_once(tmp_path):
    flat, mat = recordings.dat(tmp_path, 0.5, 3), recordings.mat(tmp_path, 0.5, 3)
    assert flat.file.stat().st_size == flat.n_bytes == mat.n_bytes
    with opened(examine(flat.folder)) as one, opened(examine(mat.folder)) as two:
        np.testing.assert_array_equal(one.segments[0].fetch(0, 12_500), two.segments[0].fetch(0, 12_500))
        assert one.segments[0].shifts == (0, 0, 0)
        np.testing.assert_allclose(two.segments[0].shifts, [0, 1 / 3, 2 / 3])
    before = flat.file.stat().st_mtime_ns
    assert recordings.dat(tmp_path, 0.5, 3).file.stat().st_mtime_ns == before


def test_a_side_is_run_and_measured(tmp_path):
    flat = recordings.dat(tmp_path, 0.5, 3)
    copied = sides.run(sides.copy("copy", flat, tmp_path / "out", "fsync"))
    ours = sides.run(sides.labsched("ours", flat, tmp_path / "out", "--format", "dat", "--threads", "2"))
    assert (tmp_path / "out/copy").read_bytes() == flat.file.read_bytes()
    assert (tmp_path / "out/b.dat").stat().st_size == flat.n_bytes
    for each in (copied, ours):
        assert each.cpu > 0
        assert each.wall > 0
    assert ours.rss > 20e6


def test_the_ratios_are_of_medians():
    walls = {report.COPY: 1.0, report.OURS: 2.0, report.BAND: 2.5, report.MATLAB: 4.0}
    walls |= {report.SI.format(1): 50.0, report.SI.format(2): 40.0, report.SHIFTED: 60.0}
    names = list(walls)
    found = {name: [Run(walls[name] * k, 3.0, 50_000_000) for k in (0.5, 1, 9)] for name in names}
    held = [report.Held(32, "dat", [(120, 60_000_000), (1200, 61_000_000)])]
    text = report.section(found, dict.fromkeys(names, 100_000_000), held, 1200, "here")
    assert "reaches 0.50 of the plain copy, 0.40 with a band-pass" in text
    assert "20.0 times as fast as SpikeInterface, 2 job(s) (16.0 times" in text
    assert "10.0 times as fast as SpikeInterface, 2 job(s) is from a flat file" in text
    assert "15.0 times as fast as SpikeInterface with realignment" in text
    assert "| 32, dat" in text
    assert "61 MB (1200 s)" in text
