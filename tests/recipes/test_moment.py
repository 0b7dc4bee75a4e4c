"""Moments as people write them."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.errors import BadRequest
from labsched.recipes.moment import parse_moment


@pytest.fixture(autouse=True, params=["Europe/Berlin", "America/New_York"])
def _zone(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("18:00", "2026-11-24 18:00"),
        ("8:05", "2026-11-25 08:05"),
        ("9:30", "2026-11-25 09:30"),
        ("today 9:31", "2026-11-24 09:31"),
        ("Tomorrow  18:00", "2026-11-25 18:00"),
        ("2026-12-01", "2026-12-01 00:00"),
        ("2026-12-01 7:00", None),
        ("2026-12-01 07:00", "2026-12-01 07:00"),
        ("2026-12-01T07:00:30", "2026-12-01 07:00:30"),
        ("2h30m", "2026-11-24 12:00"),
        ("90", "2026-11-24 09:31:30"),
    ],
)
def test_moments(text: str, meant: str | None) -> None:
    now = at("2026-11-24 09:30")
    if meant is None:
        with pytest.raises(BadRequest, match="is not a moment"):
            parse_moment(text, now)
    else:
        assert datetime.fromtimestamp(parse_moment(text, now)).astimezone() == at(meant)


def test_a_zone_that_is_named_holds() -> None:
    assert parse_moment("2026-12-01T07:00Z", at("2026-11-24 09:30")) == 1796108400.0


def test_the_night_when_the_clocks_change() -> None:
    for evening, hours in (("2026-03-28 20:00", 11), ("2026-10-24 20:00", 13)):  # where Berlin is
        if os.environ["TZ"] == "Europe/Berlin":
            assert parse_moment("8:00", at(evening)) - at(evening).timestamp() == hours * 3600


@pytest.mark.parametrize("text", ["today 9:29", "2026-11-24 09:30", "2020-01-01"])
def test_what_is_over_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="is over: it is 2026-11-24 09:30 now"):
        parse_moment(text, at("2026-11-24 09:30"))


@pytest.mark.parametrize("text", ["", "soon", "25:00", "8:60", "2026-13-01", "yesterday 8:00", "-2h"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    now = at("2026-11-24 09:30")
    with pytest.raises(BadRequest, match=r"is not a moment"):
        parse_moment(text, now)


@given(st.text(max_size=20))
def test_any_text_is_a_moment_to_come_or_a_bad_request(text: str) -> None:
    now = datetime.now().astimezone()
    try:
        found = parse_moment(text, now)
    except BadRequest:
        return
    assert now.timestamp() < found < datetime.max.replace(tzinfo=UTC).timestamp()
