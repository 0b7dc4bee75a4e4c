import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.cli import table
from labsched.cli.jobs import render_rows
from labsched.cli.status import render
from tests.cli.samples import ROWS, STATUS

WILD = st.text(max_size=60)


@given(WILD, st.integers(min_value=1, max_value=70))
def test_cut_text_is_never_wider_than_asked(text: str, cells: int) -> None:
    shown = table.clean(text)
    assert table.width(table.cut(shown, cells)) <= cells


@given(st.text(alphabet="abc猫é", min_size=1, max_size=40), st.integers(min_value=1, max_value=50))
def test_text_that_fits_is_left_alone_and_what_is_cut_says_so(text: str, cells: int) -> None:
    shown = table.cut(text, cells)
    assert shown == text if table.width(text) <= cells else "…" in shown


def test_a_long_word_keeps_both_ends_and_a_sentence_its_beginning() -> None:
    block = "Pen03_Rgt_AP2350_ML1400__Site04_Z2023__B957_cat_P03_S04_Epc17-18"
    assert table.cut(block, 25) == "Pen03_Rgt_…S04_Epc17-18"[:10] + "…" + block[-14:]
    assert table.cut("python train.py --seed 1", 16) == "python train.py…"


@given(WILD)
def test_nothing_that_a_job_says_steers_the_terminal(text: str) -> None:
    assert table.clean(text).isprintable()
    assert "\x1b" not in table.clean(text)


def test_wide_and_combining_characters_are_counted_as_they_are_shown() -> None:
    assert table.width("猫") == 2
    assert table.width("e\u0301") == 1
    assert table.width("▶denoise ·klusta") == 16


@given(st.lists(st.tuples(st.integers(1, 80), st.integers(1, 20)), min_size=1, max_size=5), st.integers(1, 200))
def test_fitted_columns_fit_or_are_as_narrow_as_they_may_be(columns: list[tuple[int, int]], cells: int) -> None:
    widths, least = [w for w, _ in columns], [min(w, n) for w, n in columns]
    fitted = table.fit(widths, least, cells)
    assert all(n <= f <= w for n, f, w in zip(least, fitted, widths, strict=True))
    assert sum(fitted) <= cells or fitted == least
    assert sum(fitted) == min(sum(widths), max(cells, sum(least)))


@pytest.mark.parametrize("cells", [80, 100, 110, 160, 250])
def test_status_is_never_wider_than_the_terminal(cells: int) -> None:
    assert max(table.width(line) for line in render(STATUS, cells)) <= cells


def test_colours_change_nothing_but_colour() -> None:
    import re

    plain = "\n".join(render(STATUS, 110, colour=False))
    coloured = "\n".join(render(STATUS, 110, colour=True))
    assert coloured != plain
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


def test_in_a_pipe_nothing_is_cut() -> None:
    assert "…" not in "\n".join(render_rows(ROWS, None, False))
