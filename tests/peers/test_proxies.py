"""Behind a real nginx and a real HAProxy: the client's address, scheme and host, and nothing forged."""

import json
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.conftest import Launch, ServerProcess, find_free_port

RUN = [sys.executable, "-m", "vivace", "run"]
APPS = """
import json
from vivace import Vivace, json as answer

native = Vivace("native")

@native.get("/")
async def seen(request):
    found = {"client": request.client_ip, "peer": request.ip}
    return answer({**found, "scheme": request.scheme, "host": request.host})

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    found = {"client": scope["client"][0], "scheme": scope["scheme"]}
    found["host"] = dict(scope["headers"])[b"host"].decode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})

def wsgi(environ, start_response):
    start_response("200 OK", [])
    found = {"client": environ["REMOTE_ADDR"], "scheme": environ["wsgi.url_scheme"]}
    found["host"] = environ["HTTP_HOST"]
    return [json.dumps(found).encode()]
"""
FORGED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "6.6.6.6",
    "Forwarded": "for=6.6.6.6;proto=https;host=evil.example",
    "Host": "shop.example",
}
CLIENT = "127.0.0.9"
"""The address from which our client comes; the proxies come from 127.0.0.1."""

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
            proxy_pass http://{back};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header Forwarded "for=$remote_addr;proto=$scheme;host=$host";
        }}
    }}
}}
"""

HAPROXY = """
global
    maxconn 64
defaults
    mode {mode}
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend front
    bind 127.0.0.1:{front} {tls}
    default_backend back
backend back
    {rules}
    server one {back} {options}
"""
APPEND = """option forwardfor
    http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header Forwarded "for=%[src];proto=%[ssl_fc,iif(https,http)];host=%[req.hdr(host)]\""""
BY_ADDRESS = ["--trusted-proxies", "127.0.0.1"]

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
needs_haproxy = pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="vivace-"))  # short enough for Unix sockets
    path.chmod(0o755)  # nginx comes as another user
    (path / "apps.py").write_text(APPS)
    yield path
    shutil.rmtree(path)


def serve(launch: Launch, folder: Path, app: str, *options: str) -> ServerProcess:
    port = find_free_port()
    return launch([*RUN, f"apps:{app}", "--port", str(port), *options], port, cwd=folder)


def nginx(launch: Launch, folder: Path, back: str) -> int:
    front = find_free_port()
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, front=front, back=back))
    launch(["nginx", "-p", str(folder), "-c", str(conf)], front, cwd=folder)
    return front


def haproxy(
    launch: Launch,
    folder: Path,
    back: str,
    *,
    mode: str = "http",
    rules: str = "",
    options: str = "",
    tls: str = "",
) -> int:
    front = find_free_port()
    conf = folder / "haproxy.cfg"
    conf.write_text(HAPROXY.format(front=front, back=back, mode=mode, rules=rules, options=options, tls=tls))
    checked = subprocess.run(["haproxy", "-c", "-f", str(conf)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    launch(["haproxy", "-db", "-f", str(conf)], front, cwd=folder)
    return front


def ask(port: int, headers: dict[str, str] | None = None, times: int = 1) -> dict[str, Any]:
    """Ask from `CLIENT`, several times on one connection; what the app saw the last time."""
    fields = {"Host": "shop.example", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with socket.create_connection(("127.0.0.1", port), 10, (CLIENT, 0)) as client:
        for number in range(1, times + 1):
            end = "Connection: close\r\n" if number == times else ""
            client.sendall(f"GET / HTTP/1.1\r\n{lines}{end}\r\n".encode())
            if number < times:
                answer = client.recv(65536)
                assert answer.startswith(b"HTTP/1.1 200"), answer
        answer = client.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    found: dict[str, Any] = json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])
    return found


@pytest.fixture(params=["native", "asgi", "wsgi"])
def app(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def is_right(seen: dict[str, Any], scheme: str = "http") -> bool:
    return (seen["client"], seen["scheme"], seen["host"]) == (CLIENT, scheme, "shop.example")


# Header fields


@needs_nginx
def test_nginx_tells_the_client_and_forged_fields_tell_nothing(
    launch: Launch, folder: Path, app: str
) -> None:
    server = serve(launch, folder, app, *BY_ADDRESS)
    front = nginx(launch, folder, f"127.0.0.1:{server.port}")
    assert is_right(ask(front))
    assert is_right(ask(front, FORGED, times=2))
    seen = ask(server.port, FORGED)  # past the proxy
    assert is_right(seen)


@needs_nginx
@pytest.mark.parametrize(
    "options",
    [
        ["--real-ip-header", "X-Real-IP"],
        ["--proxies-count", "1"],
        [*BY_ADDRESS, "--forwarded-for-header", "Forwarded"],
        ["--proxies-count", "1", "--forwarded-for-header", "Forwarded"],
        [*BY_ADDRESS, "--proxies-count", "1"],
    ],
)
def test_nginx_is_believed_in_each_of_the_ways(
    launch: Launch, folder: Path, app: str, options: list[str]
) -> None:
    server = serve(launch, folder, app, *options)
    front = nginx(launch, folder, f"127.0.0.1:{server.port}")
    assert is_right(ask(front, FORGED))


@needs_nginx
def test_nginx_may_come_by_a_unix_socket(launch: Launch, folder: Path, app: str) -> None:
    port = find_free_port()
    path = folder / "x"
    binds = ["--bind", f"unix:{path}", "--bind", f"127.0.0.1:{port}"]
    launch([*RUN, f"apps:{app}", *binds, "--trusted-proxies", "unix"], port, cwd=folder)
    front = nginx(launch, folder, f"unix:{path}:")
    assert is_right(ask(front, FORGED))
    assert ask(port, {"X-Forwarded-For": "6.6.6.6"})["client"] == CLIENT


@needs_haproxy
@pytest.mark.parametrize("options", [BY_ADDRESS, [*BY_ADDRESS, "--forwarded-for-header", "Forwarded"]])
def test_haproxy_tells_the_client_and_forged_fields_tell_nothing(
    launch: Launch, folder: Path, app: str, options: list[str]
) -> None:
    server = serve(launch, folder, app, *options)
    front = haproxy(launch, folder, f"127.0.0.1:{server.port}", rules=APPEND)
    assert is_right(ask(front))
    assert is_right(ask(front, FORGED, times=2))


@needs_haproxy
@needs_nginx
def test_two_proxies_are_passed_over(launch: Launch, folder: Path, app: str) -> None:
    """HAProxy before nginx: nginx's peer is HAProxy, and the client stands before it in the list."""
    server = serve(launch, folder, app, *BY_ADDRESS)
    middle = nginx(launch, folder, f"127.0.0.1:{server.port}")
    front = haproxy(launch, folder, f"127.0.0.1:{middle}", rules=APPEND)
    assert ask(front, FORGED)["client"] == CLIENT


# The PROXY protocol


@needs_haproxy
@pytest.mark.parametrize(
    "version",
    ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2 proxy-v2-options crc32c,unique-id"],
)
@pytest.mark.parametrize("mode", ["tcp", "http"])
def test_haproxy_speaks_the_proxy_protocol(launch: Launch, folder: Path, version: str, mode: str) -> None:
    port = find_free_port()
    binds = ["--bind", f"127.0.0.1:{port}", "--proxy-protocol", "on"]
    launch([*RUN, "apps:native", *binds], port, cwd=folder)
    front = haproxy(launch, folder, f"127.0.0.1:{port}", mode=mode, options=version)
    for times in (1, 3):
        seen = ask(front, FORGED, times=times)
        assert (seen["client"], seen["peer"], seen["scheme"]) == (CLIENT, CLIENT, "http")


@needs_haproxy
@pytest.mark.parametrize("app", ["asgi", "wsgi"])
def test_hosted_apps_see_the_client_of_the_proxy_protocol(launch: Launch, folder: Path, app: str) -> None:
    port = find_free_port()
    launch([*RUN, f"apps:{app}", "--port", str(port), "--proxy-protocol", "on"], port, cwd=folder)
    front = haproxy(launch, folder, f"127.0.0.1:{port}", mode="tcp", options="send-proxy")
    assert is_right(ask(front, FORGED))


@needs_haproxy
def test_health_checks_of_haproxy_are_answered(launch: Launch, folder: Path) -> None:
    """Its checks send LOCAL: with them the server comes up, without them it would be taken out."""
    port = find_free_port()
    server = launch([*RUN, "apps:native", "--port", str(port), "--proxy-protocol", "on"], port, cwd=folder)
    check = "send-proxy-v2 check-send-proxy check inter 100ms fall 1 rise 1"
    front = haproxy(launch, folder, f"127.0.0.1:{port}", rules="option httpchk GET /", options=check)
    assert ask(front)["client"] == CLIENT
    assert "turned away" not in server.output


@needs_haproxy
def test_a_unix_socket_alone_may_be_behind_the_proxy(launch: Launch, folder: Path) -> None:
    port, path = find_free_port(), folder / "x"
    binds = ["--bind", f"127.0.0.1:{port}", "--bind", f"proxy+unix:{path}"]
    launch([*RUN, "apps:native", *binds], port, cwd=folder)
    front = haproxy(launch, folder, f"unix@{path}", mode="tcp", options="send-proxy-v2")
    assert ask(front)["client"] == CLIENT
    assert ask(port)["client"] == CLIENT


def ask_by_tls(port: int, context: ssl.SSLContext) -> bytes:
    """The answer to a client that comes from `CLIENT` by TLS."""
    with (
        socket.create_connection(("127.0.0.1", port), 10, (CLIENT, 0)) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return client.makefile("rb").read()


@needs_haproxy
def test_a_client_whose_tls_ends_at_the_proxy_is_known(launch: Launch, folder: Path) -> None:
    authority = Authority(folder)
    pair = authority.issue("localhost")
    together = folder / "together.pem"
    together.write_text(Path(pair.cert).read_text() + Path(pair.key).read_text())
    port = find_free_port()
    launch([*RUN, "apps:native", "--port", str(port), "--proxy-protocol", "on"], port, cwd=folder)
    tls = f"ssl crt {together}"
    front = haproxy(launch, folder, f"127.0.0.1:{port}", options="send-proxy-v2-ssl", tls=tls)
    answer = ask_by_tls(front, authority.client())
    assert b'"scheme":"https"' in answer
    assert CLIENT.encode() in answer


@needs_haproxy
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_the_header_comes_before_our_own_tls(launch: Launch, folder: Path, version: str) -> None:
    authority = Authority(folder)
    pair = authority.issue("localhost")
    port = find_free_port()
    own = ["--cert", pair.cert, "--key", pair.key]
    launch([*RUN, "apps:native", "--port", str(port), "--proxy-protocol", "on", *own], port, cwd=folder)
    front = haproxy(launch, folder, f"127.0.0.1:{port}", mode="tcp", options=version)
    answer = ask_by_tls(front, authority.client())
    assert b'"scheme":"https"' in answer
    assert CLIENT.encode() in answer
