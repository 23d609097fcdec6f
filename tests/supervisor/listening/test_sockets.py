"""The listening sockets of a configuration: opened, taken over, handed on, cleaned up."""

import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Launch, clean_environment, find_free_port
from vivace.config import Config
from vivace.errors import StartupError
from vivace.supervisor.listening.activation import adopt, encode_name, take_inherited
from vivace.supervisor.listening.sockets import Listeners

RUN = [sys.executable, "-m", "vivace", "run", "app.py"]
APP = """
import os
from vivace import Vivace, json
app = Vivace("sockets")

@app.get("/")
async def seen(request):
    return json(sorted(name for name in os.environ if name.startswith("LISTEN_")))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="vivace-"))  # short enough for Unix sockets
    yield path
    shutil.rmtree(path)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Sockets as if they had been handed over, though not from descriptor 3 on."""
    monkeypatch.setattr("vivace.supervisor.listening.activation.FIRST", 200)
    made: list[socket.socket] = []
    yield made
    for one in made:
        one.close()


def place(opened: list[socket.socket], *, listening: bool = True) -> socket.socket:
    """A socket whose copy lies at the next number from 200 on."""
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    if listening:
        one.listen(5)
    os.dup2(one.fileno(), 200 + len(opened))
    opened.append(one)
    return one


def environment(count: int, names: str = "") -> dict[str, str]:
    given = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "KEPT": "1"}
    return {**given, "LISTEN_FDNAMES": names} if names else given


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def port_of(one: socket.socket) -> int:
    port: int = one.getsockname()[1]
    return port


# Several addresses


def test_several_addresses_are_all_listened_on(folder: Path) -> None:
    listeners = Listeners(Config(BIND=["127.0.0.1:0", f"unix:{folder}/x", "proxy+127.0.0.1:0"]))
    try:
        assert [one.family for one in listeners.sockets] == [socket.AF_INET, socket.AF_UNIX, socket.AF_INET]
        first, second, third = listeners.addresses()
        assert first == f"http://127.0.0.1:{port_of(listeners.sockets[0])}"
        assert second == f"unix:{folder}/x"
        assert third != first
        assert [getattr(one, "proxied", None) for one in listeners.sockets] == [None, None, True]
    finally:
        listeners.close()
        listeners.remove()
    assert os.listdir(folder) == []


def test_none_is_left_open_if_one_cannot_be_used(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        binds = [f"unix:{folder}/x", f"127.0.0.1:{port_of(taken)}"]
        with pytest.raises(StartupError, match="in use") as caught:
            Listeners(Config(BIND=binds))
    assert caught.value.exit_code == 4
    assert os.listdir(folder) == []


def test_a_file_that_somebody_replaced_is_not_removed(folder: Path) -> None:
    path = folder / "x"
    listeners = Listeners(Config(BIND=f"unix:{path}"))
    listeners.close()
    other = Listeners(Config(BIND=f"unix:{path}"))
    listeners.remove()
    assert path.is_socket()
    other.leave_files()
    other.close()
    other.remove()
    assert path.is_socket()


# The protocol of systemd


@pytest.mark.parametrize(
    ("pid", "count"),
    [
        ("own", ""),
        ("own", "0"),
        ("own", "-1"),
        ("own", "one"),
        ("own", "1e3"),
        ("own", "\u0663"),
        ("own", "999999999999"),
        ("own", "57"),
        ("own", None),
        ("", "1"),
        ("1", "1"),
        ("-1", "1"),
        ("me", "1"),
        (None, "1"),
    ],
)
def test_values_that_are_not_for_us_are_ignored_with_one_line(
    pid: str | None, count: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {"LISTEN_FDNAMES": "a:b", "KEPT": "1"}
    if pid is not None:
        environ["LISTEN_PID"] = str(os.getpid()) if pid == "own" else pid
    if count is not None:
        environ["LISTEN_FDS"] = count
    with caplog.at_level(logging.DEBUG, "vivace"):
        assert take_inherited(environ) == []
    assert environ == {"KEPT": "1"}
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


def test_without_variables_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "vivace"):
        assert take_inherited({"KEPT": "1"}) == []
    assert not caplog.records


def test_without_bind_all_that_was_handed_over_is_used(opened: list[socket.socket]) -> None:
    first, second = place(opened), place(opened)
    environ = environment(2, "web:api")
    config = Config(PORT=1)
    listeners = Listeners(config, environ=environ)
    assert environ == {"KEPT": "1"}
    assert [port_of(one) for one in listeners.sockets] == [port_of(first), port_of(second)]
    assert [name for name, _ in listeners.named()] == ["web", "api"]
    assert listeners.storable() == []
    assert not any(one.get_inheritable() or one.getblocking() for one in listeners.sockets)
    assert config.warnings == ["PORT: not used, for the sockets were handed over (LISTEN_FDS)"]
    listeners.close()


def test_binds_name_what_was_handed_over(opened: list[socket.socket]) -> None:
    first, second, third, fourth = (place(opened) for _ in range(4))
    config = Config(BIND=["fd://api", "fd://200", f"localhost:{port_of(third)}"])
    listeners = Listeners(config, environ=environment(4, "web:api::left"))
    assert [port_of(one) for one in listeners.sockets] == [port_of(one) for one in (second, first, third)]
    assert config.warnings == ["the descriptor 203 (left) was handed over, and BIND does not name it"]
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(203)
    assert fourth.fileno() > 0
    listeners.close()


def test_a_name_that_was_not_handed_over_is_an_error() -> None:
    with pytest.raises(StartupError, match="nobody handed over a descriptor named api") as caught:
        Listeners(Config(BIND="fd://api"), environ={})
    assert caught.value.exit_code == 4


def test_what_the_last_supervisor_handed_over_follows_the_binds(
    folder: Path, opened: list[socket.socket]
) -> None:
    place(opened)
    place(opened)
    names = ":".join([encode_name("127.0.0.1:0"), encode_name("127.0.0.1:9")])
    listeners = Listeners(Config(PORT=0), environ=environment(2, names))
    assert [port_of(one) for one in listeners.sockets] == [port_of(opened[0])]
    assert listeners.dropped == [encode_name("127.0.0.1:9")]
    assert [name for name, _ in listeners.storable()] == ["127.0.0.1:0"]
    listeners.close()
    # The file of a Unix socket goes with it.
    old = Listeners(Config(UNIX=f"{folder}/x"), environ={})
    os.dup2(old.sockets[0].fileno(), 200)
    old.leave_files()
    old.close()
    new = Listeners(Config(UNIX=f"{folder}/x"), environ=environment(1, encode_name(f"unix:{folder}/x")))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{folder}/x")
    assert new.addresses() == [f"unix:{folder}/x"]
    new.close()
    new.remove()
    assert os.listdir(folder) == []


def test_the_port_that_sends_to_https_is_handed_on_too(opened: list[socket.socket]) -> None:
    config = Config(PORT=0, TLS_REDIRECT_PORT=find_free_port())
    old = Listeners(config, environ={})
    named = old.handed_on()
    assert [name for name, _ in named] == ["127.0.0.1:0", f"redirect:127.0.0.1:{config.TLS_REDIRECT_PORT}"]
    for number, (_, one) in enumerate(named):
        os.dup2(one.fileno(), 200 + number)
    old.close()
    new = Listeners(config, environ=environment(2, ":".join(encode_name(name) for name, _ in named)))
    assert len(new.sockets) == 1
    assert [port_of(one) for one in new.plain] == [config.TLS_REDIRECT_PORT]
    new.close()


def test_barred_sockets_let_nobody_in_and_keep_who_is_there() -> None:
    listeners = Listeners(Config(PORT=0), environ={})
    (listener,) = listeners.sockets
    with socket.create_connection(listener.getsockname()), socket.socket() as late:
        assert listeners.count_waiting() == 1
        listeners.bar()
        late.settimeout(0.2)
        with pytest.raises(TimeoutError):
            late.connect(listener.getsockname())
        listener.accept()[0].close()
        assert listeners.count_waiting() == 0
        copy = listener.dup()
        address = listener.getsockname()
        listeners.shut()
        with copy, pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 5)


@pytest.mark.parametrize("way", ["handed over", "kept by the system", "shared with the supervisor before"])
def test_sockets_that_go_on_elsewhere_are_never_barred(opened: list[socket.socket], way: str) -> None:
    if way == "handed over":
        place(opened)
        listeners = Listeners(Config(), environ=environment(1))
    else:
        listeners = Listeners(Config(PORT=0), environ={})
    if way == "kept by the system":
        listeners.leave_tcp()
    elif way != "handed over":
        listeners.before = os.getppid()
    address = listeners.sockets[0].getsockname()
    with listeners.sockets[0].dup() as copy:
        listeners.bar()
        socket.create_connection(address, 5).close()
        listeners.shut()
        socket.create_connection(address, 5).close()
        copy.setblocking(False)
        copy.accept()[0].close()


def test_a_descriptor_that_does_not_listen_yet_listens_then(opened: list[socket.socket]) -> None:
    one = place(opened, listening=False)
    listeners = Listeners(Config(BIND="fd://200"), environ={})
    socket.create_connection(one.getsockname()).close()
    listeners.close()


def test_a_descriptor_that_is_no_socket_to_listen_on_is_named() -> None:
    with Path(__file__).open() as file, pytest.raises(StartupError, match=r"descriptor \d+: it is no socket"):
        adopt(file.fileno(), 5)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        pytest.raises(StartupError, match="no stream socket"),
    ):
        adopt(udp.fileno(), 5)
    with pytest.raises(StartupError, match="descriptor 987: Bad file descriptor") as caught:
        adopt(987, 5)
    assert caught.value.exit_code == 4


HAND_OVER = """
import os, socket, sys
from vivace.supervisor.listening.activation import hand_over
made = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
made = [made[1], made[0], made[2]]
variables = hand_over([(f"127.0.0.1:{one.getsockname()[1]}", one) for one in made])
print(*(one.getsockname()[1] for one in made), flush=True)
code = '''
import os
from vivace import Config
from vivace.supervisor.listening.sockets import Listeners
ports = os.environ.pop("PORTS").split()
listeners = Listeners(Config(BIND=[f"127.0.0.1:{p}" for p in ports]))
print(*(one.getsockname()[1] for one in listeners.sockets))
print(sorted(k for k in os.environ if k.startswith("LISTEN")))
'''
ports = " ".join(str(one.getsockname()[1]) for one in made)
os.execve(sys.executable, [sys.executable, "-c", code], {**os.environ, **variables, "PORTS": ports})
"""


def test_sockets_are_handed_over_to_the_next_program() -> None:
    """Bound twice they could not be: the next program has them from the first one."""
    answer = subprocess.run([sys.executable, "-c", HAND_OVER], capture_output=True, text=True, check=True)
    before, after, variables = answer.stdout.splitlines()
    assert before == after
    assert variables == "[]"


# Whole servers


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd is not installed")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_is_started_by_its_socket(launch: Launch, tmp_path: Path, workers: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    first, second = find_free_port(), find_free_port()
    names = ["--fdname=web:api", "-l", f"127.0.0.1:{first}", "-l", f"127.0.0.1:{second}"]
    command = ["systemd-socket-activate", *names, *RUN, "--workers", workers]
    server = launch(command, first, cwd=tmp_path)
    assert server.get("/")[2] == b"[]"
    server.port = second
    assert server.get("/")[2] == b"[]"
    until(lambda: f"http://127.0.0.1:{first}" in server.output)
    assert server.stop() == 0


@pytest.mark.parametrize(
    "given", [{"LISTEN_PID": "", "LISTEN_FDS": ""}, {"LISTEN_PID": "1", "LISTEN_FDS": "x"}]
)
def test_foreign_variables_harm_nobody_and_reach_nobody(
    launch: Launch, free_port: int, tmp_path: Path, given: dict[str, str]
) -> None:
    (tmp_path / "app.py").write_text(APP)
    server = launch([*RUN, "--bind", f"127.0.0.1:{free_port}"], free_port, cwd=tmp_path, **given)
    assert server.get("/")[2] == b"[]"


def test_options_name_several_addresses(launch: Launch, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    first, second = find_free_port(), find_free_port()
    path = folder / "x"
    binds = ["--bind", f"127.0.0.1:{first}", "--bind", f"unix:{path}", "--bind", f"localhost:{second}"]
    server = launch([*RUN, *binds, "--uds-mode", "600"], first, cwd=tmp_path)
    assert server.get("/")[0] == 200
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200")
    assert path.stat().st_mode & 0o777 == 0o600
    server.port = second
    assert server.get("/")[0] == 200
    assert server.stop() == 0
    assert not path.exists()


def test_a_port_in_use_ends_the_start_with_exit_code_4(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [*RUN, "--bind", f"127.0.0.1:{port_of(taken)}"]
        answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 4
    assert "the port is in use by " in answer.stderr
    assert f"(pid {os.getpid()})" in answer.stderr


def started_by_a_service_manager(
    listener: socket.socket, folder: Path, workers: str
) -> subprocess.Popen[bytes]:
    """A server whose socket lies at descriptor 3, with LISTEN_PID its own process, as systemd does it."""
    script = f'exec 3<&{listener.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
    return subprocess.Popen(
        ["bash", "-c", script, "bash", *RUN, "--workers", workers],
        cwd=folder,
        env=clean_environment(),
        pass_fds=[listener.fileno()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_restart_with_a_socket_that_stays_refuses_nobody(tmp_path: Path, workers: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    failures: list[str] = []
    answered: list[int] = []
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port = port_of(listener)

        def ask_on() -> None:
            while not done.is_set():
                try:
                    with socket.create_connection(("127.0.0.1", port), 20) as client:
                        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                        answer = client.makefile("rb").read()
                    answered.append(int(answer.split()[1]))
                except (OSError, IndexError) as error:
                    failures.append(repr(error))

        clients = [threading.Thread(target=ask_on) for _ in range(4)]
        server = started_by_a_service_manager(listener, tmp_path, workers)
        for client in clients:
            client.start()
        try:
            for _ in range(3):
                before = len(answered)
                until(lambda before=before: len(answered) > before + 20)  # type: ignore[misc]
                server.terminate()
                assert server.wait(20) == 0
                server = started_by_a_service_manager(listener, tmp_path, workers)
            before = len(answered)
            until(lambda: len(answered) > before)
        finally:
            done.set()
            for client in clients:
                client.join()
            server.terminate()
            server.wait(20)
    assert failures == []
    assert set(answered) == {200}
