"""klusta's probe files as people write them, and as nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.ephys import harmless
from labsched.ephys.errors import EphysError
from labsched.ephys.probes import prb, resolve

PLAIN = """
channel_groups = {
    0: {
        'channels': list(range(4)),
        'graph': [(0, 1), (1, 2), (2, 3)],
        'geometry': {i: (0, 50 * i) for i in range(4)},
    }
}
"""
LOOP = """
# two shanks
n = 4
channel_groups = {}
for shank in range(2):
    first = shank * n
    group = {'channels': [], 'geometry': {}}
    for i in range(n):
        group['channels'].append(first + i)
        group['geometry'][first + i] = [200.0 * shank, -25 * i if i % 2 == 0 else -25 * i + 1]
    channel_groups[shank] = group
"""


def test_a_comprehension_and_a_range_are_read():
    probe = prb.read(PLAIN, "p")
    assert [site.id for site in probe.sites] == ["0", "1", "2", "3"]
    assert probe.sites[3].y == 150.0
    assert probe.edges == {0: (("0", "1"), ("1", "2"), ("2", "3"))}


def test_loops_are_read():
    probe = prb.read(LOOP, "p")
    assert [site.group for site in probe.sites] == [0] * 4 + [1] * 4
    assert (probe.sites[5].x, probe.sites[5].y) == (200.0, -24.0)


def test_the_graph_that_a_file_gives_is_kept_and_rejoined_where_a_site_is_lost(tmp_path):
    (tmp_path / "p.prb").write_text(PLAIN)
    layout = resolve(tmp_path / "p.prb", ["a", "b", "c", "d"], ["b"])
    assert layout.groups[0].graph == ((0, 1), (1, 2))


def test_sites_that_a_file_calls_no_neighbours_stay_apart(tmp_path):
    (tmp_path / "p.prb").write_text("channel_groups = {0: {'channels': [0, 1, 2], 'graph': []}}")
    assert resolve(tmp_path / "p.prb", ["a", "b", "c"], ["b"]).groups[0].graph == ()


def test_a_prb_may_leave_out_the_columns_that_are_omitted(tmp_path):
    (tmp_path / "p.prb").write_text("channel_groups = {0: {'channels': [0, 1, 3]}}")
    assert resolve(tmp_path / "p.prb", ["a", "b", "c", "d"], ["c"]).sites == ("0", "1", "3")
    with pytest.raises(EphysError, match="3 sites but the data has 4 channels"):
        resolve(tmp_path / "p.prb", ["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\nos.system('true')", "line 1: 'import os' is more Python"),
        ("channel_groups = __import__('os').environ", "line 1"),
        ("channel_groups = {}.__class__", "more Python"),
        ("x = [].__class__.__base__.__subclasses__()", "more Python"),
        ("def f():\n    pass", "line 1"),
        ("x = 1\nwhile True:\n    x += 1", "line 2"),
        ("x = open('/etc/passwd')", "line 1"),
        ("x = lambda: 0", "line 1"),
        ("channel_groups = {0: {", "not valid Python"),
        ("x = 10 ** 9", "line 1"),
        ("x = [0] * 10 ** 9", "line 1"),
        ("x = [0] * 1000000000", "line 1: a product is too large"),
        ("x = range(10000000)\nfor i in x:\n    pass", "too long"),
        ("x = [1]\nfor i in range(60):\n    x.extend(x)", "line 3: a list grows too long"),
        ("for i in range(99999):\n    for j in range(99999):\n        pass", "takes too long"),
        ("x = '%9999999999d' % 1", "line 1"),
        ("x = y", "y is not defined"),
        ("x = [1][5]", "line 1: list index out of range"),
        ("x = 1 / 0", "line 1: division by zero"),
        ("", "does not define channel_groups"),
        ("channel_groups = {}", "does not define channel_groups"),
        ("channel_groups = {'a': {'channels': [0]}}", "number the groups"),
        ("channel_groups = {0: {'geometry': {}}}", "group 0 has no 'channels'"),
        ("channel_groups = {0: {'channels': [0, 0]}}", "channel 0 is also in group 0"),
        ("channel_groups = {0: {'channels': [0]}, 1: {'channels': [0]}}", "channel 0 is also in group 0"),
        ("channel_groups = {0: {'channels': [-1]}}", "-1 is not a channel number"),
        ("channel_groups = {0: {'channels': [0, 1], 'geometry': {0: (0, 0)}}}", "no position for channel 1"),
        ("channel_groups = {0: {'channels': [0], 'geometry': {0: (0,)}}}", "position of channel 0"),
        ("channel_groups = {0: {'channels': [0], 'graph': [(0, 7)]}}", "names channel 7"),
        ("channel_groups = {0: {'channels': []}}", "has no channels"),
    ],
)
def test_what_cannot_be_a_probe_is_a_sentence_with_a_line(text, said):
    with pytest.raises(EphysError, match=said):
        prb.read(text, "p")


@given(st.text())
def test_no_text_makes_it_fail_in_another_way(text):
    try:
        harmless.evaluate(text)
    except harmless.Unreadable as error:
        assert str(error)


VALUES = st.recursive(
    st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_every_literal_is_read_as_python_reads_it(value):
    try:
        found = harmless.evaluate(f"x = {value!r}")
    except harmless.Unreadable as error:
        # floats such as inf have no literal
        assert "inf" in repr(value) and "inf is not defined" in str(error)
    else:
        assert found["x"] == value
