"""What crosses the socket comes out as it went in; what a newer peer adds is passed over, what is wrong is not."""

from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.core.model import JobSpec, Retry, StageSpec
from labsched.wire import messages, requests

KINDS = [
    kind
    for room in (messages, requests)
    for kind in vars(room).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct
]
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
whole = st.integers(-(2**63), 2**63 - 1)
st.register_type_strategy(str, text)
st.register_type_strategy(int, whole)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
plain = st.one_of(st.none(), st.booleans(), whole, text, st.lists(text, max_size=2))
stages = st.builds(
    StageSpec,
    name=text,
    argv=st.lists(text, max_size=3).map(tuple),
    needs=st.dictionaries(text, whole, max_size=2),
    cwd=text,
    outputs=st.lists(text, max_size=2).map(tuple),
    time_limit=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    env=st.dictionaries(text, text, max_size=2),
    memory=st.none() | whole,
    retry=st.none() | st.builds(Retry, times=whole, codes=st.lists(whole, max_size=2).map(tuple)),
)
jobs = st.builds(
    JobSpec,
    name=text,
    stages=st.lists(stages, max_size=2).map(tuple),
    key=st.none() | text,
    env=st.dictionaries(text, text, max_size=2),
    after=st.lists(whole | text, max_size=2).map(tuple),
    priority=whole,
    hold=st.booleans(),
    again=st.booleans(),
)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that a message may have in it."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs(kind)
    if kind is JobSpec:
        return jobs
    arguments = [a for a in get_args(kind) if a is not msgspec.UnsetType]
    if isinstance(kind, UnionType):
        return st.one_of([st.none() if a is NoneType else values(a) for a in arguments])
    if get_origin(kind) is dict:
        return st.dictionaries(text, plain if arguments[1] is object else values(arguments[1]), max_size=2)
    if get_origin(kind) is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if kind is object:
        return plain
    if kind is datetime:
        return st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
    return st.from_type(kind)


@cache
def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[msgspec.Struct]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values(hints[name]) for name in kind.__struct_fields__})


anything = st.sampled_from(KINDS).flatmap(structs)


@given(message=anything)
def test_every_message_comes_out_as_it_went_in(message: msgspec.Struct) -> None:
    encoded = msgspec.json.encode(message)
    decoded = msgspec.json.decode(encoded, type=type(message))
    assert decoded == message
    assert msgspec.json.encode(decoded) == encoded


@given(message=anything, added=st.dictionaries(text.map(lambda word: f"new_{word}"), plain, min_size=1, max_size=3))
def test_fields_that_a_newer_peer_adds_are_passed_over(message: msgspec.Struct, added: dict[str, Any]) -> None:
    value = msgspec.json.decode(msgspec.json.encode(message))
    assert msgspec.json.decode(msgspec.json.encode(value | added), type=type(message)) == message


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (requests.Verb, b'{"jobs": [1]}'),
        (requests.Verb, b"{}"),
        (requests.PoolSet, b'{"slots": true}'),
        (requests.PoolSet, b'{"slots": 1.5}'),
        (requests.PoolSet, b'{"paused": 1}'),
        (requests.Submit, b'{"jobs": [{"name": "x"}]}'),
        (requests.Submit, b'{"jobs": [], "env": {"A": 1}}'),
    ],
)
def test_a_value_of_another_type_is_refused_and_never_guessed(kind: type[msgspec.Struct], body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=kind)


def test_times_are_iso_in_utc() -> None:
    from labsched.daemon.views import moment

    assert msgspec.json.encode(moment(0.25)) == b'"1970-01-01T00:00:00.250000Z"'
