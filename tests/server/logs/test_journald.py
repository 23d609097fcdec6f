"""Lines reach the journal of systemd as its page has it: read here by a parser of the tests' own."""

import json
import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.journal import journald
from tests.supervisor.serving import until
from vivace.config.places import parse_place
from vivace.server.logs.places import make_place
from vivace.server.logs.shipper import Entry, Place, Shipper
from vivace.server.logs.udp import each

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the journal is a thing of Linux")


class Journal:
    """Stands in for systemd-journald."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "socket")
        self.open()

    def open(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(30.0)

    def close(self) -> None:
        self._socket.close()
        Path(self.path).unlink()

    def entry(self) -> dict[str, str]:
        data, files, _, _ = socket.recv_fds(self._socket, 1 << 20, 1)
        if files:
            assert not data
            with pytest.raises(PermissionError):  # sealed: the journal can map it without fear
                os.ftruncate(files[0], 0)
            with os.fdopen(files[0], "rb") as file:
                file.seek(0)
                data = file.read()
        return parse(data)


def parse(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", data[:8])
            value, end, data = data[8 : 8 + length], data[8 + length : 9 + length], data[9 + length :]
            assert end == b"\n"
        assert name.decode().isupper()
        assert name.decode() not in found
        found[name.decode()] = value.decode()
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path)
    yield made
    made.close()


@pytest.fixture
def place(journal: Journal) -> Iterator[Place]:
    made = make_place(parse_place(f"journald://{journal.path}?app=shop"), "x")
    yield made
    made.close()


def record(**fields: object) -> Entry:
    return Entry(1.0, logging.ERROR, json.dumps(fields))


def test_fields_are_fields_of_the_journal(journal: Journal, place: Place) -> None:
    place.send(
        [record(time="t", level="error", pid=7, worker=2, message="no=1", request_id="r-1", extra={"a": 1})]
    )
    assert journal.entry() == {
        "MESSAGE": "no=1",
        "PRIORITY": "3",
        "SYSLOG_IDENTIFIER": "shop",
        "SYSLOG_PID": str(os.getpid()),
        "VIVACE_TIME": "t",
        "VIVACE_WORKER": "2",
        "VIVACE_REQUEST_ID": "r-1",
        "VIVACE_EXTRA": '{"a":1}',
    }


def test_a_traceback_belongs_to_the_message(journal: Journal, place: Place) -> None:
    place.send([record(message="it failed", exception="Traceback\n  ñ\nValueError")])
    assert journal.entry()["MESSAGE"] == "it failed\nTraceback\n  ñ\nValueError"


def test_requests_and_other_text_have_a_message_too(journal: Journal, place: Place) -> None:
    lines = [
        '{"event":"request","client":"::1","method":"GET","path":"/a","status":200}',
        "a line = of text",
        "[1]",
    ]
    place.send([Entry(1.0, 20, "\n".join(lines), 3)])
    found = [journal.entry() for _ in lines]
    assert [one["MESSAGE"] for one in found] == ["::1 GET /a 200", "a line = of text", "[1]"]
    assert {one["PRIORITY"] for one in found} == {"6"}
    assert found[0]["VIVACE_STATUS"] == "200"


def test_what_no_datagram_can_hold_comes_in_a_file(journal: Journal, place: Place) -> None:
    place.send(
        [record(message="x\n" * 400_000), record(message="y" * 1_048_576), record(message="z" * 1_048_577)]
    )
    assert journal.entry()["MESSAGE"] == "x\n" * 400_000
    assert journal.entry()["MESSAGE"] == "y" * 1_048_576
    assert journal.entry()["MESSAGE"] == "z" * 1_048_576


def test_a_journal_that_starts_anew_gets_what_it_missed_once(journal: Journal, place: Place) -> None:
    shipper = Shipper(place, 10)
    shipper.put(record(message="before"))
    assert journal.entry()["MESSAGE"] == "before"
    journal.close()
    for number in range(3):
        shipper.put(record(message=f"meanwhile {number}"))
    journal.open()
    assert [journal.entry()["MESSAGE"] for _ in range(3)] == [f"meanwhile {n}" for n in range(3)]
    shipper.close()
    assert (shipper.sent, shipper.dropped) == (4, 0)


@pytest.mark.once
def test_a_real_journal_takes_it() -> None:
    with journald() as journal:
        place = make_place(parse_place(f"journald://{journal.socket}"), "shop")
        large = "x\n" * 300_000
        place.send([record(message="one\ntwo", worker=2), record(message=large), record(message="last")])
        place.close()
        found = journal.entries("shop", 3)
    assert [one["MESSAGE"] for one in found] == ["one\ntwo", large, "last"]
    assert [found[0][name] for name in ("PRIORITY", "VIVACE_WORKER", "_PID")] == ["3", "2", str(os.getpid())]


def test_what_is_on_its_way_is_not_sent_again() -> None:
    """The third of four fails the first time: the two before it came already."""
    got: list[str] = []

    class Failing:
        name = "failing"
        failed = False

        def send(self, entries: list[Entry]) -> None:
            each(entries, self._one)

        def _one(self, entry: Entry) -> None:
            if entry.text == "2" and not self.failed:
                self.failed = True
                raise OSError("not now")
            got.append(entry.text)

        def reopen(self) -> None: ...

        def close(self, *, forked: bool = False) -> None: ...

    shipper = Shipper(Failing(), 10)
    with shipper._lock:
        for number in range(4):
            shipper.put(Entry(1.0, 20, str(number)))
    until(lambda: shipper.sent == 4)
    shipper.close()
    assert got == ["0", "1", "2", "3"]
