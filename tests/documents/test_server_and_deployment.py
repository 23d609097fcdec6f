"""The programs of the document on server and deployment, as real processes over real sockets."""

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.conftest import Launch, ServerProcess, clean_environment, find_free_port
from tests.documents.programs import program

RUN = [sys.executable, "-m", "vivace.compat.sanic", "program.py"]


def start(launch: Launch, folder: Path, text: str, port: int, **environment: str) -> ServerProcess:
    """Run a program by the alias."""
    (folder / "program.py").write_text(text)
    return launch(RUN, port, cwd=folder, **environment)


def get_json(server: ServerProcess, path: str, **options: Any) -> Any:
    status, _, body = server.get(path, **options)
    assert status == 200, body
    return json.loads(body)


def wait_for(server: ServerProcess, said: str, times: int = 1) -> None:
    """Return when the server has said it so often."""
    deadline = time.monotonic() + 40
    while server.output.count(said) < times:
        assert time.monotonic() < deadline, server.output
        time.sleep(0.02)


def test_production_app(launch: Launch, free_port: int, tmp_path: Path) -> None:
    server = start(launch, tmp_path, program("production", port=f"8000={free_port}"), free_port)
    wait_for(server, "4 worker processes")
    assert get_json(server, "/health") == {"status": "healthy", "service": "ProductionApp"}
    assert get_json(server, "/api/data") == {"data": "production data"}
    wait_for(server, "/api/data")
    assert server.stop() == 0


def test_secure_app(launch: Launch, free_port: int, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("shop.test")
    text = program(
        "secure",
        port=f"8443={free_port}",
        cert=f"/etc/ssl/certs/server.crt={pair.cert}",
        key=f"/etc/ssl/private/server.key={pair.key}",
    )
    server = start(launch, tmp_path, text, free_port)
    wait_for(server, f"Listening on https://0.0.0.0:{free_port}")
    wait_for(server, "4 worker processes")
    for _ in range(8):
        assert ask_securely(free_port, authority.client()) == {
            "message": "Secure connection established",
            "scheme": "https",
            "secure": True,
        }
    wait_for(server, "GET", 8)
    assert server.stop() == 0


def ask_securely(port: int, context: ssl.SSLContext) -> Any:
    """A request over a connection of its own to the server that is shop.test."""
    raw = socket.create_connection(("127.0.0.1", port), 10)
    with context.wrap_socket(raw, server_hostname="shop.test") as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
        return json.loads(client.makefile("rb").read().partition(b"\r\n\r\n")[2])


def test_multi_worker_app(launch: Launch, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import multiprocessing as m\nm.cpu_count = lambda: 4\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"PORT": str(free_port), "PYTHONPATH": path}
    server = start(launch, tmp_path, program("multi_worker"), free_port, **environment)
    assert server.get("/")[0] == 404  # it has no route
    wait_for(server, "LOGGING", 4)
    wait_for(server, "4 worker processes")  # which is said when all of them serve
    assert server.stop() == 0
    assert server.output.count("CLOSED pool") == server.output.count("CLOSED cache") == 4


@contextmanager
def unix_server(folder: Path, path: Path) -> Iterator[ServerProcess]:
    (folder / "program.py").write_text(program("unix_socket", path=f"/tmp/sanic_app.sock={path}"))
    server = ServerProcess(RUN, 0, clean_environment(), folder, folder / "log")
    try:
        wait_for(server, str(path))
        yield server
    finally:
        server.remove()


def ask_unix(path: Path, target: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return client.makefile("rb").read()


def test_unix_socket_app(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="vivace-unix-"))  # its path is short enough for a socket
    path = folder / "sanic_app.sock"
    try:
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))
        with unix_server(tmp_path, path) as server:
            wait_for(server, "4 worker processes")
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
            assert ask_unix(path, "/status").endswith(b'{"status":"running","socket":"unix"}')
            server.stop()
            # The last line of the program comes when the socket is gone, as with Sanic itself.
            assert "FileNotFoundError" in server.output
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("workers", ["1", "4"])
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_container_app(
    launch: Launch, free_port: int, tmp_path: Path, workers: str, sent: signal.Signals
) -> None:
    environment = {"PORT": str(free_port), "WORKERS": workers, "ACCESS_LOG": "false"}
    server = start(launch, tmp_path, program("container"), free_port, **environment)
    assert get_json(server, "/health") == {"status": "healthy"}
    status, _, body = server.get("/ready")
    assert (status, json.loads(body)) == (503, {"status": "not ready"})
    (tmp_path / "ready").touch()
    assert get_json(server, "/ready") == {"status": "ready"}
    wait_for(server, "Starting application in container", int(workers))
    assert server.stop(sent) == 0
    assert "/health" not in server.output


NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{front};
        location / {{
            proxy_pass http://127.0.0.1:{back};
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
        }}
    }}
}}
"""


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_proxied_app_behind_nginx(launch: Launch, tmp_path: Path) -> None:
    back, front = find_free_port(), find_free_port()
    server = start(launch, tmp_path, program("proxied", port=f"8000={back}"), back)
    conf = tmp_path / "nginx.conf"
    conf.write_text(NGINX.format(folder=tmp_path, front=front, back=back))
    wait_for(server, "4 worker processes")
    proxy = launch(["nginx", "-p", str(tmp_path), "-c", str(conf)], front, cwd=tmp_path)
    seen = get_json(proxy, "/proxy-info", headers={"Host": "shop.example.org"})
    assert seen["client_ip"] == "127.0.0.1"
    assert seen["remote_addr"] == "127.0.0.1"
    assert (seen["scheme"], seen["host"]) == ("https", "shop.example.org")
    assert seen["headers"] == {
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "https",
        "x-real-ip": "127.0.0.1",
    }
    wait_for(server, "Request from 127.0.0.1 to /proxy-info")


def test_proxied_app_believes_its_proxy_only(launch: Launch, free_port: int, tmp_path: Path) -> None:
    server = start(launch, tmp_path, program("proxied", port=f"8000={free_port}"), free_port)
    seen = get_json(server, "/proxy-info", headers={"X-Real-IP": "203.0.113.7", "X-Forwarded-Proto": "https"})
    assert seen["remote_addr"] == "203.0.113.7"
    assert seen["client_ip"] == "127.0.0.1"


def test_custom_protocol_app(launch: Launch, free_port: int, tmp_path: Path) -> None:
    server = start(launch, tmp_path, program("custom_protocol", port=f"8000={free_port}"), free_port)
    client = http.client.HTTPConnection("127.0.0.1", free_port, timeout=10)
    for number in (1, 2, 3):
        client.request("GET", "/")
        answer = client.getresponse()
        assert json.loads(answer.read()) == {"message": "Custom protocol server", "request_number": number}
        assert answer.headers["X-Request-Number"] == str(number)
        assert answer.headers["X-Server-Protocol"] == "custom"
    client.request("GET", "/none")
    answer = client.getresponse()
    assert (answer.status, answer.headers["X-Request-Number"]) == (404, "4")
    client.close()
    wait_for(server, "Processing request #3: GET /")
    assert server.stop() == 0
