"""HTTPS as the command line and programs start it, asked by curl, openssl and Python."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.certificates import Authority, Pair, encrypt_key
from tests.conftest import Launch, ServerProcess, clean_environment, find_free_port
from tests.supervisor.serving import until

APP = """
from vivace import Vivace, json
import os
app = Vivace("Sample")
@app.get("/")
async def where(request):
    info = request.conn_info
    found = {"url": request.url, "name": info.server_name, "client": info.client_cert}
    return json({"pid": os.getpid(), **found})
"""
PROGRAM = """
if __name__ == "__main__":
    app.run(port={port}, {options})
"""
WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["wsgi.url_scheme"].encode()]
"""
ASGI = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})
"""
EXTENSION = """
import json
async def app(scope, receive, send):
    found = json.dumps(scope["extensions"]["tls"]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": found})
"""
RUN = (sys.executable, "-m", "vivace", "run", "--no-access-log")

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("shop.test", "*.shop.test", "127.0.0.1")


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)


def ask(port: int, context: ssl.SSLContext, name: str = "shop.test", path: str = "/") -> str:
    """The body of an answer."""
    raw = socket.create_connection(("127.0.0.1", port), 10)
    with context.wrap_socket(raw, server_hostname=name) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        return client.makefile("rb").read().partition(b"\r\n\r\n")[2].decode()


def run(folder: Path, *options: str, **environment: str) -> tuple[int, str]:
    """Exit code and last line of a start that fails."""
    argv = [*RUN, "sample:app", "--port", "0", *options]
    answer = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, env=clean_environment(**environment), check=False
    )
    return answer.returncode, answer.stderr.strip().splitlines()[-1]


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["curl", "-sS", "-m", "10", *arguments], capture_output=True, text=True, check=False
    )


@needs_curl
@pytest.mark.parametrize("version", [("--tlsv1.2", "--tls-max", "1.2"), ("--tlsv1.3",), ("--http1.0",)])
def test_curl(
    launch: Launch, free_port: int, tmp_path: Path, authority: Authority, pair: Pair, version: tuple[str, ...]
) -> None:
    options = ("--port", str(free_port), "--cert", pair.cert, "--key", pair.key)
    server = launch([*RUN, "sample:app", *options], free_port, cwd=tmp_path)
    url = f"https://127.0.0.1:{free_port}/"
    answer = curl(*version, "--cacert", authority.path, url, url)
    assert answer.stdout.count(f'"url":"{url}"') == 2, answer.stderr
    assert f"Listening on https://127.0.0.1:{free_port}" in server.output
    assert curl(url).returncode == 60  # an authority that it does not know
    plain = curl("-i", f"http://127.0.0.1:{free_port}/")
    assert plain.stdout.startswith("HTTP/1.1 400 Bad Request")
    assert "Traceback" not in server.output


@needs_openssl
@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_openssl(
    launch: Launch, free_port: int, tmp_path: Path, authority: Authority, pair: Pair, version: str
) -> None:
    options = ("--port", str(free_port), "--cert", pair.cert, "--key", pair.key)
    launch([*RUN, "sample:app", *options], free_port, cwd=tmp_path)
    address = f"127.0.0.1:{free_port}"
    command = ["openssl", "s_client", f"-{version}", "-alpn", "h2,http/1.1", "-connect", address]
    command += ["-servername", "shop.test", "-CAfile", authority.path, "-verify_return_error", "-ign_eof"]
    asked = "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
    answer = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=20, check=False)
    assert '"name":"shop.test"' in answer.stdout
    assert "ALPN protocol: http/1.1" in answer.stdout
    assert "Verify return code: 0 (ok)" in answer.stdout
    assert "Compression: NONE" in answer.stdout
    assert answer.returncode == 0


def test_workers_share_sessions(
    launch: Launch, free_port: int, tmp_path: Path, authority: Authority, pair: Pair
) -> None:
    options = ("--port", str(free_port), "--cert", pair.cert, "--key", pair.key, "--workers", "2")
    launch([*RUN, "sample:app", *options], free_port, cwd=tmp_path)
    context = authority.client()
    session: ssl.SSLSession | None = None
    pids: set[str] = set()
    reused: list[bool | None] = []

    def ask_again() -> bool:
        nonlocal session
        raw = socket.create_connection(("127.0.0.1", free_port), 10)
        with context.wrap_socket(raw, server_hostname="shop.test", session=session) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
            pids.add(client.makefile("rb").read().decode().partition('"pid":')[2].partition(",")[0])
            reused.append(client.session_reused)
            session = client.session
        return len(pids) == 2

    until(ask_again)
    assert all(reused[1:])


def test_folders_are_chosen_by_name(
    launch: Launch, free_port: int, tmp_path: Path, authority: Authority
) -> None:
    first = Path(authority.issue("first.test").cert).parent
    second = Path(authority.issue("second.test").cert).parent
    options = ("--port", str(free_port), "--tls", str(first), "--tls", str(second), "--tls-strict-host")
    launch([*RUN, "sample:app", *options], free_port, cwd=tmp_path)
    for name in ("first.test", "second.test"):
        assert f'"name":"{name}"' in ask(free_port, authority.client(), name)
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        ask(free_port, authority.client(), "third.test")


def test_client_certificate_reaches_the_handler(
    launch: Launch, free_port: int, tmp_path: Path, authority: Authority, pair: Pair
) -> None:
    options = ("--port", str(free_port), "--cert", pair.cert, "--key", pair.key)
    launch([*RUN, "sample:app", *options, "--tls-client-ca", authority.path], free_port, cwd=tmp_path)
    assert "me@shop.test" in ask(free_port, authority.client("me@shop.test"))


def test_asgi_apps_learn_of_the_connection(
    launch: Launch, free_port: int, tmp_path: Path, authority: Authority, pair: Pair
) -> None:
    (tmp_path / "sample.py").write_text(EXTENSION)
    options = ("--port", str(free_port), "--cert", pair.cert, "--key", pair.key)
    launch([*RUN, "sample:app", *options, "--tls-client-ca", authority.path], free_port, cwd=tmp_path)
    found = json.loads(ask(free_port, authority.client("me@shop.test")))
    assert Path(pair.cert).read_text().startswith(found["server_cert"])
    assert len(found["client_cert_chain"]) == 1
    assert found["client_cert_chain"][0].startswith("-----BEGIN CERTIFICATE-----")
    assert found["client_cert_name"].startswith("OU=Testing cert #")
    assert ",O=trustme v" in found["client_cert_name"]
    assert found["client_cert_error"] is None
    assert found["tls_version"] == 0x0304
    assert 0x1301 <= found["cipher_suite"] <= 0x1305


@pytest.mark.parametrize("text", [WSGI, ASGI])
def test_hosted_apps_learn_the_scheme(
    launch: Launch, free_port: int, tmp_path: Path, authority: Authority, pair: Pair, text: str
) -> None:
    (tmp_path / "sample.py").write_text(text)
    options = ("--port", str(free_port), "--cert", pair.cert, "--key", pair.key)
    launch([*RUN, "sample:app", *options], free_port, cwd=tmp_path)
    assert "https" in ask(free_port, authority.client())


def test_a_start_that_cannot_be(tmp_path: Path, authority: Authority, pair: Pair) -> None:
    other = authority.issue("other.test")
    locked = encrypt_key(pair, "open sesame")
    for options, said in [
        (
            ("--cert", "none.pem", "--key", pair.key),
            "TLS: none.pem cannot be read: No such file or directory",
        ),
        (("--cert", pair.cert), "TLS_CERT and TLS_KEY belong together: one of them is missing"),
        (
            ("--cert", pair.cert, "--key", other.key),
            f"TLS: the key {other.key} does not fit the certificate {pair.cert}",
        ),
        (("--tls-redirect-port", "1"), "TLS_REDIRECT_PORT: there is no certificate to serve HTTPS with"),
    ]:
        assert run(tmp_path, *options) == (2, f"Error: {said}")
    code, said = run(tmp_path, "--cert", locked.cert, "--key", locked.key, VIVACE_TLS_CERT_PASSWORD="wrong")
    assert (code, said) == (2, f"Error: TLS: the password of the key {locked.key} is wrong")


def test_plain_port_sends_to_https(
    launch: Launch, free_port: int, tmp_path: Path, authority: Authority, pair: Pair
) -> None:
    plain = find_free_port()
    options = ("--port", str(free_port), "--cert", pair.cert, "--key", pair.key, "--workers", "2")
    launch([*RUN, "sample:app", *options, "--tls-redirect-port", str(plain)], free_port, cwd=tmp_path)
    server = ServerProcess.__new__(ServerProcess)
    server.port = plain
    for host, there in [("www.shop.test", "www.shop.test"), (f"shop.test:{plain}", "shop.test")]:
        status, fields, _ = server.get("/a%20b?c=d&e", headers={"Host": host})
        assert (status, fields["location"]) == (308, f"https://{there}:{free_port}/a%20b?c=d&e")
    assert server.get("/", method="POST", headers={"Host": "shop.test"})[0] == 308
    status, fields, body = server.get("/", headers={"Host": "evil.test"})
    assert (status, "location" in fields) == (400, False)
    assert b"nothing is served here under that name" in body


def test_development_certificate(launch: Launch, free_port: int, tmp_path: Path) -> None:
    cert, key = tmp_path / "local.pem", tmp_path / "local.key"
    environment = {"VIVACE_LOCAL_TLS_CERT": str(cert), "VIVACE_LOCAL_TLS_KEY": str(key), "DEBUG": "1"}
    options = ("--port", str(free_port), "--auto-tls")
    server = launch([*RUN, "sample:app", *options], free_port, cwd=tmp_path, **environment)
    assert key.stat().st_mode & 0o077 == 0
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert '"name":"localhost"' in ask(free_port, context, "localhost")
    assert "https://" in server.output
    before = cert.read_bytes()
    assert server.stop() == 0
    launch([*RUN, "sample:app", *options], free_port, cwd=tmp_path, **environment)
    assert cert.read_bytes() == before  # it is kept where it was asked for


def test_development_certificate_needs_debug(tmp_path: Path) -> None:
    code, said = run(tmp_path, "--auto-tls")
    assert code == 2
    assert "it is for development and needs DEBUG" in said


def test_development_certificate_by_mkcert(
    launch: Launch, free_port: int, tmp_path: Path, pair: Pair
) -> None:
    program = tmp_path / "mkcert"
    program.write_text(f'#!/bin/sh\necho "$@" > asked\ncp {pair.cert} "$2"\ncp {pair.key} "$4"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "DEBUG": "1"}
    launch(
        [*RUN, "sample:app", "--port", str(free_port), "--auto-tls"], free_port, cwd=tmp_path, **environment
    )
    assert (tmp_path / "asked").read_text().split()[4:] == ["localhost", "127.0.0.1", "::1"]
    program.write_text("#!/bin/sh\necho the authority is lost >&2; exit 1\n")
    code, said = run(tmp_path, "--auto-tls", **environment)
    assert (code, said) == (2, "Error: mkcert made no certificate: the authority is lost")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_run_takes_certificates(
    launch: Launch, free_port: int, tmp_path: Path, authority: Authority, pair: Pair, workers: str
) -> None:
    options = f"ssl=dict(cert={pair.cert!r}, key={pair.key!r}), workers={workers}"
    (tmp_path / "program.py").write_text(APP + PROGRAM.format(port=free_port, options=options))
    server = launch([sys.executable, "program.py"], free_port, cwd=tmp_path)
    assert '"name":"www.shop.test"' in ask(free_port, authority.client(), "www.shop.test")
    assert server.stop() == 0


def test_create_server_takes_certificates(
    launch: Launch, free_port: int, tmp_path: Path, authority: Authority, pair: Pair
) -> None:
    program = f"""
import asyncio
async def main():
    server = await app.create_server(port={free_port}, ssl={str(Path(pair.cert).parent)!r})
    await server.serve_forever()
asyncio.run(main())
"""
    (tmp_path / "program.py").write_text(APP + program)
    launch([sys.executable, "program.py"], free_port, cwd=tmp_path)
    assert '"name":"shop.test"' in ask(free_port, authority.client())
