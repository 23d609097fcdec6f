"""ADMIN_BIND by HTTPS: what another machine is told, and what one that speaks something else gets."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.conftest import find_free_port
from tests.supervisor.serving import APP, PATIENCE, Serving, until

RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--workers", "2", "--no-access-log")


class Encrypted:
    """A server that tells figures by HTTPS."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        (folder / "sample.py").write_text(APP)
        self.port = find_free_port()
        self._authority = authority
        self.pair = authority.issue("localhost")
        bind = ("--admin-bind", f"127.0.0.1:{self.port},unix:{folder}/admin")
        secured = ("--admin-cert", self.pair.cert, "--admin-key", self.pair.key)
        self.serving = Serving([*RUN, *bind, *secured], folder, {"VIVACE_ADMIN_TOKEN": "open sesame"})

    def page(self, path: str, **fields: str) -> tuple[int, str]:
        context = self._authority.client()
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=PATIENCE, context=context)
        try:
            connection.request("GET", path, headers=fields)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def serial(self) -> str:
        """The number of the certificate that it shows."""
        context = self._authority.client()
        with (
            socket.create_connection(("127.0.0.1", self.port), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            shown = client.getpeercert()
            assert shown is not None
            return str(shown["serialNumber"])


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[Encrypted]:
    made = Encrypted(tmp_path, Authority(tmp_path))
    with made.serving as server:
        server.wait_for("Listening on")
        yield made


def test_figures_go_to_who_has_the_token_and_are_encrypted(encrypted: Encrypted) -> None:
    encrypted.serving.wait_for(rf"health is told at https://127.0.0.1:{encrypted.port}/-/live")
    until(lambda: encrypted.page("/-/ready")[0] == 200)
    assert encrypted.page("/metrics")[0] == 401
    status, text = encrypted.page("/metrics", authorization="Bearer open sesame")
    assert status == 200
    assert 'vivace_workers{state="ready"} 2' in text


def test_who_speaks_no_tls_or_never_ends_its_handshake_holds_nobody_up(encrypted: Encrypted) -> None:
    with ExitStack() as stack:
        address = ("127.0.0.1", encrypted.port)
        silent = [stack.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(5)]
        plain = stack.enter_context(socket.create_connection(address, PATIENCE))
        plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionError):
            assert b"vivace" not in plain.recv(65536)
        assert encrypted.page("/-/live")[0] == 200
        assert [one.recv(1) for one in silent] == [b""] * 5
    assert "Traceback" not in encrypted.serving.log


def test_a_local_socket_stays_as_it_is(encrypted: Encrypted, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "admin"))
        client.sendall(b"GET /-/live HTTP/1.1\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_renewed_certificate_is_shown_to_the_next_client(encrypted: Encrypted) -> None:
    before = encrypted.serial()
    encrypted._authority.issue("localhost")
    until(lambda: encrypted.serial() != before)


def test_an_old_version_of_tls_is_refused(encrypted: Encrypted) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", encrypted.port), PATIENCE) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "sample.py").write_text(APP)
    path = tmp_path / "cert.pem"
    if content is not None:
        path.write_text(content)
    bind = ("--admin-bind", f"127.0.0.1:{find_free_port()}", "--admin-cert", str(path))
    with Serving([*RUN, *bind], tmp_path) as server:
        assert server.wait() == 4
        assert f"ADMIN_CERT {path}: " in server.log
        assert "Traceback" not in server.log
