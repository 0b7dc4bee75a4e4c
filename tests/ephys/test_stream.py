"""Tasks are worked on by so many threads and no more, and their results come in order."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labsched.ephys import stream


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 40), threads=st.integers(1, 5))
def test_results_come_in_order(count, threads):
    seen: list[int] = []
    found = stream.in_order(range(count), lambda n: n * n, threads=threads, aside=seen.append)
    assert list(found) == [n * n for n in range(count)]
    assert seen == sorted(seen)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_more_threads_than_granted_and_no_fewer_are_used(threads):
    lock, busy, most, who = threading.Lock(), 0, 0, set()
    together = threading.Barrier(threads)

    def work(_task: int) -> None:
        nonlocal busy, most
        with lock:
            busy, most = busy + 1, max(most, busy + 1)
            new = threading.get_ident() not in who
            who.add(threading.get_ident())
        if new:
            together.wait(20)
        with lock:
            busy -= 1

    list(stream.in_order(range(40), work, threads=threads))
    assert most == threads == len(who)


@pytest.mark.parametrize("threads", [1, 3])
def test_what_a_task_raises_is_raised_in_its_turn_and_the_rest_is_left(threads):
    done = []

    def work(task: int) -> int:
        if task == 5:
            raise KeyError(task)
        done.append(task)
        return task

    found = stream.in_order(range(10_000), work, threads=threads)
    assert [next(found) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(KeyError):
        next(found)
    assert len(done) < 100


def test_few_tasks_are_taken_ahead_of_their_turn():
    taken = []

    def tasks():
        for number in range(1000):
            taken.append(number)
            yield number

    for got, _ in enumerate(stream.in_order(tasks(), lambda n: n, threads=3)):
        assert len(taken) <= got + 20


def test_neighbours_are_read_together_and_nothing_else():
    blocks = [stream.Block(i, s, a, b, 0) for i, (s, a, b) in enumerate(
        [(0, 0, 2048), (0, 2048, 4096), (0, 4096, 5000), (1, 0, 2048), (1, 4096, 6144)])]  # fmt: skip
    together = [[each.index for each in group] for group in stream.grouped(blocks, 128, 4096)]
    assert together == [[0, 1], [2], [3], [4]]
    assert all(len(group) == 1 for group in stream.grouped(blocks, 128, 1))
