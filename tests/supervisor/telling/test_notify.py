"""What systemd is told: over a real datagram socket, and never at the cost of the service."""

import array
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vivace.supervisor.telling.notify import Notifier, encode_message, watchdog_interval


class Systemd:
    """The other side."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(5)

    def notifier(self, **more: str) -> Notifier:
        return Notifier({"NOTIFY_SOCKET": self.address, **more})

    def read(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest) -> Iterator[Systemd]:
    with tempfile.TemporaryDirectory(prefix="vivace-") as folder:
        address = f"{folder}/notify" if request.param == "path" else f"@vivace-test-{os.getpid()}"
        other = Systemd(address)
        yield other
        other.socket.close()


def test_each_state_is_told(systemd: Systemd) -> None:
    notifier = systemd.notifier()
    notifier.ready("4 workers")
    assert systemd.read() == {"READY": "1", "STATUS": "4 workers"}
    notifier.ready(pid=77)
    assert systemd.read() == {"READY": "1", "MAINPID": "77"}
    notifier.stopping()
    assert systemd.read() == {"STOPPING": "1"}
    notifier.status("3 workers, 12 req/s")
    assert systemd.read() == {"STATUS": "3 workers, 12 req/s"}
    notifier.main_pid(5)
    assert systemd.read() == {"MAINPID": "5"}
    notifier.extend(1.5)
    assert systemd.read() == {"EXTEND_TIMEOUT_USEC": "1500000"}
    notifier.ping()
    assert systemd.read() == {"WATCHDOG": "1"}
    notifier.close()
    assert not notifier.active
    notifier.ready()


def test_a_reload_says_when_it_began(systemd: Systemd) -> None:
    """Type=notify-reload waits for a time that is later than its own signal."""
    notifier = systemd.notifier()
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    told = systemd.read()
    assert list(told) == ["RELOADING", "MONOTONIC_USEC"]
    assert before <= int(told["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    notifier.close()


def test_sockets_are_stored_with_their_names(systemd: Systemd) -> None:
    notifier = systemd.notifier()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        notifier.store([("[::1]:80", listener)])
        numbers = array.array("i")
        data, rights, _, _ = systemd.socket.recvmsg(4096, socket.CMSG_SPACE(numbers.itemsize))
        assert data == b"FDSTORE=1\nFDNAME=[%3A%3A1]%3A80\nFDPOLL=0\n"
        ((_, kind, content),) = rights
        assert kind == socket.SCM_RIGHTS
        numbers.frombytes(content)
        with socket.socket(fileno=numbers[0]) as stored:
            assert stored.getsockname() == listener.getsockname()
    notifier.forget(["%3A80"])
    assert systemd.read() == {"FDSTOREREMOVE": "1", "FDNAME": "%3A80"}
    notifier.close()


def test_the_variables_are_removed() -> None:
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "FDSTORE": "3", "KEPT": "1"}
    Notifier(environ).close()
    assert environ == {"KEPT": "1"}


@pytest.mark.parametrize("address", ["", "@", "relative", "vsock:2:1234", "\n"])
def test_without_an_address_nothing_is_done(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000"})
    assert (notifier.active, notifier.interval) == (False, 0.0)
    notifier.ready()
    notifier.ping()


def test_nobody_listening_harms_nobody(tmp_path: Path) -> None:
    for address in (str(tmp_path / "none"), "@nobody-is-there", "/" + "x" * 200):
        notifier = Notifier({"NOTIFY_SOCKET": address})
        notifier.ready()
        notifier.ping()
        notifier.close()


def test_a_full_queue_delays_and_loses_and_no_more(systemd: Systemd) -> None:
    notifier = systemd.notifier()
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        address = "\0" + systemd.address[1:] if systemd.address.startswith("@") else systemd.address
        with pytest.raises(BlockingIOError):
            while True:
                filler.sendto(b"x", address)
    notifier.status("lost")
    assert time.monotonic() - began < 2
    notifier.close()


def test_a_value_stays_on_its_line() -> None:
    assert encode_message(STATUS="a\nMAINPID=1\r\nb") == b"STATUS=a MAINPID=1 b\n"
    assert len(encode_message(STATUS="x" * 5000)) < 1100
    assert encode_message(STATUS="\udce4") == b"STATUS=?\n"


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("2000000", "", 1.0),
        ("2000000", "7", 1.0),
        ("2000000", "8", 0.0),
        ("2000000", "x", 0.0),
        ("0", "", 0.0),
        ("", "7", 0.0),
        ("-5", "", 0.0),
        ("1.5", "", 0.0),
        ("\u0663", "", 0.0),
    ],
)
def test_the_watchdog_is_pinged_twice_as_often_as_asked_for(usec: str, pid: str, seconds: float) -> None:
    assert watchdog_interval(usec, pid, 7) == seconds


def test_the_watchdog_of_this_process_is_heeded(systemd: Systemd) -> None:
    notifier = systemd.notifier(WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
    assert notifier.interval == 1.5
    notifier.close()
