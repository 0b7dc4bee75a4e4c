"""A message says what happened, why, and what mends it, and stays short."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from labsched.notify import words
from labsched.notify.kinds import KINDS
from labsched.notify.message import Thing

AT = datetime(2026, 11, 23, 13, 50, tzinfo=UTC)


def failed(job: int, reason: str = "exit 3: no such port") -> Thing:
    return Thing(kind="failed", at=AT, job=job, name=f"train {job}", user="ann", stage="run", reason=reason,
                 retry=f"labsched retry {job}", log=("one", "two"))  # fmt: skip


def test_one_failure_has_the_reason_the_command_and_the_log() -> None:
    assert words.title("rig", [failed(7)]) == "labsched on rig: job 7 (train 7) failed"
    body = words.body([failed(7)])
    for part in ("exit 3: no such port", "labsched retry 7", "labsched logs 7", "    one\n    two"):
        assert part in body


def test_a_hundred_failures_have_one_command() -> None:
    things = [failed(job) for job in range(1, 101)]
    assert words.title("rig", things) == "labsched on rig: 100 jobs failed"
    body = words.body(things)
    assert body.count("exit 3: no such port") == 1
    assert f"labsched retry {' '.join(str(job) for job in range(1, 101))}\n" in body


def test_all_else_is_a_sentence() -> None:
    for thing, part in (
        (Thing(kind="empty", at=AT), "nothing runs"),
        (Thing(kind="disk", at=AT, path="/var", free=2_000_000_000), "2.0 GB are left for /var"),
        (Thing(kind="wait", at=AT, job=3, name="x", seconds=7200.0), "has waited for 2h00"),
    ):
        assert part in words.body([thing])
        assert part in words.body([thing, failed(1)]) or thing.kind == "wait"


texts = st.none() | st.text(max_size=300)
things = st.lists(
    st.builds(
        Thing, kind=st.sampled_from(KINDS), at=st.just(AT), job=st.integers(1, 10**9), name=texts, user=texts,
        stage=texts, reason=texts, retry=texts, log=st.lists(st.text(max_size=300), max_size=15).map(tuple),
        seconds=st.none() | st.floats(0, 1e9), path=texts, free=st.none() | st.integers(0, 10**15),
    ),
    min_size=1, max_size=60,
)  # fmt: skip


@given(things)
def test_whatever_happens_a_message_is_short(found: list[Thing]) -> None:
    assert len(words.body(found)) <= words.MOST
    assert words.title("rig", found).startswith("labsched on rig: ")
