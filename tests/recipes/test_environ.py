from hypothesis import given
from hypothesis import strategies as st

from labsched.recipes import environ

VARIABLES = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=5)


def test_a_command_gets_what_the_caller_has_but_nothing_of_the_attempt_that_it_is_asked_from() -> None:
    given_ = {"PATH": "/bin", "MINE": "1", "_": "x", "SHLVL": "2", "LABSCHED_PROGRESS": "/p", "LABSCHED_SOCKET": "/s"}
    assert environ.full(given_) == ({"PATH": "/bin", "MINE": "1", "LABSCHED_SOCKET": "/s"}, [])


def test_a_recipe_gets_only_what_says_who_and_where_one_is() -> None:
    given_ = {"PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "PYTHONPATH": "/evil", "SECRET": "1", "XDG_CACHE_HOME": "/c"}
    kept, _ = environ.small(given_)
    assert set(kept) == {"PATH", "HOME", "LC_ALL", "XDG_CACHE_HOME"}


def test_what_is_not_text_is_left_out_and_named() -> None:
    assert environ.full({"A": "\udcff", "B": "b"}) == ({"B": "b"}, ["A"])


@given(VARIABLES)
def test_whatever_is_kept_can_be_sent(variables: dict[str, str]) -> None:
    kept, left_out = environ.full(variables)
    assert all(environ.is_text(key) and environ.is_text(value) for key, value in kept.items())
    assert not set(kept) & set(left_out)
