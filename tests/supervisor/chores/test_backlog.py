"""Full queues are told once, by the socket and the system together, and their end when they are quiet."""

import logging
import socket
import sys
from pathlib import Path

import pytest

from vivace.supervisor.chores.backlog import QUIET, BacklogWatch
from vivace.supervisor.system import queues
from vivace.supervisor.system.queues import count_dropped, count_overflows


class System:
    """Counts as it is told to."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.dropped: int | None = 7
        self.overflows: int | None = 100
        self.asked = 0

    def watch(self) -> BacklogWatch:
        return BacklogWatch([("here:80", self.socket)], lambda _: self.dropped, self._overflows)

    def _overflows(self) -> int | None:
        self.asked += 1
        return self.overflows


@pytest.fixture
def system() -> System:
    made = System()
    made.socket.close()
    return made


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object, bool]]:
    ours = [record for record in caplog.records if "event" in record.__dict__]
    return [(one.getMessage()[:52], one.__dict__["subject"], one.__dict__["resolved"]) for one in ours]


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vivace")


def test_what_was_before_is_no_news(system: System, caplog: pytest.LogCaptureFixture) -> None:
    watch = system.watch()
    asked = system.asked
    for now in (1.0, 3.0):
        watch.look(now)
    assert watch.due == 5.0
    assert (told(caplog), system.asked) == ([], asked)


@pytest.mark.parametrize(("dropped", "overflows", "lost"), [(3, 5, 3), (5, 3, 3), (5, 0, 0)])
def test_both_have_to_say_so(
    dropped: int, overflows: int, lost: int, system: System, caplog: pytest.LogCaptureFixture
) -> None:
    watch = system.watch()
    system.dropped, system.overflows = 7 + dropped, 100 + overflows
    watch.look(1.0)
    text = f"the queue of here:80 is full: {lost} connections were not let in"
    assert told(caplog) == ([(text[:52], "here:80", False)] if lost else [])
    assert all(text in record.getMessage() for record in caplog.records)


def test_it_is_over_after_a_quiet_while(system: System, caplog: pytest.LogCaptureFixture) -> None:
    watch = system.watch()
    for now in (1.0, 10.0):
        system.dropped, system.overflows = (system.dropped or 0) + 1, (system.overflows or 0) + 1
        watch.look(now)
    watch.look(10.0 + QUIET - 0.1)
    assert [resolved for *_, resolved in told(caplog)] == [False]
    watch.look(10.0 + QUIET)
    assert [resolved for *_, resolved in told(caplog)] == [False, True]


def test_a_number_that_begins_anew_is_understood(system: System, caplog: pytest.LogCaptureFixture) -> None:
    system.dropped = 2**32 - 1
    watch = system.watch()
    system.dropped, system.overflows = 1, 200
    watch.look(1.0)
    assert "2 connections were not let in" in caplog.text


def test_a_system_that_does_not_say_is_left_alone(system: System, caplog: pytest.LogCaptureFixture) -> None:
    system.dropped = None
    assert system.watch().due == float("inf")
    system.dropped = 7
    watch = system.watch()
    system.dropped, system.overflows = 8, None
    watch.look(1.0)
    assert told(caplog) == []


def test_only_sockets_of_tcp_have_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        assert count_dropped(one) is None
    if sys.platform == "linux":
        assert count_overflows() is not None
        with socket.create_server(("127.0.0.1", 0)) as one:
            assert count_dropped(one) == 0
    for text in ("", "TcpExt: ListenOverflows\nTcpExt: many\n", "\xff"):
        (tmp_path / "netstat").write_text(text)
        monkeypatch.setattr(queues, "NETSTAT", tmp_path / "netstat")
        assert count_overflows() is None
