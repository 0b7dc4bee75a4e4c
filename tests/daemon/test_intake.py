"""A submit's body: thousands of jobs become ready, or the first that is wrong is named."""

import msgspec
import pytest

from labsched.core.model import JobSpec, Pool, StageSpec
from labsched.daemon.changes import FEW
from labsched.daemon.intake import Body, take
from labsched.errors import BadRequest, Refused
from labsched.store.ready import ready
from labsched.wire.messages import Submitted
from labsched.wire.requests import Submit
from tests.daemon.test_api import connect, post
from tests.worlds import chain, command, world

POOLS = {"CPU": Pool("CPU", 4), "RAM": Pool("RAM", 2)}


def body(submit: Submit) -> Body:
    return msgspec.json.decode(msgspec.json.encode(submit), type=Body)


def spec(name: str = "a", stages: int = 2, **more: object) -> JobSpec:
    made = tuple(StageSpec(f"s{i}", ("true",), {"CPU": 1}, "/") for i in range(stages))
    return JobSpec(name, made, **more)  # type: ignore[arg-type]


def test_it_has_what_a_submit_has() -> None:
    assert Body.__struct_fields__ == Submit.__struct_fields__


def test_each_job_is_as_it_was_sent_with_the_environment_of_all_under_its_own() -> None:
    sent = Submit((spec("a"), spec("b", env={"X": "2", "Y": "3"})), {"X": "1"})
    full = [spec("a", env={"X": "1"}), spec("b", env={"X": "2", "Y": "3"})]
    assert take(body(sent), POOLS, {}, 100) == list(ready(full))


@pytest.mark.parametrize(
    ("submit", "words"),
    [
        (Submit(()), "no job in the request"),
        (Submit((spec(), spec(stages=3))), "may have 4 stages and `after`s at most"),
        (Submit((spec(), spec("b", after=(1, 2, 3)))), "may have 4 stages"),
        (Submit((spec(), JobSpec("b", (StageSpec("s", ("true",), {"TPU": 1}, "/"),)))), "b: there is no pool TPU"),
    ],
)
def test_what_cannot_be_queued_is_told(submit: Submit, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        take(body(submit), POOLS, {}, 4)


def test_what_is_no_job_is_named_by_its_place() -> None:
    sent = msgspec.json.decode(b'{"jobs": [%s, {"name": 3}]}' % msgspec.json.encode(spec()), type=Body)
    with pytest.raises(msgspec.ValidationError, match=r"\$\.jobs\[1\]\.name"):
        take(sent, POOLS, {}, 100)


def test_who_sends_much_need_not_wait_with_what_is_little() -> None:
    with world() as it, connect(it) as slow:
        slow.sendall(post("jobs", b" " * 10_000_000)[:5_000])
        assert it.submit(command("true")) == [1]


def test_many_jobs_of_one_request_are_queued_all_or_none() -> None:
    """More than are made ready by the thread that writes."""
    count = 3 * FEW
    with world() as it:
        held = [chain(("true",), ("true",), name=f"b{i}", key=f"k{i}", hold=True) for i in range(count)]
        numbers = it.submit(*held[1:])
        assert numbers == list(range(1, count))
        with pytest.raises(Refused, match="k1 is queued already, as job 1"):
            it.submit(command("true", key="new"), *held)
        assert it.status().counts.waiting == count - 1
        last = command("true", name="after them", after=("b1", 2))
        answer = it.client.post("jobs", Submit((held[0], last)), Submitted)
        assert [ref.id for ref in answer.jobs] == [count, count + 1]
        assert it.job(count + 1).after == (1, 2)
