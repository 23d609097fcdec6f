"""The control socket: what clients may do, and that none of it can hold the supervisor up."""

import json
import os
import resource
import selectors
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.supervisor.control import control as module
from vivace.supervisor.control.control import CLIENTS, LONGEST_LINE, Control, Reply, control_folder


class Desk:
    """A control socket whose answers are given by hand, and the clients' side of it."""

    def __init__(self, place: str) -> None:
        self.selector = selectors.DefaultSelector()
        self.asked: list[dict[str, Any]] = []
        self.replies: list[Reply] = []
        self.control = Control(place, self.selector, self._answer)
        self.control.open()
        self.clients: list[socket.socket] = []

    def _answer(self, request: Mapping[str, Any], reply: Reply) -> None:
        self.asked.append(dict(request))
        if request.get("fail"):
            raise RuntimeError("a fault of ours")
        if request.get("later"):
            self.replies.append(reply)
        else:
            odd = "\udcff" if request.get("odd") else ""
            reply({"ok": True, "echo": request.get("say", "x" * request.get("size", 0)) + odd})

    def turn(self, until: Callable[[], bool]) -> None:
        """Let the selector work until something is true."""
        end = time.monotonic() + 10
        while not until():
            assert time.monotonic() < end, "the condition did not come true"
            for key, _ in self.selector.select(0.01):
                key.data()

    def settle(self) -> None:
        """Let the selector work until there is nothing to do."""
        while ready := self.selector.select(0.05):
            for key, _ in ready:
                key.data()

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        self.clients.append(client)
        client.settimeout(5)
        place = self.control.place
        client.connect("\0" + place[1:] if place.startswith("@") else place)
        return client

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.control.close()
        self.selector.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk("auto")
    yield made
    made.close()


def lines(client: socket.socket, count: int = 1) -> list[dict[str, Any]]:
    data = b""
    while data.count(b"\n") < count:
        piece = client.recv(65536)
        if not piece:
            break
        data += piece
    return [json.loads(line) for line in data.splitlines()]


def test_a_line_is_answered_with_a_line(desk: Desk) -> None:
    client = desk.connect()
    client.sendall(b'{"say": "one"}\n{"say": "two"}\n{"say": ')
    desk.turn(lambda: len(desk.asked) == 2)
    assert [answer["echo"] for answer in lines(client, 2)] == ["one", "two"]
    client.sendall(b'"three"}\n')
    desk.turn(lambda: len(desk.asked) == 3)
    assert lines(client) == [{"ok": True, "echo": "three"}]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([b"\n", b'{"say": "x"}\n', b"{"]))))
def test_whatever_comes_the_next_client_is_answered(pieces: list[bytes]) -> None:
    desk = Desk("auto")
    try:
        client = desk.connect()
        for piece in pieces:
            client.sendall(piece)
            for key, _ in desk.selector.select(0):
                key.data()
        client.shutdown(socket.SHUT_WR)
        other = desk.connect()
        other.sendall(b'{"say": "me"}\n')
        desk.turn(lambda: any(one.get("say") == "me" for one in desk.asked))
        assert lines(other) == [{"ok": True, "echo": "me"}]
        desk.turn(lambda: len(desk.control._clients) == 1)
        for answer in lines(client, 10_000):
            assert answer["ok"] or answer["error"]
    finally:
        desk.close()


def test_a_fault_of_ours_is_an_answer_and_no_end(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    client = desk.connect()
    client.sendall(b'{"fail": true}\n{"odd": true}\n{"say": "goes on"}\n')
    desk.turn(lambda: len(desk.asked) == 3)
    failed, odd, well = lines(client, 3)
    assert failed == {"ok": False, "error": "the server failed at it; its log says how", "code": 1}
    assert "a fault of ours" in caplog.text
    assert odd["error"] == "the answer is no text"
    assert well["ok"]


def test_without_descriptors_clients_are_sent_away_and_wake_nobody(desk: Desk) -> None:
    waits = desk.connect()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        desk.settle()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert waits.recv(1) == b""
    client = desk.connect()
    client.sendall(b'{"say": "again"}\n')
    desk.turn(lambda: len(desk.asked) == 1)
    assert lines(client)[0]["echo"] == "again"


def test_on_linux_the_socket_has_no_file(desk: Desk) -> None:
    assert desk.control.place == f"@vivace/{os.geteuid()}/{os.getpid()}"


@pytest.mark.parametrize("line", [b"[]", b"hello", b'{"a": 1', b"\xff", b"", b"1", b'{"a":' + b"[" * 60_000])
def test_what_is_no_request_is_answered(desk: Desk, line: bytes) -> None:
    client = desk.connect()
    client.sendall(line + b'\n{"say": "still here"}\n')
    desk.turn(lambda: len(desk.asked) == 1)
    first, second = lines(client, 2)
    assert not first["ok"]
    assert "a JSON object on one line" in first["error"]
    assert second["echo"] == "still here"


def test_the_longest_line_is_heard_and_a_longer_one_is_refused(desk: Desk) -> None:
    client = desk.connect()
    empty = len(b'{"say": ""}')
    client.sendall(b'{"say": "%s"}\n' % (b"x" * (LONGEST_LINE - empty)))
    desk.turn(lambda: len(desk.asked) == 1)
    assert lines(client)[0]["ok"]
    client.sendall(b"x" * (LONGEST_LINE + 1))
    desk.settle()
    assert lines(client) == [{"ok": False, "error": f"a request has {LONGEST_LINE} octets at most"}]
    assert client.recv(1) == b""


def test_an_answer_may_come_later_and_the_next_line_waits_for_it(desk: Desk) -> None:
    client, other = desk.connect(), desk.connect()
    client.sendall(b'{"later": true}\n{"say": "second"}\n')
    other.sendall(b'{"say": "meanwhile"}\n')
    desk.turn(lambda: len(desk.asked) == 2)
    desk.settle()
    assert lines(other)[0]["echo"] == "meanwhile"
    assert len(desk.asked) == 2
    desk.replies[0]({"ok": True, "n": 1})
    desk.replies[0]({"ok": True, "n": 2})
    desk.turn(lambda: len(desk.asked) == 3)
    assert lines(client, 2) == [{"ok": True, "n": 1}, {"ok": True, "echo": "second"}]


def test_who_only_says_the_end_of_its_request_gets_its_answer(desk: Desk) -> None:
    client = desk.connect()
    client.sendall(b'{"later": true}\n')
    client.shutdown(socket.SHUT_WR)
    desk.turn(lambda: len(desk.asked) == 1)
    desk.settle()
    desk.replies[0]({"ok": True})
    desk.settle()
    assert lines(client) == [{"ok": True}]
    assert client.recv(1) == b""


def test_who_left_before_the_answer_does_no_harm(desk: Desk) -> None:
    client = desk.connect()
    client.sendall(b'{"later": true}\n')
    desk.turn(lambda: len(desk.asked) == 1)
    client.close()
    desk.settle()
    desk.replies[0]({"ok": True})
    desk.settle()
    assert len(desk.selector.get_map()) == 1


def test_who_does_not_read_its_answer_is_not_heard_and_holds_up_nobody(desk: Desk) -> None:
    client, other = desk.connect(), desk.connect()
    client.sendall(b'{"size": 1000000}\n')
    desk.settle()
    client.sendall(b'{"size": 3}\n' * 100)
    other.sendall(b'{"say": "others"}\n')
    desk.settle()
    assert lines(other)[0]["echo"] == "others"
    assert len(desk.asked) == 2
    client.setblocking(False)
    got = b""
    while got.count(b"\n") < 101:
        desk.settle()
        got += client.recv(1_000_000)
    assert [len(json.loads(line)["echo"]) for line in got.splitlines()] == [1_000_000, *[3] * 100]


def test_silent_clients_make_room_for_new_ones(desk: Desk) -> None:
    silent = [desk.connect() for _ in range(CLIENTS)]
    desk.turn(lambda: len(desk.control._clients) == CLIENTS)
    silent[0].sendall(b'{"later": true}\n')
    desk.turn(lambda: len(desk.asked) == 1)
    one_more = desk.connect()
    one_more.sendall(b'{"say": "in"}\n')
    desk.turn(lambda: len(desk.asked) == 2)
    assert lines(one_more)[0]["echo"] == "in"
    assert silent[1].recv(1) == b""
    desk.replies[0]({"ok": True})
    assert lines(silent[0]) == [{"ok": True}]


def test_when_all_wait_one_more_is_told_so(desk: Desk) -> None:
    for _ in range(CLIENTS):
        desk.connect().sendall(b'{"later": true}\n')
    desk.turn(lambda: len(desk.asked) == CLIENTS)
    one_more = desk.connect()
    desk.settle()
    assert "clients wait already" in lines(one_more)[0]["error"]


def test_other_users_are_not_heard(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "peer_of", lambda _: (1, os.geteuid() + 1))
    client = desk.connect()
    desk.settle()
    assert client.recv(1) == b""
    monkeypatch.setattr(module, "peer_of", lambda _: (1, 0))
    client = desk.connect()
    client.sendall(b'{"say": "root"}\n')
    desk.turn(lambda: len(desk.asked) == 1)


def test_a_socket_with_a_file_is_the_users_own(tmp_path: Path) -> None:
    place = tmp_path / "ctl.sock"
    desk = Desk(str(place))
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    client = desk.connect()
    client.sendall(b"{}\n")
    desk.turn(lambda: len(desk.asked) == 1)
    desk.control.close(remove=False)
    assert place.exists()
    desk.close()
    assert not place.exists()


def test_the_file_of_another_server_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "ctl.sock"
    first = Desk(str(place))
    with caplog.at_level("INFO", "vivace"):
        second = Desk(str(place))
    assert second.control.place == ""
    assert len(caplog.records) == 1
    second.close()
    assert place.exists()
    first.close()


def test_a_place_that_cannot_be_used_is_one_line_and_no_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "vivace"):
        desk = Desk(str(tmp_path / "nowhere" / "ctl.sock"))
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "no control socket" in caplog.text
    assert desk.control.place == ""
    desk.close()


def test_off_is_nothing_at_all(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "vivace"):
        desk = Desk("off")
    assert caplog.text == ""
    assert not desk.selector.get_map()
    desk.close()


def test_without_abstract_sockets_a_folder_of_ones_own_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ABSTRACT", False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    desk = Desk("auto")
    assert desk.control.place == str(tmp_path / "vivace" / f"{os.getpid()}.sock")
    assert stat.S_IMODE((tmp_path / "vivace").stat().st_mode) == 0o700
    desk.close()
    (tmp_path / "vivace").chmod(0o777)
    with pytest.raises(PermissionError):
        control_folder()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert control_folder() == str(tmp_path / f"vivace-{os.geteuid()}")
