"""What every driver promises, tried with each of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tasks.conftest import START, spool_url
from vivace.tasks.records import NewTask, Task
from vivace.tasks.redis import RedisSpool
from vivace.tasks.spool import Spool, open_spool

LEASE = 30.0


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spool]:
    made = open_spool(spool_url(request, tmp_path))
    yield made
    made.close()


def put(spool: Spool, *tasks: NewTask, now: float = START) -> list[int]:
    with spool.transaction():
        return [placed.id for placed in spool.enqueue(tasks, now)]


def take(spool: Spool, worker: str = "w", limit: int = 10, now: float = START, name: str = "a") -> list[Task]:
    with spool.transaction():
        return spool.claim(worker, [name], limit, LEASE, now)


def state(spool: Spool, number: int) -> str:
    task = spool.get(number)
    return "gone" if task is None else task.state


def test_the_greatest_priority_comes_first_then_the_oldest(spool: Spool) -> None:
    low, high, later = put(spool, NewTask("a"), NewTask("a", priority=5), NewTask("a"))
    assert [task.id for task in take(spool)] == [high, low, later]


def test_a_task_is_given_to_one_only(spool: Spool) -> None:
    (number,) = put(spool, NewTask("a", payload=b'{"x":1}', queue="mail"))
    (task,) = take(spool, "one")
    assert (task.id, task.payload, task.queue, task.attempts, task.worker) == (
        number,
        b'{"x":1}',
        "mail",
        1,
        "one",
    )
    assert take(spool, "two") == []


def test_no_more_are_taken_than_asked_for_and_none_that_is_not_known(spool: Spool) -> None:
    put(spool, *[NewTask("a")] * 3, NewTask("b"))
    assert len(take(spool, limit=2)) == 2
    assert take(spool, limit=0) == []
    assert [task.name for task in take(spool)] == ["a"]
    assert spool.claim("w", [], 5, LEASE, START) == []


def test_a_task_for_later_is_not_taken_before_its_time(spool: Spool) -> None:
    (number,) = put(spool, NewTask("a", run_at=START + 60))
    assert (state(spool, number), take(spool, now=START + 59)) == ("later", [])
    assert spool.next_due(["a"], START) == START + 60
    assert [task.id for task in take(spool, now=START + 60)] == [number]
    assert spool.next_due(["a"], START) is None


def test_a_task_that_is_done_is_gone_unless_it_is_kept(spool: Spool) -> None:
    gone, kept = put(spool, NewTask("a"), NewTask("a", keep=60))
    with spool.transaction():
        assert all(spool.ack("w", task, b"42", START) for task in take_inside(spool))
    assert state(spool, gone) == "gone"
    found = spool.get(kept)
    assert found is not None
    assert (found.state, found.result, found.finished) == ("done", b"42", START)
    with spool.transaction():
        assert (spool.sweep(START + 59), spool.sweep(START + 60)) == (0, 1)
    assert spool.stats(START)["finished"] == 2


def take_inside(spool: Spool) -> list[Task]:
    return spool.claim("w", ["a"], 10, LEASE, START)


def test_a_failure_waits_and_the_last_one_is_death(spool: Spool) -> None:
    (number,) = put(spool, NewTask("a"))
    (task,) = take(spool)
    with spool.transaction():
        assert spool.nack("w", task, "no luck", START + 5, START)
    assert (state(spool, number), take(spool, now=START + 4)) == ("later", [])
    (task,) = take(spool, now=START + 5)
    assert (task.attempts, task.last_error) == (2, "no luck")
    with spool.transaction():
        assert spool.nack("w", task, "no luck at all", None, START + 5)
    assert state(spool, number) == "dead"
    assert spool.stats(START)["failed"] == 2


def test_whoever_lost_his_lease_cannot_end_a_task(spool: Spool) -> None:
    (number,) = put(spool, NewTask("a"))
    (old,) = take(spool, "old")
    with spool.transaction():
        assert spool.recover([], START + LEASE - 1) == 0
        assert spool.recover([], START + LEASE + 1, leases=False) == 0
        assert spool.recover([], START + LEASE + 1) == 1
    (new,) = take(spool, "new", now=START + LEASE + 1)
    assert (new.attempts, new.kills) == (2, 1)
    with spool.transaction():
        assert not spool.ack("old", old, None, START)
        assert not spool.nack("old", old, "x", None, START)
        assert spool.release("old", [old], START) == 0
        assert spool.extend("old", [number], LEASE, START) == set()
    assert state(spool, number) == "running"


def test_a_lease_that_is_renewed_is_kept(spool: Spool) -> None:
    (number,) = put(spool, NewTask("a"))
    take(spool)
    with spool.transaction():
        assert spool.extend("w", [number, 999], LEASE, START + 20) == {number}
        assert spool.extend("w", [], LEASE, START + 20) == set()
        assert spool.recover([], START + 45) == 0


def test_tasks_of_a_process_that_is_gone_are_free_at_once(spool: Spool) -> None:
    put(spool, NewTask("a"), NewTask("a"))
    take(spool, "gone", limit=1)
    take(spool, "here", limit=1)
    assert spool.workers() == {"gone", "here"}
    with spool.transaction():
        assert spool.recover(["gone"], START) == 1
    (again,) = take(spool, "here")
    assert (again.kills, again.attempts, again.last_error) == (1, 2, "its process died while it ran")


def test_what_killed_its_process_three_times_is_dead(spool: Spool) -> None:
    (number,) = put(spool, NewTask("a", max_attempts=100))
    for kills in (1, 2, 3):
        take(spool, f"w{kills}")
        with spool.transaction():
            spool.recover([f"w{kills}"], START)
        assert state(spool, number) == ("dead" if kills == 3 else "ready")


def test_of_those_whose_process_died_one_is_taken_at_a_time(spool: Spool) -> None:
    put(spool, *[NewTask("a")] * 3)
    take(spool, "gone", limit=2)
    with spool.transaction():
        assert spool.recover(["gone"], START) == 2
        assert spool.next_due(["a"], START, suspect=False) == START
        free = spool.claim("w", ["a"], 10, LEASE, START, suspect=False)
        assert [task.id for task in free] == [3]
        assert spool.next_due(["a"], START, suspect=False) is None
        assert spool.next_due(["a"], START) == START
    assert [[task.id for task in take(spool)] for _ in range(3)] == [[1], [2], []]


def test_what_may_be_begun_once_is_dead_with_its_process(spool: Spool) -> None:
    (number,) = put(spool, NewTask("a", max_attempts=1))
    take(spool)
    with spool.transaction():
        spool.recover(["w"], START)
    assert state(spool, number) == "dead"


def test_what_is_given_back_costs_no_attempt(spool: Spool) -> None:
    often, once = put(spool, NewTask("a", max_attempts=2), NewTask("a", max_attempts=1))
    tasks = take(spool)
    with spool.transaction():
        assert spool.release("w", tasks, START) == 2
    assert (state(spool, often), state(spool, once)) == ("ready", "dead")
    (again,) = take(spool)
    assert (again.attempts, again.max_attempts) == (2, 3)


def test_of_one_key_there_is_one_that_is_not_finished(spool: Spool) -> None:
    with spool.transaction():
        first, same, other = spool.enqueue(
            [NewTask("a", unique_key="k"), NewTask("a", unique_key="k"), NewTask("b", unique_key="k")], START
        )
    assert (first.new, same.new, other.new) == (True, False, True)
    assert first.id == same.id
    (task,) = take(spool)
    with spool.transaction():
        assert not spool.enqueue([NewTask("a", unique_key="k")], START)[0].new
        spool.ack("w", task, None, START)
        assert spool.enqueue([NewTask("a", unique_key="k")], START)[0].new


def test_a_slot_is_taken_once(spool: Spool) -> None:
    task = NewTask("a", unique_key="run")
    with spool.transaction():
        assert spool.last_slot("nightly") is None
        assert spool.schedule("nightly", START, task, waits=False, now=START) == "queued"
        assert spool.schedule("nightly", START, task, waits=False, now=START) == "taken"
        assert spool.schedule("nightly", START - 60, task, waits=False, now=START) == "taken"
        assert spool.last_slot("nightly") == START
    assert len(take(spool)) == 1


def test_a_slot_whose_run_before_is_not_done_waits_or_is_over(spool: Spool) -> None:
    task = NewTask("a", unique_key="run")
    with spool.transaction():
        spool.schedule("nightly", START, task, waits=False, now=START)
        assert spool.schedule("nightly", START + 60, task, waits=True, now=START) == "busy"
        assert spool.last_slot("nightly") == START
        assert spool.schedule("nightly", START + 60, task, waits=False, now=START) == "busy"
        assert spool.last_slot("nightly") == START + 60


def test_a_slot_can_be_passed_over(spool: Spool) -> None:
    with spool.transaction():
        assert spool.schedule("nightly", START, None, waits=False, now=START) == "queued"
        assert spool.last_slot("nightly") == START
    assert take(spool) == []


def test_dead_and_waiting_tasks_can_be_run_at_once(spool: Spool) -> None:
    dead, later, ready = put(
        spool, NewTask("a", max_attempts=1), NewTask("a", run_at=START + 60), NewTask("b", unique_key="k")
    )
    (task,) = take(spool)
    with spool.transaction():
        spool.nack("w", task, "x", None, START)
        assert spool.retry(dead, START) == spool.retry(later, START) == ""
        assert "is ready" in spool.retry(ready, START)
        assert "there is no task" in spool.retry(999, START)
    assert {task.id for task in take(spool)} == {dead, later}


def test_a_dead_task_is_not_run_beside_a_new_one_of_its_key(spool: Spool) -> None:
    (dead,) = put(spool, NewTask("a", unique_key="k", max_attempts=1))
    (task,) = take(spool)
    with spool.transaction():
        spool.nack("w", task, "x", None, START)
        spool.enqueue([NewTask("a", unique_key="k")], START)
        assert "is there for the same thing" in spool.retry(dead, START)


def test_what_does_not_run_can_be_dropped(spool: Spool) -> None:
    ready, running = put(spool, NewTask("a"), NewTask("b"))
    take(spool, name="b")
    with spool.transaction():
        assert spool.drop(ready) == ""
        assert "runs" in spool.drop(running)
        assert "there is no task" in spool.drop(ready)
    assert state(spool, ready) == "gone"


def test_tasks_can_be_looked_at(spool: Spool) -> None:
    put(spool, NewTask("a", queue="mail"), NewTask("b"), NewTask("a", run_at=START + 9))
    assert [task.name for task in spool.select("", "", "", 10)] == ["a", "b", "a"]
    assert [task.name for task in spool.select("ready", "", "", 10)] == ["b", "a"]
    assert [task.queue for task in spool.select("ready", "a", "mail", 10)] == ["mail"]
    assert len(spool.select("", "", "", 1)) == 1
    stats = spool.stats(START + 5)
    assert stats["states"] == {"ready": 2, "later": 1}
    assert stats["oldest"] == 5


def test_what_is_broken_off_leaves_nothing(spool: Spool) -> None:
    if isinstance(spool, RedisSpool):
        pytest.skip("each step of its is whole by itself")
    with pytest.raises(ZeroDivisionError), spool.transaction():
        spool.enqueue([NewTask("a")], START)
        raise ZeroDivisionError
    assert spool.select("", "", "", 10) == []


def test_a_schedule_is_set_back_and_never_forward(spool: Spool) -> None:
    with spool.transaction():
        spool.set_back("tick", START)
        assert spool.schedule("tick", START + 50, None, waits=False, now=START) == "queued"
        spool.set_back("tick", START + 60)
        assert spool.last_slot("tick") == START + 50
        spool.set_back("tick", START)
        assert spool.last_slot("tick") == START
        assert spool.schedule("tick", START + 10, None, waits=False, now=START) == "queued"


def test_a_task_that_was_taken_meanwhile_is_not_made_ready_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(spool, RedisSpool):
        pytest.skip("it looks and changes in one step")
    (number,) = put(spool, NewTask("a", run_at=START + 50))
    seen = spool.get(number)
    assert len(take(spool, now=START + 51)) == 1
    monkeypatch.setattr(spool, "get", lambda _: seen)
    with spool.transaction():
        assert "somebody took it meanwhile" in spool.retry(number, START + 51)
    monkeypatch.undo()
    assert state(spool, number) == "running"
