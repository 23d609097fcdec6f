"""Our server as gunicorn's worker, under the real arbiter: signals, restarts, hooks, logs, kinds of apps."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.conftest import ServerProcess, clean_environment, find_free_port
from tests.peers.support import PATIENCE, Answer, read_answer, until

pytest.importorskip("gunicorn")

WORKER = "vivace.compat.gunicorn.GunicornWorker"

NATIVE = """
import asyncio, os, sys, time
from vivace import Vivace, text

app = Vivace("sample")


def say(text):
    print(text, file=sys.stderr, flush=True)


@app.get("/")
async def index(request):
    return {"pid": os.getpid()}


@app.get("/slow")
async def slow(request):
    say("slow began")
    try:
        while not os.path.exists("go"):
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        say("slow was cancelled")
        raise
    return {"slow": "done"}


@app.get("/block")
async def block(request):
    say("block began")
    blocked_here()


def blocked_here():
    while True:
        time.sleep(0.01)


@app.get("/stop")
async def stop(request):
    app.stop()
    return {}


@app.get("/warn")
async def warn(request):
    raise RuntimeError("swordfish")


@app.after_server_start
async def started(app):
    say(f"started {os.getpid()}")


@app.after_server_stop
async def stopped(app):
    say(f"stopped {os.getpid()}")
"""

WSGI = """
def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi ", str(environ["wsgi.multithread"]).encode(), b" ", body]
"""

ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["started"] = b"yes"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("asgi stopped", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"asgi " + scope["state"]["started"] + message["body"]})
"""


class Gunicorn(ServerProcess):
    """gunicorn with our worker, serving ``sample:app`` from a folder of its own."""

    def __init__(self, folder: Path, source: str, *options: str, **environment: str) -> None:
        (folder / "sample.py").write_text(source)
        port = find_free_port()
        argv = [sys.executable, "-m", "gunicorn", "-k", WORKER, "-b", f"127.0.0.1:{port}"]
        argv += ["--worker-tmp-dir", str(folder), *options, "sample:app"]
        # Its control socket goes into the home.
        env = clean_environment(PYTHONPATH=os.environ.get("PYTHONPATH", ""), HOME=str(folder), **environment)
        super().__init__(argv, port, env, folder, folder / "log")
        self._folder = folder

    def wait_for(self, words: str, count: int = 1) -> None:
        """Wait until the log has `words`, `count` times."""
        try:
            until(lambda: self.output.count(words) >= count)
        except AssertionError:
            raise AssertionError(f"{words!r} did not come:\n{self.output}") from None

    def ask(self, path: str = "/", *fields: str, body: bytes = b"") -> Answer:
        """One request on a connection of its own."""
        head = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", "Host: x", *fields]
        if body:
            head.append(f"Content-Length: {len(body)}")
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as client:
            client.sendall("\r\n".join([*head, "", ""]).encode() + body)
            return read_answer(client)

    def ask_slowly(self) -> Callable[[], bytes]:
        """Begin a request that lasts until `let_go`; what gives its whole response, empty if it was cut."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        before = self.output.count("slow began")
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.wait_for("slow began", before + 1)

        def read() -> bytes:
            with client:
                data = b""
                with contextlib.suppress(ConnectionResetError):
                    while piece := client.recv(65536):
                        data += piece
                return data

        return read

    def let_go(self) -> None:
        """Let slow requests end."""
        (self._folder / "go").touch()

    def worker(self) -> int:
        """The process that answers."""
        return int(self.ask().body.partition(b":")[2].strip(b" }"))


@pytest.fixture
def gunicorn(tmp_path: Path) -> Iterator[Callable[..., Gunicorn]]:
    """Start gunicorn; it is gone after the test."""
    made: list[Gunicorn] = []

    def start(*options: str, source: str = NATIVE, serving: bool = True, **environment: str) -> Gunicorn:
        server = Gunicorn(tmp_path, source, *options, **environment)
        made.append(server)
        if serving:
            server.wait_for("Vivace serves an app of kind")
        return server

    yield start
    for server in made:
        server.remove()


Start = Callable[..., Gunicorn]


# Kinds of apps


def test_a_native_app_is_served_and_stopped_gracefully(gunicorn: Start) -> None:
    server = gunicorn()
    worker = server.worker()
    response = server.ask_slowly()
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    server.let_go()
    assert b'{"slow":"done"}' in response()
    assert server.stop() == 0
    assert f"stopped {worker}" in server.output
    assert "Traceback" not in server.output


def test_an_asgi_app_is_served_with_its_lifespan(gunicorn: Start) -> None:
    server = gunicorn(source=ASGI)
    assert server.ask(body=b"!").body == b"asgi yes!"
    assert server.stop() == 0
    assert "asgi stopped" in server.output


@pytest.mark.parametrize(("options", "threads"), [((), b"False"), (("--threads", "2"), b"True")])
def test_a_wsgi_app_is_served_by_as_many_threads(
    gunicorn: Start, options: tuple[str, ...], threads: bytes
) -> None:
    server = gunicorn(*options, source=WSGI)
    assert server.ask(body=b"abc").body == b"wsgi " + threads + b" abc"
    assert server.stop() == 0


def test_a_unix_socket_and_a_preloaded_app_are_served(gunicorn: Start, tmp_path: Path) -> None:
    server = gunicorn("--preload", "-b", f"unix:{tmp_path / 'socket'}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "socket"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(client).status == 200
    assert server.ask().status == 200
    assert server.stop() == 0


# Signals


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT])
def test_a_quick_stop_waits_for_no_request(gunicorn: Start, number: signal.Signals) -> None:
    server = gunicorn("--graceful-timeout", "30")
    response = server.ask_slowly()
    assert server.stop(number, 10) == 0
    assert b"200" not in response()
    assert "slow was cancelled" in server.output
    assert "stopped " in server.output, "the app is told all the same"


def test_ctrl_c_reaches_every_process_and_stops_the_app_properly(gunicorn: Start) -> None:
    server = gunicorn()
    worker = server.worker()
    response = server.ask_slowly()
    os.killpg(server.process.pid, signal.SIGINT)
    assert b"200" not in response()
    assert server.process.wait(PATIENCE) == 0
    assert f"stopped {worker}" in server.output
    assert "exited with code" not in server.output


def test_a_graceful_stop_ends_in_time(gunicorn: Start) -> None:
    server = gunicorn("--graceful-timeout", "2")
    response = server.ask_slowly()
    assert server.stop(signal.SIGTERM, 10) == 0
    assert b"200" not in response()
    assert "slow was cancelled" in server.output
    assert "stopped " in server.output, "the arbiter did not have to kill"


def test_hup_brings_new_code_and_finishes_what_the_old_one_began(gunicorn: Start, tmp_path: Path) -> None:
    server = gunicorn()
    before = server.worker()
    response = server.ask_slowly()
    (tmp_path / "sample.py").write_text(NATIVE.replace('"slow": "done"', '"slow": "new"'))
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("Vivace serves an app of kind", 2)
    until(lambda: server.worker() != before)
    server.let_go()
    assert b'{"slow":"done"}' in response()
    assert server.ask("/slow").body == b'{"slow":"new"}'
    server.wait_for(f"stopped {before}")
    assert server.stop() == 0


def test_usr2_starts_another_master_on_the_same_socket(gunicorn: Start) -> None:
    server = gunicorn("--pid", "pid")
    before = server.worker()
    server.process.send_signal(signal.SIGUSR2)
    server.wait_for("Vivace serves an app of kind", 2)
    after = before
    while after == before:
        after = server.worker()
    second = int(server.output.split("Listening at: ")[2].partition("(")[2].partition(")")[0])
    os.kill(second, signal.SIGTERM)
    server.wait_for(f"stopped {after}")
    assert server.worker() == before
    until(lambda: "Shutting down: Master" in server.output)
    assert server.stop() == 0


def test_a_worker_that_blocks_is_aborted_with_its_stack(gunicorn: Start, tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text("def worker_abort(worker):\n    print('hook ran', flush=True)\n")
    server = gunicorn("--timeout", "1", "-c", "hooks.py")
    before = server.worker()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        client.sendall(b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("WORKER TIMEOUT")
        server.wait_for("in blocked_here")
        server.wait_for("hook ran")
    server.wait_for("Vivace serves an app of kind", 2)
    assert server.worker() != before
    assert server.stop() == 0


def test_an_idle_worker_lives_longer_than_the_timeout(gunicorn: Start) -> None:
    server = gunicorn("--timeout", "1")
    before = server.worker()
    response = server.ask_slowly()
    threading.Event().wait(2.2)  # more than the timeout and the arbiter's look at it
    server.let_go()
    assert b'{"slow":"done"}' in response()
    assert server.worker() == before
    assert server.stop() == 0


def test_a_worker_leaves_when_its_arbiter_is_killed(gunicorn: Start) -> None:
    server = gunicorn()
    worker = server.worker()
    server.process.kill()
    server.process.wait()
    server.wait_for("the arbiter is gone")
    server.wait_for(f"stopped {worker}")
    until(lambda: not os.path.exists(f"/proc/{worker}"))


def test_app_stop_ends_the_whole_server(gunicorn: Start) -> None:
    server = gunicorn("-w", "2")
    server.wait_for("started ", 2)
    assert server.ask("/stop").status == 200
    assert server.process.wait(PATIENCE) == 0
    assert server.output.count("stopped ") == 2


# Restarts


def test_a_worker_retires_after_its_requests_without_losing_one(gunicorn: Start) -> None:
    server = gunicorn("--max-requests", "5")
    workers = [server.worker() for _ in range(15)]
    counts = [workers.count(pid) for pid in dict.fromkeys(workers)]
    assert len(counts) >= 2
    assert all(5 <= count <= 7 for count in counts[:-1]), "it answers what was queued when it began to leave"
    assert server.stop() == 0


def test_an_app_that_fails_to_start_stops_gunicorn_and_says_why(gunicorn: Start) -> None:
    broken = (
        NATIVE
        + "\n\n@app.before_server_start\nasync def fails(app):\n    raise RuntimeError('no database')\n"
    )
    server = gunicorn(source=broken, serving=False)
    assert server.process.wait(PATIENCE) == 3
    assert "no database" in server.output
    assert "in fails" in server.output
    assert "serve_until_stopped" not in server.output, "only the user's part of the traceback"


def test_what_is_no_app_stops_gunicorn_and_says_why(gunicorn: Start) -> None:
    server = gunicorn(source="def app():\n    pass\n", serving=False)
    assert server.process.wait(PATIENCE) == 3
    assert "app" in server.output


# Options


def test_options_reach_the_server(gunicorn: Start) -> None:
    limits = (
        "--limit-request-line",
        "200",
        "--limit-request-field_size",
        "200",
        "--limit-request-fields",
        "3",
    )
    server = gunicorn("--keep-alive", "0", *limits)
    answer = server.ask()
    assert answer.fields["connection"] == "close"
    assert server.ask("/" + "x" * 200).status == 414
    assert server.ask("/", "A: 1", "B: 2", "C: 3").status == 431
    assert server.stop() == 0


def test_options_without_effect_are_warned_of(gunicorn: Start) -> None:
    server = gunicorn("--forwarder-headers", "X-Prefix")
    server.wait_for("the option forwarder_headers has no effect")
    assert server.port  # before it serves, a stop ends gunicorn with 1
    assert server.stop() == 0


def test_https(gunicorn: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("shop.test")
    server = gunicorn("--certfile", pair.cert, "--keyfile", pair.key)
    raw = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    with authority.client().wrap_socket(raw, server_hostname="shop.test") as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")
    assert server.stop() == 0


def test_certificate_that_cannot_be_used_ends_the_start(gunicorn: Start, tmp_path: Path) -> None:
    for name in ("key", "cert"):
        (tmp_path / name).write_text("")
    server = gunicorn("--keyfile", "key", "--certfile", "cert", serving=False)
    assert server.process.wait(PATIENCE) != 0
    assert "TLS: cert holds no certificate in PEM form" in server.output


def test_the_access_log_is_gunicorns_and_can_be_rotated(gunicorn: Start, tmp_path: Path) -> None:
    server = gunicorn("--access-logfile", "access", "--access-logformat", '%(m)s %(U)s %(s)s "%(a)s"')
    log = tmp_path / "access"
    server.ask("/", "User-Agent: me")
    until(lambda: log.read_text() == 'GET / 200 "me"\n')
    log.rename(tmp_path / "access.1")
    server.process.send_signal(signal.SIGUSR1)
    until(log.exists)
    until(lambda: server.ask("/nowhere").status == 404 and log.read_text() != "")
    assert log.read_text().splitlines()[0] == 'GET /nowhere 404 "-"'
    assert server.stop() == 0
    assert "GET" not in server.output


def test_errors_of_the_app_come_in_gunicorns_error_log(gunicorn: Start, tmp_path: Path) -> None:
    server = gunicorn("--error-logfile", "errors", serving=False)
    until(lambda: (tmp_path / "errors").exists() and "Vivace serves" in (tmp_path / "errors").read_text())
    assert server.ask("/warn").status == 500
    until(lambda: "swordfish" in (tmp_path / "errors").read_text())
    assert server.stop() == 0


def test_hooks_of_the_worker_run(gunicorn: Start, tmp_path: Path) -> None:
    names = ("post_worker_init", "worker_int")
    hooks = "".join(f"def {name}(worker):\n    print('{name} ran', flush=True)\n" for name in names)
    hooks += "def worker_exit(server, worker):\n    print('worker_exit ran', flush=True)\n"
    (tmp_path / "hooks.py").write_text(hooks)
    server = gunicorn("-c", "hooks.py")
    assert server.port
    assert server.stop(signal.SIGINT) == 0
    for name in (*names, "worker_exit"):
        assert f"{name} ran" in server.output


def test_without_gunicorn_the_module_says_what_to_install() -> None:
    code = "import sys; sys.modules['gunicorn'] = None; import vivace.compat.gunicorn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install gunicorn" in done.stderr
