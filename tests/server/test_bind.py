"""Listening sockets: owners, moving into place, and who is in the way."""

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from vivace.errors import StartupError
from vivace.server.bind import LONGEST_PATH, bind_tcp, bind_unix
from vivace.server.occupant import find_occupant


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_message_names_the_process_that_has_the_port() -> None:
    (first,) = bind_tcp("127.0.0.1", 0, 16)
    port = first.getsockname()[1]
    with first:
        assert find_occupant(port).endswith(f"(pid {os.getpid()})")
        with pytest.raises(
            StartupError, match=rf"127.0.0.1:{port}: .* in use by \S+ \(pid {os.getpid()}\)\."
        ):
            bind_tcp("127.0.0.1", port, 16)
    assert find_occupant(port) == ""


def test_without_proc_the_message_goes_without_a_name(tmp_path: Path) -> None:
    assert find_occupant(80, tmp_path) == ""
    (tmp_path / "net").mkdir()
    line = "  0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1\n"
    (tmp_path / "net" / "tcp").write_text("  sl  local_address ...\n" + line)
    assert find_occupant(80, tmp_path) == ""
    for pid, comm in (("30", "worker"), ("20", "nginx")):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "fd" / "6").symlink_to("socket:[4711]")
        (tmp_path / pid / "comm").write_text(comm + "\n")
    assert find_occupant(80, tmp_path) == "nginx (pid 20)"
    assert find_occupant(81, tmp_path) == ""


def test_every_address_of_the_machine_has_one_port() -> None:
    listeners = bind_tcp("", 0, 16)
    try:
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
        families = [listener.family for listener in listeners]
        assert socket.AF_INET in families
        assert len(set(families)) == len(families)
    finally:
        for listener in listeners:
            listener.close()


def test_a_machine_without_ipv6_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.__init__

    def refuse(self: socket.socket, family: int = -1, *rest: int, **options: object) -> None:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        real(self, family, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "__init__", refuse)
    (listener,) = bind_tcp("", 0, 16)
    listener.close()
    with pytest.raises(StartupError, match=r"cannot listen on \[::1\]:0: Address family not supported"):
        bind_tcp("::1", 0, 16)


def test_clients_meet_the_old_socket_or_the_new_one(in_folder: Path) -> None:
    """A stale file is replaced in one step: there is no moment without a file."""
    bind_unix("s", 0o600, 16).close()
    missing: list[str] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            if not os.path.lexists(in_folder / "s"):
                missing.append("gone")

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(50):
            bind_unix("s", 0o600, 16).close()
    finally:
        done.set()
        watcher.join()
    assert missing == []
    assert os.listdir(in_folder) == ["s"]


def test_a_socket_that_cannot_get_its_mode_leaves_nothing(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    with pytest.raises(StartupError, match="Unix socket s: Operation not permitted"):
        bind_unix("s", 0o600, 16)
    assert os.listdir(in_folder) == []


def test_a_path_as_long_as_the_system_allows(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * (LONGEST_PATH - len(str(tmp_path)) - 4))
    folder.mkdir()
    path = str(folder / "so")
    assert len(path) == LONGEST_PATH
    with bind_unix(path, 0o640, 16), socket.socket(socket.AF_UNIX) as client:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
        client.connect(path)
    with pytest.raises(StartupError, match="longer than 107 octets") as caught:
        bind_unix(path + "x", 0o640, 16)
    assert caught.value.exit_code == 4


def test_the_owner_is_set_before_a_client_can_come(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[tuple[int, int, bool]] = []

    def note(_: object, uid: int, gid: int, **__: object) -> None:
        changed.append((uid, gid, os.path.lexists(in_folder / "s")))

    monkeypatch.setattr(os, "chown", note)
    for owner in ("root", "root:root", ":0", "12:34", ""):
        bind_unix("s", 0o600, 16, owner).close()
        os.unlink("s")
    assert changed == [(0, -1, False), (0, 0, False), (-1, 0, False), (12, 34, False)]


def test_an_owner_that_nobody_knows_is_named(in_folder: Path) -> None:
    with pytest.raises(StartupError, match=r"owner 'nobody-of-that-name'.* not known here"):
        bind_unix("s", 0o600, 16, "nobody-of-that-name")
    assert os.listdir(in_folder) == []


def test_a_folder_that_is_not_there_is_named(in_folder: Path) -> None:
    with pytest.raises(StartupError, match="No such file or directory") as caught:
        bind_unix("none/s", 0o600, 16)
    assert caught.value.exit_code == 4
