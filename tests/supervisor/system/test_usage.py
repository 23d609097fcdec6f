"""Connections of a process are counted from outside: those to the resource, and no others."""

import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from vivace.config.budget import Plan
from vivace.supervisor.chores.housekeeping import UsageCheck
from vivace.supervisor.system import usage
from vivace.supervisor.system.usage import (
    Place,
    Usage,
    UsageWatch,
    Watched,
    count_open,
    measure,
    parse_diag,
    parse_table,
    places_of,
    usage_lines,
)

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:9C42 0100007F:1538 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000 20 4 0 10 -1
   1: 0100007F:9C43 0100007F:1538 08 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0000 20 4 0 10 -1
   2: 0100007F:9C44 0100007F:1539 01 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0000 20 4 0 10 -1
   3: 0100007F:1538 0100007F:9C42 01 00000000:00000000 00:00000000 00000000  1000        0 4714 1 0000 20 4 0 10 -1
   4: broken
"""  # noqa: E501

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
little = pytest.mark.skipif(sys.byteorder != "little", reason="the example is of such a machine")


@little
def test_established_connections_to_the_place_are_found_in_the_table() -> None:
    assert list(parse_table(TABLE, {"0100007F:1538"})) == [4711]
    assert list(parse_table("", {"0100007F:1538"})) == []


@little
def test_an_address_is_looked_up_as_the_kernel_writes_it() -> None:
    assert places_of("postgres://me:secret@127.0.0.1/shop").tcp == {
        "0100007F:1538",
        "0000000000000000FFFF00000100007F:1538",
    }
    assert places_of("redis://[::1]:7000/0").tcp == {"00000000000000000000000001000000:1B58"}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql:///shop?host=/run/postgresql", Place(unix=frozenset({"/run/postgresql/.s.PGSQL.5432"}))),
        ("postgresql:///shop?host=/tmp&port=7", Place(unix=frozenset({"/tmp/.s.PGSQL.7"}))),
        ("postgresql+asyncpg://%2Frun%2Fpg/x", Place(unix=frozenset({"/run/pg/.s.PGSQL.5432"}))),
        ("redis+unix:///run/redis.sock", Place(unix=frozenset({"/run/redis.sock"}))),
        ("postgres://no.such.host.invalid/x", Place()),
        ("sqlite:///file.db", Place()),
    ],
)
def test_where_a_url_leads(url: str, place: Place) -> None:
    assert places_of(url) == place


def test_several_hosts_are_all_counted() -> None:
    assert len(places_of("postgres://u@127.0.0.1:6000,127.0.0.2:6001/x").tcp) == 4


def diag(name: bytes, peer: int) -> bytes:
    """A message about a Unix socket, as the kernel writes it."""
    attributes = b""
    for kind, value in ((0, name), (2, struct.pack("=I", peer))):
        attributes += struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    body = struct.pack("=BBBBIII", 1, 1, 1, 0, 99, 0, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body


def test_clients_of_a_unix_socket_are_found_by_the_name_of_their_peer() -> None:
    octets = diag(b"/run/pg\0", 5) + diag(b"/run/other", 6) + diag(b"/run/pg", 7) + diag(b"", 8)
    assert list(parse_diag(octets, {"/run/pg"})) == [5, 7]


@pytest.mark.parametrize("octets", [b"", b"\0" * 16, b"\xff" * 40, diag(b"/run/pg", 5)[:30]])
def test_broken_messages_find_nothing(octets: bytes) -> None:
    assert list(parse_diag(octets, {"/run/pg"})) == []


@pytest.fixture(params=["tcp", "tcp6", "unix"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket and a URL of it."""
    if request.param == "unix":
        path = tmp_path / ".s.PGSQL.5432"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            yield server, f"postgresql:///x?host={tmp_path}"
        return
    host, family = ("127.0.0.1", socket.AF_INET) if request.param == "tcp" else ("::1", socket.AF_INET6)
    with socket.socket(family) as server:
        try:
            server.bind((host, 0))
        except OSError:
            pytest.skip("there is no IPv6")
        server.listen()
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        yield server, f"postgresql://{shown}:{server.getsockname()[1]}/x"


def test_only_connections_to_the_resource_count(listener: tuple[socket.socket, str]) -> None:
    server, url = listener
    place, me = places_of(url), os.getpid()
    assert count_open([me], place) == {me: 0}
    with ExitStack() as stack:
        for number in range(1, 4):
            client = stack.enter_context(socket.socket(server.family))
            client.connect(server.getsockname())
            stack.enter_context(server.accept()[0])
            assert count_open([me], place) == {me: number}
        stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        assert count_open([me], place) == {me: 3}
    assert count_open([me], place) == {me: 0}


def test_each_worker_is_measured_against_its_share(listener: tuple[socket.socket, str]) -> None:
    server, url = listener
    with socket.socket(server.family) as client:
        client.connect(server.getsockname())
        with server.accept()[0]:
            found = measure(Plan("pg", 20, 2, workers=3), places_of(url), {0: os.getpid(), 1: 2**22 + 1})
    assert found == [Usage("pg", 0, os.getpid(), 1, 5)]


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    assert count_open([2**22 + 1], places_of("postgres://127.0.0.1/x")) == {}


def test_who_holds_more_than_its_share_is_named() -> None:
    lines = usage_lines([Usage("pg", 0, 10, 6, 6), Usage("pg", 1, 11, 9, 6)])
    assert len(lines) == 1
    assert lines[0].startswith("worker 1 (pid 11) holds 9 connections of budget pg, its share is 6: ")


def test_a_worker_is_named_once_as_long_as_it_stays_above() -> None:
    watch, above, below = UsageWatch(), Usage("pg", 1, 11, 9, 6), Usage("pg", 1, 11, 6, 6)
    assert [len(watch.judge([usage])) for usage in (above, above, below, above)] == [1, 0, 0, 1]
    assert len(watch.judge([above._replace(pid=12), above._replace(budget="redis")])) == 2
    assert watch.judge([]) == []


def test_a_worker_that_stays_above_is_replaced_if_the_budget_wants_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, str]] = []
    fleet = SimpleNamespace(workers={11: SimpleNamespace(slot=0), 12: SimpleNamespace(slot=9)})
    check = UsageCheck(cast("Any", fleet), lambda pid, why, now: asked.append((pid, why)))
    plan = Plan("pg", 20, 2, workers=2)
    monkeypatch.setattr(usage, "count_open", lambda *_: {11: 7, 12: 6})
    for recycle, count in ((False, 0), (True, 2)):
        check.watch((Watched(plan, Place(), recycle),))
        check.look(1.0)
        check.look(2.0)
        assert len(asked) == count
    assert asked == 2 * [(11, "it holds 7 connections of budget pg, its share is 6")]


def test_what_is_watched_passes_a_pipe() -> None:
    place = Place(frozenset({"0100007F:1538"}), frozenset({"/run/pg"}))
    watched = Watched(Plan("pg", 20, 2, (("jobs", 2),)), place, True)
    assert msgspec.json.decode(msgspec.json.encode(watched), type=Watched) == watched
