import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsched.core.model import JobSpec, Retry
from labsched.errors import BadRequest
from labsched.recipes import command

HERE = "/here"


def read(*lines: object) -> list[tuple[int, JobSpec]]:
    return command.read_jobs([line if isinstance(line, str) else json.dumps(line) for line in lines], HERE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("90", 90), ("90s", 90), ("15m", 900), ("8h", 28_800), ("2d", 172_800), ("1w", 604_800)],
        *[("1h30m", 5_400), ("1.5h", 5_400), ("8:00", 28_800), ("12:00:30", 43_230), (" 8H ", 28_800), (".5m", 30)],
    ],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert command.parse_time(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "1h30", "-3", "1e9", "inf", "nan", "0", "0h", "1 h", "8:60", "99999d", "١", "1x"]
)
def test_what_is_no_time_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(BadRequest, match=r"is not a time|makes no sense"):
        command.parse_time(text)


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_a_bad_request(text: str) -> None:
    try:
        seconds = command.parse_time(text)
    except BadRequest:
        return
    assert 0 < seconds <= command.MAX_TIME


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(1, 59))
def test_a_time_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert command.parse_time(f"{days}d{hours}h{minutes}m{seconds}s") == expected
    assert command.parse_time(f"{days * 24 + hours}:{minutes:02}:{seconds:02}") == expected


def test_needs_are_read_from_one_option_or_several() -> None:
    assert command.parse_needs(["CPU=4,GPU=1"]) == command.parse_needs(["CPU=4", "GPU"]) == ({"CPU": 4, "GPU": 1}, {})
    assert command.parse_needs([" CPU = 4 , GPU=1"]).needs == {"CPU": 4, "GPU": 1}
    assert command.parse_needs(["CPU=1..8,GPU", "RAM=2..2"]) == ({"CPU": 1, "GPU": 1, "RAM": 2}, {"CPU": 8, "RAM": 2})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CPU=",
        "CPU=0",
        "CPU=-1",
        "CPU=1.5",
        "CPU=x",
        "=4",
        "CPU=4,,",
        "CPU=1,CPU=2",
        "C U=1",
        "CPU=2..1",
        "CPU=..4",
        "CPU=1..",
        "CPU=0..4",
    ],
)
def test_what_is_no_need_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        command.parse_needs([text])


@given(st.lists(st.text(max_size=15), max_size=4))
def test_any_text_is_a_need_or_a_bad_request(values: list[str]) -> None:
    try:
        needs, up_to = command.parse_needs(values)
    except BadRequest:
        return
    assert all(pool.isprintable() and 1 <= slots <= command.MAX_SLOTS for pool, slots in needs.items())
    assert all(needs[pool] <= slots <= command.MAX_SLOTS for pool, slots in up_to.items())


POOLS = st.dictionaries(st.from_regex(r"[A-Z][a-z0-9_.-]{0,8}", fullmatch=True), st.integers(1, 10**6), min_size=1)


@given(POOLS)
def test_needs_come_back_as_they_were_written(needs: dict[str, int]) -> None:
    assert command.parse_needs([",".join(f"{pool}={slots}" for pool, slots in needs.items())]).needs == needs


@given(st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=5))
def test_a_command_without_a_name_gets_one_that_shows_on_a_line_and_means_no_other_job(argv: list[str]) -> None:
    if "\0" in "".join(argv):
        with pytest.raises(BadRequest, match="cannot be stored"):
            command.expand(argv, cwd="/")
        return
    name = command.expand(argv, cwd="/").name
    assert name and len(name) <= command.MAX_NAME and name.isprintable()
    assert not name.isdecimal() and name != "last"


@pytest.mark.parametrize("name", ["", " ", "12", "last", "a\nb", "a\x1b[2J", "x" * 201, " a"])
def test_a_name_that_would_mislead_is_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        command.expand(["true"], cwd="/", name=name)


def test_bytes_that_are_not_text_are_refused_and_the_word_is_counted() -> None:
    with pytest.raises(BadRequest, match="word 2 of the command"):
        command.expand(["echo", "\udcff"], cwd="/")


def test_a_line_has_all_that_a_job_can_have() -> None:
    line = {
        "argv": ["a", "b"],
        "needs": {"GPU": 2},
        "name": "n",
        "after": [3, "last"],
        "cwd": "sub",
        "env": {"X": "1"},
        "time": "1h",
        "memory": "12G",
        "priority": 5,
        "hold": True,
    }
    ((number, job),) = read("# a comment", "", line)
    stage = job.stages[0]
    assert number == 3
    assert (job.name, job.after, job.priority, job.hold) == ("n", (3, "last"), 5, True)
    assert (stage.argv, stage.needs, stage.cwd) == (("a", "b"), {"GPU": 2}, "/here/sub")
    assert (stage.env, stage.time_limit, stage.memory) == ({"X": "1"}, 3600.0, 12_000_000_000)


def test_a_line_with_a_command_alone_needs_one_processor() -> None:
    ((_, job),) = read({"argv": ["true"]})
    assert (job.stages[0].needs, job.stages[0].cwd, job.after) == ({"CPU": 1}, "/here", ())


def test_a_line_says_how_often_it_is_tried_again() -> None:
    found = read(
        {"argv": ["true"]},
        {"argv": ["true"], "retry": 0},
        {"argv": ["true"], "retry": 3},
        {"argv": ["true"], "retry": {"times": 2, "wait": "5m", "codes": [4], "alone": False}},
    )
    policies = [job.stages[0].retry for _, job in found]
    assert policies == [None, None, Retry(3), Retry(2, wait=300.0, codes=(4,), alone=False)]


def test_every_bad_line_is_named_with_what_is_wrong() -> None:
    lines = [
        {"argv": ["true"]},
        {"argv": ["true"], "nedes": {}},
        "{",
        {"argv": "true"},
        {"argv": []},
        {"argv": ["true"], "needs": {"CPU": True}},
        {"argv": ["true"], "time": "soon"},
        {"argv": ["true"], "memory": "much"},
        {"argv": ["true"], "memory": 5},
        {"argv": ["true"], "memory": -1},
        {"argv": ["true"], "priority": 10**30},
        {"argv": ["true"], "env": {"A=B": "1"}},
        {"argv": ["true"], "after": 0},
        {"argv": ["true"], "after": 10**30},
        {"argv": ["true"], "retry": -1},
        {"argv": ["true"], "retry": {"times": 1, "wiat": 5}},
        {"argv": ["true"], "retry": {"times": 1, "codes": [0]}},
        [],
    ]
    with pytest.raises(BadRequest) as caught:
        read(*lines)
    said = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in said] == [f"line {n}" for n in range(2, 19)]
    assert "nedes" in said[0]


def test_a_job_may_stand_before_the_one_that_it_comes_after() -> None:
    jobs = read({"argv": ["b"], "name": "b", "after": "a"}, {"argv": ["a"], "name": "a"})
    assert [(number, job.name) for number, job in jobs] == [(2, "a"), (1, "b")]


def test_jobs_that_come_after_each_other_are_refused_with_their_lines() -> None:
    with pytest.raises(BadRequest, match=r"line 1: .* 1, 3"):
        read(
            {"argv": ["a"], "name": "a", "after": "c"},
            {"argv": ["b"], "name": "b"},
            {"argv": ["c"], "name": "c", "after": ["a", "b"]},
        )


def test_after_a_name_that_two_lines_have_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"line 3: after 'x' could mean lines 1, 2"):
        read(*[{"argv": ["a"], "name": "x"}] * 2, {"argv": ["b"], "after": "x"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["argv", "needs", "name", "after", "cwd", "env", "time", "memory", "priority", "hold", "else"])


@given(st.lists(st.text(max_size=30) | st.dictionaries(KEYS, JSON, max_size=4).map(json.dumps), max_size=3))
def test_whatever_a_file_holds_it_is_jobs_or_a_bad_request(lines: list[str]) -> None:
    try:
        jobs = command.read_jobs(lines, HERE)
    except BadRequest as error:
        assert all(line.startswith("line ") for line in str(error).splitlines())
        return
    assert all(job.stages[0].argv[0] and job.stages[0].cwd.startswith("/") for _, job in jobs)


@given(st.permutations(range(6)), st.data())
def test_in_whatever_order_jobs_stand_each_is_sent_after_those_that_it_comes_after(
    order: list[int], data: st.DataObject
) -> None:
    after = {n: data.draw(st.sets(st.integers(0, n - 1))) if n else set() for n in range(6)}
    lines = [{"argv": ["x"], "name": f"job{n}", "after": [f"job{m}" for m in after[n]]} for n in order]
    sent = [job.name for _, job in read(*lines)]
    assert sorted(sent) == [f"job{n}" for n in range(6)]
    assert all(sent.index(f"job{m}") < sent.index(f"job{n}") for n in after for m in after[n])
