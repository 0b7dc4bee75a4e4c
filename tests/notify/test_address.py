"""Nothing of an address is shown that is a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.notify.address import scrub, shown, wrong


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mailtos://ann:s3cret-word@mail.example.org:465?to=x@y.z", "mailtos://…@mail.example.org:465"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#lab", "slack://…"),
        ("json://127.0.0.1:8080/a-secret-path", "json://127.0.0.1:8080/…"),
        ("json://127.0.0.1:8080", "json://127.0.0.1:8080"),
        ("ntfys://a-secret-topic", "ntfys://…"),
        ("ntfys://ntfy.sh/a-secret-topic", "ntfys://ntfy.sh/…"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", "tgram://…"),
        ("matrixs://ann:s3cret-word@matrix.example.org/#room", "matrixs://…@matrix.example.org"),
        ("mailto://s3cret-word", "mailto://s3cret-word"),
        ("what is this", "…"),
    ],
)
def test_the_service_is_shown_and_the_machine_where_it_is_no_secret(url: str, said: str) -> None:
    assert shown(url) == said


@given(
    st.text("abcdefghijklmnopqrstuvwxyz0123456789_-.~%", min_size=8, max_size=30),
    st.sampled_from(["slack", "tgram", "mailto"]),
)
def test_a_password_is_never_shown(word: str, service: str) -> None:
    url = f"{service}://ann:{word}@example.org/{word}?key={word}"
    said = scrub(f"could not load {url}: 401 for {word}", url)
    assert f":{word}@" not in shown(url) and word not in said


@pytest.mark.parametrize(
    "url", ["", "example.org", "://x", "mailto://", "mailto://a b\n", "x" * 5000 + "://y", "1a://b"]
)
def test_what_is_no_url_is_told(url: str) -> None:
    assert wrong(url)
