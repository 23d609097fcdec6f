"""What the outside is told, moment by moment."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vivace.config import Config
from vivace.errors import StartupError
from vivace.supervisor.listening.sockets import Listeners
from vivace.supervisor.telling import service as module
from vivace.supervisor.telling.service import STATUS_EVERY, Service, supervisor_title, worker_title


class Outside:
    """The other side of NOTIFY_SOCKET, and the title."""

    def __init__(self, folder: str) -> None:
        self.path = f"{folder}/n"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.titles: list[str] = []

    def environ(self, **more: str) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.path, **more}

    def told(self) -> list[str]:
        """The messages since the last call."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode().rstrip("\n"))
            except BlockingIOError:
                return found


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    with tempfile.TemporaryDirectory(prefix="vivace-") as folder:
        other = Outside(folder)
        monkeypatch.setattr(module, "set_title", other.titles.append)
        yield other
        other.socket.close()


def test_the_life_of_a_service(outside: Outside, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    service = Service(str(path), outside.environ())
    service.check()
    service.starting(30)
    service.reloading()
    assert outside.told() == ["EXTEND_TIMEOUT_USEC=30000000"]
    assert not path.exists()
    service.ready(status="2 workers")
    assert outside.told() == ["READY=1\nSTATUS=2 workers"]
    assert path.read_text() == f"{os.getpid()}\n"
    service.reloading()
    service.ready()
    reloading, ready = outside.told()
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert ready == "READY=1"
    service.stopping()
    service.close()
    assert outside.told() == ["STOPPING=1"]
    assert service.due == float("inf")
    assert not path.exists()


def test_a_successor_is_announced(outside: Outside, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    old = Service(str(path), outside.environ())
    old.ready()
    new = Service(str(path), outside.environ(), before=os.getpid())
    new.check()
    new.ready()
    old.replaced(17)
    assert outside.told() == ["READY=1", f"READY=1\nMAINPID={os.getpid()}", "MAINPID=17"]
    old.close()
    assert path.exists()
    new.close()
    assert not path.exists()


def test_sockets_are_stored_once_and_old_ones_forgotten(outside: Outside) -> None:
    listeners = Listeners(Config(PORT=0), environ={})
    listeners.dropped.append("old%3A1")
    service = Service(environ=outside.environ())
    for _ in range(2):
        service.ready(listeners)
    listeners.close()
    service.close()
    stored = "FDSTORE=1\nFDNAME=127.0.0.1%3A0\nFDPOLL=0"
    assert outside.told() == ["FDSTOREREMOVE=1\nFDNAME=old%3A1", stored, "READY=1", "READY=1"]


def test_the_watchdog_is_answered_while_a_worker_is_well(outside: Outside) -> None:
    service = Service(environ=outside.environ(WATCHDOG_USEC="800000"))

    def look(now: float, *, well: bool) -> list[str]:
        service.look(now, well=well, title="t", status="s")
        return [message for message in outside.told() if message == "WATCHDOG=1"]

    assert look(100.0, well=True)
    assert service.due == pytest.approx(100.4)
    assert not look(100.3, well=True)
    assert look(100.4, well=True)
    assert not look(100.8, well=False)
    assert service.due <= 100.8 + STATUS_EVERY
    assert look(service.due, well=True)
    service.close()


def test_status_and_title_change_once_a_second_and_only_if_there_is_news(outside: Outside) -> None:
    service = Service(environ=outside.environ())
    for now, status in ((0.0, "1 ready"), (0.5, "2 ready"), (1.0, "2 ready"), (2.0, "2 ready")):
        service.look(now, well=True, title=f"shop [{status}]", status=status)
        assert now < service.due <= now + STATUS_EVERY
    assert outside.told() == ["STATUS=1 ready", "STATUS=2 ready"]
    assert outside.titles == ["shop [1 ready]", "shop [2 ready]"]
    service.close()


def test_a_child_says_nothing_and_removes_nothing(outside: Outside, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    service = Service(str(path), outside.environ())
    service.ready()
    pid = os.fork()
    if pid == 0:
        service.leave_in_child()
        service.stopping()
        service.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert outside.told() == ["READY=1"]
    assert path.exists()
    service.close()


def test_without_anybody_outside_nothing_is_done() -> None:
    service = Service(environ={})
    service.check()
    service.ready()
    service.reloading()
    service.stopping()
    service.close()


def test_a_pid_file_of_another_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(str(os.getppid()))
    with pytest.raises(StartupError) as caught:
        Service(str(path), {}).check()
    assert caught.value.exit_code == 2


def test_titles_say_who_is_who() -> None:
    addresses = ["http://0.0.0.0:8000", "http://[::]:8000", "https://10.0.0.1:443", "unix:/run/x.sock"]
    title = supervisor_title("shop", 3, 4, addresses)
    assert title == "shop: supervisor [3/4 ready] :8000 10.0.0.1:443 unix:/run/x.sock"
    assert supervisor_title("shop", 0, 1, []) == "shop: supervisor [0/1 ready]"
    assert worker_title("shop", 1, 5, 3) == "shop: worker 2 gen 5 [busy 3]"
    assert worker_title("shop", 0, 1) == "shop: worker 1 gen 1"
