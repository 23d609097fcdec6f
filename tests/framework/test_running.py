"""`app.run` and its like: what every argument does, and servers in a loop of one's own."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import Launch, clean_environment, find_free_port
from vivace import ConfigError, Request, Vivace
from vivace.framework.arguments import RunArguments, settle
from vivace.framework.protocol import HttpProtocol
from vivace.framework.response import text
from vivace.testing import Client
from vivace.testing.sockets import Sockets

PRODUCTION = {
    "host": "0.0.0.0",
    "port": 8000,
    "workers": 4,
    "debug": False,
    "access_log": True,
    "auto_reload": False,
    "backlog": 2048,
    "keep_alive_timeout": 5,
    "request_timeout": 60,
    "response_timeout": 60,
    "request_max_size": 100 * 1024 * 1024,
}
LOAD_BALANCER = {
    "host": "127.0.0.1",
    "port": 8000,
    "workers": 8,
    "backlog": 4096,
    "forwarded_secret": "your-secret-key",
    "real_ip_header": "X-Real-IP",
    "proxies_count": 1,
}
SCRIPT = """
import {imports}
from vivace import Vivace
app = Vivace("script")

@app.get("/")
async def index(request):
    return {{"app": request.app.name}}

@app.get("/stop")
async def stop(request):
    app.stop()
    return {{}}

{start}
print("RETURNED", flush=True)
"""


@pytest.fixture
def app() -> Vivace[Any, Any]:
    app: Vivace[Any, Any] = Vivace("running")
    app.config.ACCESS_LOG = False

    @app.get("/")
    async def index(request: Request) -> Any:
        return text("here")

    return app


@pytest.fixture
def ran(app: Vivace[Any, Any], monkeypatch: pytest.MonkeyPatch) -> list[RunArguments]:
    """What `run` hands to the command line's machinery, which is not started."""
    found: list[RunArguments] = []

    def note(app: Any, given: Any) -> None:
        found.append(settle(app, given))

    monkeypatch.setattr("vivace.cli.serve.run_app", note)
    return found


def test_arguments_in_the_order_of_the_documents(app: Vivace[Any, Any], ran: list[RunArguments]) -> None:
    with socket.socket() as sock:
        app.run("0.0.0.0", 8080, True, None, sock, 2, HttpProtocol, 50)
        assert ran[0] == (
            {"WORKERS": 2, "HOST": "0.0.0.0", "PORT": 8080, "DEBUG": True, "BACKLOG": 50},
            sock,
            True,
            False,
            None,
        )


@pytest.mark.parametrize("config", [PRODUCTION, LOAD_BALANCER])
def test_configurations_of_the_documents_are_arguments(
    app: Vivace[Any, Any], ran: list[RunArguments], config: dict[str, Any]
) -> None:
    app.run(**config)
    assert ran[0].settings == {name.upper(): value for name, value in config.items()}
    app.config.override(ran[0].settings)
    assert config["workers"] == app.config.WORKERS


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({}, {}),
        ({"dev": True}, {"DEBUG": True, "AUTO_RELOAD": True}),
        ({"dev": True, "debug": False}, {"DEBUG": False, "AUTO_RELOAD": True}),
        ({"fast": True}, {"WORKERS": len(os.sched_getaffinity(0))}),
        ({"run_multiple": True}, {"WORKERS": len(os.sched_getaffinity(0))}),
        ({"run_multiple": True, "workers": 3}, {"WORKERS": 3}),
        ({"single_process": True}, {"WORKERS": 1}),
        ({"unix": "/s", "unix_mode": 0o600}, {"UNIX": "/s", "UNIX_MODE": 0o600}),
        ({"motd": False, "noisy_exceptions": True}, {"MOTD": False, "NOISY_EXCEPTIONS": True}),
        ({"version": 1, "ssl": None}, {}),
        ({"auto_tls": True, "debug": True}, {"AUTO_TLS": True, "DEBUG": True}),
    ],
)
def test_what_arguments_set(
    app: Vivace[Any, Any], ran: list[RunArguments], given: dict[str, Any], settings: dict[str, Any]
) -> None:
    app.run(**given)
    assert ran[0].settings == settings


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"colour": "blue"}, TypeError, "'colour': it is no setting either"),
        ({"keep_alive_timout": 5}, TypeError, "did you mean keep_alive_timeout"),
        ({"loop": object()}, TypeError, "loop is not a valid argument"),
        ({"version": 3}, ConfigError, "HTTP/3"),
        ({"fast": True, "workers": 2}, RuntimeError, "You cannot use both fast=True"),
        ({"single_process": True, "workers": 2}, RuntimeError, "Single process cannot be run"),
        ({"single_process": True, "fast": True}, RuntimeError, "Single process cannot be run"),
        ({"single_process": True, "auto_reload": True}, RuntimeError, "Single process cannot be run"),
        ({"register_sys_signals": False, "workers": 2}, RuntimeError, "needs one process"),
        ({"protocol": asyncio.Protocol}, ConfigError, "subclass of HttpProtocol"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    app: Vivace[Any, Any], ran: list[RunArguments], given: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        app.run(**given)
    if "protocol" not in given:
        with pytest.raises(error, match=says):
            app.prepare(**given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("asyncio_server_kwargs", {"start_serving": True}),
        ("connections", {1}),
        ("motd_display", {"a": "b"}),
        ("verbosity", 2),
        ("coffee", True),
    ],
)
def test_what_has_no_effect_is_said(
    app: Vivace[Any, Any], ran: list[RunArguments], name: str, value: Any
) -> None:
    app.run(**{name: value})
    assert app.config.warnings[-1].startswith(f"{name}= of app.run() has no effect")
    assert ran[0].settings == {}


def test_other_ways_to_run(app: Vivace[Any, Any], ran: list[RunArguments]) -> None:
    app.run_multiple(3, "0.0.0.0", 80)
    app.run_unix_socket("/s", 0o600)
    app.go_fast(port=1)
    assert [one.settings for one in ran] == [
        {"WORKERS": 3, "HOST": "0.0.0.0", "PORT": 80},
        {"UNIX": "/s", "UNIX_MODE": 0o600},
        {"PORT": 1},
    ]


def test_prepared_apps_are_served(app: Vivace[Any, Any], ran: list[RunArguments]) -> None:
    app.prepare("0.0.0.0", port=81)
    Vivace.serve()
    assert ran[0].settings == {"HOST": "0.0.0.0", "PORT": 81}
    Vivace.serve(primary=app)
    assert ran[1].settings == {}
    Vivace.serve(factory=lambda: app)
    assert len(ran) == 3
    with pytest.raises(ConfigError, match="found no prepared app"):
        Vivace.serve()


@pytest.mark.parametrize(
    ("one", "two", "text"),
    [
        ({}, {}, "two apps are prepared for port 8000: give another another"),
        ({"port": 1}, {"port": 0, "unix": "x"}, "another: .* not unix="),
        ({"sock": object()}, {"port": 1}, "not sock="),
        ({"port": 1}, {"port": 2, "ssl": "folder"}, "have their certificates in common"),
    ],
)
def test_neighbours_have_ports_of_their_own_and_certificates_in_common(
    app: Vivace[Any, Any], one: dict[str, Any], two: dict[str, Any], text: str
) -> None:
    app.prepare(**one)
    Vivace("another").prepare(**two)
    with pytest.raises(ConfigError, match=text):
        Vivace.serve()


def test_of_several_prepared_apps_the_first_has_the_others_for_neighbours(
    app: Vivace[Any, Any], ran: list[RunArguments]
) -> None:
    other = Vivace("another")
    app.prepare(port=81, workers=2)
    other.prepare("::1", port=82, keep_alive_timeout=9)
    Vivace.serve()
    assert ran[0].settings["BIND"] == ["127.0.0.1:81", "[::1]:82"]
    assert ran[0].settings["WORKERS"] == 2
    assert app.neighbours == {82: other}
    assert other.config.KEEP_ALIVE_TIMEOUT == 9
    app.prepare(port=81)
    other.prepare(port=82)
    Vivace.serve(primary=other)
    assert other.neighbours == {81: app}


def test_the_signal_object_learns_of_the_stop(app: Vivace[Any, Any], ran: list[RunArguments]) -> None:
    told = SimpleNamespace(stopped=False)
    app.run(signal=told)
    assert not told.stopped
    app.test_client.get("/")
    assert told.stopped


def test_restart_needs_a_supervisor_and_takes_settings_only(app: Vivace[Any, Any]) -> None:
    with pytest.raises(ConfigError, match="a restart needs a supervisor"):
        app.restart(workers=2)
    asked: list[dict[str, Any]] = []
    app.restarter = asked.append
    app.restart(workers=2, KEEP_ALIVE_TIMEOUT=1)
    assert asked == [{"WORKERS": 2, "KEEP_ALIVE_TIMEOUT": 1}]
    with pytest.raises(
        TypeError, match=r"restart\(\) got an unexpected argument 'worker'.*did you mean workers"
    ):
        app.restart(worker=2)


def test_reload_is_a_setting(app: Vivace[Any, Any]) -> None:
    app.enable_auto_reload("src")
    app.enable_auto_reload("pages")
    assert app.config.AUTO_RELOAD is True
    assert app.config.RELOAD_DIRS == "src pages"


# In a loop of one's own


async def get(port: int, path: str = "/") -> str:
    async with Client(f"http://127.0.0.1:{port}") as client:
        return (await client.get(path)).text


def note_stages(app: Vivace[Any, Any]) -> list[str]:
    seen: list[str] = []

    def noting(stage: str) -> Any:
        def note(app: Any) -> None:
            seen.append(stage)

        return note

    for stage in ("before_server_start", "after_server_start", "before_server_stop", "after_server_stop"):
        app.register_listener(noting(stage), stage)
    return seen


async def test_a_created_server_runs_when_it_is_told(app: Vivace[Any, Any], free_port: int) -> None:
    seen = note_stages(app)
    server = await app.create_server(port=free_port, return_asyncio_server=True)
    assert not server.is_serving()
    await server.startup()
    assert seen == []
    task = asyncio.create_task(server.serve_forever())
    assert await get(free_port) == "here"
    assert server.is_serving()
    assert seen == ["before_server_start", "after_server_start"]
    app.stop()
    await asyncio.wait_for(task, 10)
    assert seen[2:] == ["before_server_stop", "after_server_stop"]
    with pytest.raises(ConnectionRefusedError):
        await get(free_port)


async def test_the_moments_may_be_called_one_by_one(app: Vivace[Any, Any], free_port: int) -> None:
    seen = note_stages(app)
    server = await app.create_server(port=free_port)
    await server.startup()
    await server.before_start()
    await server.after_start()
    await server.start_serving()
    assert await get(free_port) == "here"
    assert [sock.getsockname()[1] for sock in server.sockets] == [free_port]
    assert server.connections == set()
    await server.before_stop()
    server.close()
    await server.wait_closed()
    await server.after_stop()
    assert len(seen) == 4


async def test_it_can_be_used_without_await(app: Vivace[Any, Any], free_port: int) -> None:
    async with app.create_server(port=free_port):
        assert await get(free_port) == "here"


async def test_serve_answers_at_once(app: Vivace[Any, Any], tmp_path: Path) -> None:
    server = await app.serve(unix=str(tmp_path / "s"))
    async with Client(Sockets(str(tmp_path / "s"))) as client:
        assert (await client.get("/")).text == "here"
    server.close()
    await server.wait_closed()


async def test_run_gives_a_server_on_demand(app: Vivace[Any, Any]) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = app.run(sock=sock, return_asyncio_server=True, register_sys_signals=False)
        assert server is not None
        async with server:
            assert await get(sock.getsockname()[1]) == "here"
    assert app.run(run_async=True, port=0) is not None


async def test_cancelling_serve_forever_stops_it(app: Vivace[Any, Any], free_port: int) -> None:
    seen = note_stages(app)
    server = await app.create_server(port=free_port, return_asyncio_server=False)
    task = asyncio.create_task(server.serve_forever())
    assert await get(free_port) == "here"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(seen) == 4


# As real processes


@pytest.mark.parametrize(
    ("imports", "start"),
    [
        ("os", "app.run(port=int(os.environ['PORT']), register_sys_signals=False)"),
        ("os", "app.run(port=int(os.environ['PORT']), workers=2)"),
        (
            "os, socket",
            "s = socket.socket(); s.bind(('127.0.0.1', int(os.environ['PORT'])));app.run(sock=s, workers=2)",
        ),
        (
            "os, threading",
            "t = threading.Thread(target=app.run, args=(None, int(os.environ['PORT']))); t.start(); t.join()",
        ),
    ],
    ids=["no-signals", "workers", "socket", "thread"],
)
def test_stop_within_a_request_ends_the_server(
    launch: Launch, tmp_path: Path, imports: str, start: str
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.format(imports=imports, start=start))
    port = find_free_port()
    server = launch([sys.executable, "script.py"], port, cwd=tmp_path, PORT=str(port))
    assert server.get("/")[2] == b'{"app":"script"}'
    assert server.get("/stop")[0] == 200
    assert server.process.wait(15) == 0
    assert server.output.rstrip().endswith("RETURNED")


def test_an_event_stops_the_server(launch: Launch, tmp_path: Path, free_port: int) -> None:
    start = (
        "event = asyncio.Event()\n"
        "@app.get('/set')\n"
        "async def set_it(request):\n"
        "    event.set()\n"
        "    return {}\n"
        "app.run(port=int(os.environ['PORT']), stop_event=event)"
    )
    (tmp_path / "script.py").write_text(SCRIPT.format(imports="asyncio, os", start=start))
    server = launch([sys.executable, "script.py"], free_port, cwd=tmp_path, PORT=str(free_port))
    assert server.get("/set")[0] == 200
    assert server.process.wait(15) == 0
    assert "RETURNED" in server.output


LISTENERS = """
import os, sys
from vivace import Vivace
app = Vivace("main")
MAIN = os.getpid()


def noting(stage):
    def note(app, loop):
        sys.stdout.write(f"{stage} {os.getpid() == MAIN}\\n")  # in one piece: workers share the file
    return note


for stage in ("main_process_stop", "before_server_start", "main_process_ready", "main_process_start"):
    app.register_listener(noting(stage), stage)

if "fail" in sys.argv:
    @app.main_process_start
    async def fail(app):
        raise OSError("no licence")

app.run(port=int(os.environ["PORT"]), workers=1 + ("two" in sys.argv), single_process="single" in sys.argv)
"""


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (
            "two",
            [
                "main_process_start True",
                "before_server_start False",
                "before_server_start False",
                "main_process_ready True",
                "main_process_stop True",
            ],
        ),
        (
            "one",
            [
                "main_process_start True",
                "main_process_ready True",
                "before_server_start True",
                "main_process_stop True",
            ],
        ),
        ("single", ["before_server_start True"]),
    ],
)
def test_listeners_of_the_main_process(
    launch: Launch, tmp_path: Path, free_port: int, mode: str, said: list[str]
) -> None:
    (tmp_path / "script.py").write_text(LISTENERS)
    server = launch([sys.executable, "script.py", mode], free_port, cwd=tmp_path, PORT=str(free_port))
    deadline = time.monotonic() + 40
    before = [line for line in said if "stop" not in line]
    while sum(server.output.count(line) for line in set(before)) < len(before):
        assert time.monotonic() < deadline, server.output
        time.sleep(0.02)
    assert server.stop() == 0
    assert [line for line in server.output.splitlines() if line.endswith((" True", " False"))] == said


def test_a_listener_of_the_main_process_that_fails_ends_the_start(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "script.py").write_text(LISTENERS)
    environment = clean_environment(PORT=str(free_port))
    answer = subprocess.run(
        [sys.executable, "script.py", "fail"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert answer.returncode == 3
    assert "fail" in answer.stderr
    assert "no licence" in answer.stderr


def test_certificates_are_handed_on(app: Vivace[Any, Any], ran: list[RunArguments]) -> None:
    given = {"cert": "c", "key": "k"}
    app.run(ssl=given)
    assert ran[0].ssl is given


def test_certificate_that_is_missing_ends_the_start_in_one_line(tmp_path: Path) -> None:
    start = "app.run(ssl={'cert': 'c', 'key': 'k'})"
    (tmp_path / "script.py").write_text(SCRIPT.format(imports="os", start=start))
    argv = [sys.executable, "script.py"]
    answer = subprocess.run(
        argv, cwd=tmp_path, capture_output=True, text=True, env=clean_environment(), check=False
    )
    assert (answer.returncode, answer.stderr) == (
        2,
        "Error: TLS: c cannot be read: No such file or directory\n",
    )
