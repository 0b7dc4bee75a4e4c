"""The page in a real browser: all that it draws, what it sorts, and that nothing from outside runs in it."""

import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from labsched.ephys.report.make import make
from tests.ephys.report.finished import finished
from tests.ephys.report.test_report import HOSTILE

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


def drawn(page: Path, scratch: Path, width: int = 1400) -> str:
    """The page's elements once its scripts have run."""
    assert BROWSER is not None
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={scratch / 'profile'}",
         f"--window-size={width},9000", "--virtual-time-budget=4000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


def test_everything_is_drawn(tmp_path: Path) -> None:
    made = finished(tmp_path, sites=6, units=2, seconds=8, shanks=2, omitted=("Port_77",))
    found = drawn(make(made.folder, made.name), tmp_path)
    assert 'data-drawn="yes"' in found
    assert ">This cannot be drawn" not in found
    assert len(re.findall(r"<figure>", found)) >= 3 * 6
    for says in (
        "shank 0: 7 sites",
        "shank 1: 6 sites",
        "traces of all channels",
        "power density",
        "drift map of shank 1",
    ):
        assert f'aria-label="{says}' in found
    sites = re.findall(r'<text class="name"[^>]*>([^<]+)</text>', found)
    assert sorted(sites) == sorted([*(f"Port_{k}" for k in range(1, 12)), "Port_12!", "Port_77"])
    assert "NaN" not in found.replace("#data", "")


def test_no_two_labels_of_the_probe_lie_on_each_other(tmp_path: Path) -> None:
    for layout, sites in (("tetrode", 4), ("staggered", 8), ("dense", 64)):
        folder = tmp_path / layout
        folder.mkdir()
        made = finished(folder, sites=sites, units=1, seconds=3, layout=layout, raw=False)
        found = drawn(make(made.folder, made.name), folder, 500)
        labels = re.findall(r'<text class="name" x="([\d.]+)" y="([\d.]+)">([^<]+)</text>', found)
        names = [(float(x), float(y), text) for x, y, text in labels]
        assert len(names) == sites
        for k, (x, y, text) in enumerate(names):
            for other_x, other_y, other in names[k + 1 :]:
                apart = abs(other_y - y) >= 12 or other_x - x > 6 * len(text) or x - other_x > 6 * len(other)
                assert apart, (layout, text, other)


def test_names_from_outside_do_not_run(tmp_path: Path) -> None:
    made = finished(tmp_path, "b<b>&", sites=4, units=1, seconds=4, labels=HOSTILE, omitted=("<u>x</u>",))
    found = drawn(make(made.folder, made.name), tmp_path)
    assert 'data-drawn="yes"' in found
    names = [unescape(text) for text in re.findall(r'<text class="name"[^>]*>([^<]+)</text>', found)]
    assert HOSTILE[0] in names
    assert "<u>x</u>" in names
    assert "<img" not in found


def test_a_heading_sorts_the_table(tmp_path: Path) -> None:
    made = finished(tmp_path, sites=8, units=4, seconds=8, raw=False)
    page = make(made.folder, made.name)
    # What a person would press; the page's own policy lets no other script in, so it is taken out of this copy.
    text = re.sub(r"<meta http-equiv=.*?>", "", page.read_text())
    press = "document.querySelectorAll('#unit-table thead button')[3].click();"
    copy = tmp_path / "copy.html"
    for presses, falling in ((1, True), (2, False)):
        copy.write_text(text.replace("</body>", f"<script>{press * presses}</script></body>"))
        table = re.search(r'id="unit-table".*?</table>', drawn(copy, tmp_path), re.DOTALL)
        assert table
        counts = [int(each) for each in re.findall(r'<td class="number" data-v="(\d+)">[\d,]+</td>', table[0])]
        spikes = [int(row.split('class="number" data-v="')[1].split('"')[0]) for row in table[0].split("<tr ")[1:]]
        assert len(spikes) == 5
        assert counts
        assert spikes == sorted(spikes, reverse=falling)
