"""One app under our own server, other people's ASGI servers, and gunicorn with our worker: one behaviour.

A difference that is the other server's own is written at the test, with its reason.
"""

import hashlib
import http.client
import importlib.util
import json
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, ServerProcess, clean_environment, find_free_port
from tests.peers.support import PATIENCE, Answer, read_answer, until

TARGET = "tests.peers.hosted:app"
LIMIT = 1_000_000
"""REQUEST_MAX_SIZE of the app."""
COMMANDS = {
    "vivace": ("vivace", "run", TARGET, "--port", "{port}"),
    "uvicorn": ("uvicorn", TARGET, "--port", "{port}"),
    "hypercorn": ("hypercorn", "--bind", "127.0.0.1:{port}", TARGET),
    "granian": ("granian", "--interface", "asgi", "--port", "{port}", TARGET),
    "gunicorn": (
        "gunicorn", "--worker-class", "vivace.compat.gunicorn.GunicornWorker", "--bind", "127.0.0.1:{port}",
        TARGET,
    ),
}  # fmt: skip
OURS = ("vivace", "gunicorn")
"""Where the octets are our own server's."""


class Host:
    """A running server.

    Attributes:
        name: One of `COMMANDS`.
    """

    def __init__(self, name: str, process: ServerProcess) -> None:
        self.name = name
        self._process = process

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return self._process.output

    def connect(self) -> socket.socket:
        """A new connection."""
        return socket.create_connection(("127.0.0.1", self._process.port), PATIENCE)

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; an iterable body goes in chunks."""
        client = http.client.HTTPConnection("127.0.0.1", self._process.port, timeout=PATIENCE)
        try:
            client.request(method, path, body, headers or {}, encode_chunked=not isinstance(body, bytes))
            response = client.getresponse()
            fields: dict[str, str] = {}
            for name, value in response.getheaders():
                name = name.lower()
                fields[name] = f"{fields[name]}, {value}" if name in fields else value
            return Answer(response.status, fields, response.read())
        finally:
            client.close()

    def count(self, what: str) -> int:
        """How often the app counted something."""
        found: int = json.loads(self.ask("/seen/" + what).body)["count"]
        return found


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hosted")
    (made / "a.txt").write_text("0123456789" * 10)
    (made / "big.bin").write_bytes(os.urandom(3 << 20))
    return made


@pytest.fixture(scope="session", params=COMMANDS)
def host(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    name: str = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    port = find_free_port()
    command = [sys.executable, "-m", *(part.format(port=port) for part in COMMANDS[name])]
    log = tmp_path_factory.mktemp(name) / "log"
    environment = clean_environment(
        HOME=str(log.parent),  # where gunicorn puts its control socket
        HOSTED_FOLDER=str(folder),
        PYTHONPATH=f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        VIVACE_REQUEST_MAX_SIZE=str(LIMIT),
        VIVACE_RESPONSE_TIMEOUT="2",
    )
    process = ServerProcess(command, port, environment, ROOT, log)
    try:
        process.wait_until_serving()
        yield Host(name, process)
        process.stop()
    finally:
        process.remove()
    for stage in ("before_server_stop", "lifespan.shutdown", "after_server_stop"):
        assert f"ran {stage}" in process.output, "listeners and mounted apps are told of the stop"


def raw_head(path: str, method: str = "GET", *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: host.test", *fields, "", ""]).encode()


# The request


def test_listeners_ran_before_the_first_request_and_once(host: Host) -> None:
    told = json.loads(host.ask("/order").body)
    assert told == {"order": ["before_server_start", "lifespan", "after_server_start"], "ctx": "yes"}
    assert "announces no start" not in host.log


def test_a_route_gets_its_parameters_as_the_client_wrote_them(host: Host) -> None:
    answer = host.ask("/hello/caf%C3%A9%2Fbar/7?a=1&a=%26&b=%C3%A9")
    assert json.loads(answer.body) == {
        "name": "caf%C3%A9%2Fbar",
        "number": 7,
        "args": [["a", "1"], ["a", "&"], ["b", "é"]],
        "path": "/hello/caf%C3%A9%2Fbar/7",
    }
    assert answer.fields["content-type"] == "application/json"
    assert int(answer.fields["content-length"]) == len(answer.body)


def test_the_request_knows_its_connection_and_fields(host: Host) -> None:
    with host.connect() as client:
        client.sendall(raw_head("/about", "GET", "X-Two: a", "X-Two: b", "X-Latin: caf\xe9"))
        told = json.loads(read_answer(client).body)
    assert told == {
        "method": "GET",
        "scheme": "http",
        "host": "host.test",
        "ip": "127.0.0.1",
        "url": "http://host.test/about",
        "two": ["a", "b"],
        "latin": "caf\u00e9".encode().decode("latin-1"),
    }


def test_json_comes_and_goes(host: Host) -> None:
    answer = host.ask("/json", "POST", b'{"a": [1, null, "\xc3\xa9"]}', {"Content-Type": "application/json"})
    assert answer.status == 201
    assert json.loads(answer.body) == {"a": [1, None, "é"]}
    assert host.ask("/json", "POST", b"{").status == 400


def test_a_small_body_is_buffered(host: Host) -> None:
    assert host.ask("/echo", "POST", b"abc").body == b"abc"
    assert host.ask("/echo", "POST", b"").body == b""
    assert host.ask("/echo", "POST", iter([b"abc", b"def"])).body == b"abcdef"


def test_a_large_body_is_streamed(host: Host) -> None:
    pieces = [os.urandom(50_000) for _ in range(60)]
    whole = b"".join(pieces)
    expected = {"size": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
    assert json.loads(host.ask("/digest", "POST", whole).body) == expected
    assert json.loads(host.ask("/digest", "POST", iter(pieces)).body) == expected


def test_forms_are_read(host: Host) -> None:
    plain = {"Content-Type": "application/x-www-form-urlencoded"}
    assert json.loads(host.ask("/form", "POST", b"a=1&a=2&b=%C3%A9", plain).body)["fields"] == {
        "a": ["1", "2"],
        "b": ["é"],
    }
    parts = (
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--B\r\nContent-Disposition: form-data; name="f"; filename="x.txt"\r\n\r\nfile\r\n--B--\r\n'
    )
    answer = host.ask("/form", "POST", parts, {"Content-Type": "multipart/form-data; boundary=B"})
    assert json.loads(answer.body) == {"fields": {"a": ["1"]}, "files": {"f": "file"}}


def test_cookies_are_read_and_set(host: Host) -> None:
    answer = host.ask("/cookies", headers={"Cookie": 'a=1; b="x y"'})
    assert json.loads(answer.body) == {"a": "1", "b": "x y"}
    assert answer.fields["set-cookie"].count("SameSite=Lax") == 2


def test_expect_continue_is_answered_when_the_body_is_wanted(host: Host) -> None:
    with host.connect() as client:
        client.sendall(raw_head("/echo", "POST", "Content-Length: 3", "Expect: 100-continue"))
        assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"abc")
        assert read_answer(client).body == b"abc"


def test_a_connection_carries_several_requests(host: Host) -> None:
    with host.connect() as client:
        for _ in range(3):
            client.sendall(raw_head("/"))
            assert read_answer(client).body == b"hello"
        client.sendall(raw_head("/echo", "POST", "Content-Length: 3") + b"abc")
        assert read_answer(client).body == b"abc"
        client.sendall(raw_head("/fails"))
        assert read_answer(client).status == 500
        client.sendall(raw_head("/"))
        assert read_answer(client).body == b"hello"


def test_requests_have_contexts_of_their_own(host: Host) -> None:
    with host.connect() as client:
        for name in ("first", "second"):
            client.sendall(raw_head("/context/" + name))
            assert read_answer(client).body == f"nobody {name}".encode()


def test_a_plain_function_answers_from_a_thread(host: Host) -> None:
    assert host.ask("/plain").body == b"from a plain function"


# The response


def test_middleware_surrounds_the_handler(host: Host) -> None:
    assert host.ask("/").fields["x-marked"] == "yes"
    stopped = host.ask("/middleware/stops")
    assert (stopped.status, stopped.body, stopped.fields["x-marked"]) == (200, b"by middleware", "yes")


def test_a_streamed_piece_arrives_before_the_next_is_made(host: Host) -> None:
    name = f"drip-{host.name}"
    with host.connect() as client:
        client.sendall(raw_head("/drip/" + name))
        data = b""
        while b"one," not in data:
            data += client.recv(65536)
        assert b"two" not in data
        assert b"transfer-encoding: chunked" in data.lower()
        assert host.ask("/release/" + name).status == 204
        while not data.endswith(b"0\r\n\r\n"):
            data += client.recv(65536)
    assert b"two" in data


def test_a_streamed_response_of_known_length_is_not_chunked(host: Host) -> None:
    answer = host.ask("/counted")
    assert answer.body == b"abcdef"
    assert answer.fields["content-length"] == "6"
    assert "transfer-encoding" not in answer.fields


def test_head_has_the_fields_of_get_and_no_body(host: Host) -> None:
    for path in ("/files/a.txt", "/file"):
        answer = host.ask(path, "HEAD")
        assert (answer.status, answer.fields["content-length"], answer.body) == (200, "100", b"")
    with host.connect() as client:
        client.sendall(raw_head("/files/a.txt", "HEAD") + raw_head("/", "GET", "Connection: close"))
        data = b""
        while piece := client.recv(65536):
            data += piece
    assert b"0123" not in data
    assert data.endswith(b"hello")


def test_files_are_sent_whole_in_ranges_and_on_condition(host: Host, folder: Path) -> None:
    whole = host.ask("/files/big.bin")
    expected = (folder / "big.bin").read_bytes()
    assert whole.body == expected
    part = host.ask("/files/big.bin", headers={"Range": "bytes=1000000-2000000"})
    assert (part.status, part.body) == (206, expected[1_000_000:2_000_001])
    assert part.fields["content-range"] == f"bytes 1000000-2000000/{3 << 20}"
    parts = host.ask("/files/a.txt", headers={"Range": "bytes=0-1,8-9"})
    assert parts.fields["content-type"].startswith("multipart/byteranges")
    assert int(parts.fields["content-length"]) == len(parts.body)
    assert host.ask("/files/a.txt", headers={"Range": "bytes=500-"}).status == 416
    same = host.ask("/files/big.bin", headers={"If-None-Match": whole.fields["etag"]})
    assert (same.status, same.body) == (304, b"")
    assert "attachment" in host.ask("/file").fields["content-disposition"]


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_has_none(host: Host, status: int) -> None:
    with host.connect() as client:
        client.sendall(raw_head(f"/nothing/{status}") + raw_head("/", "GET", "Connection: close"))
        first = read_answer(client)
        assert (first.status, first.body) == (status, b"")
        assert first.fields["etag"] == '"x"'
        assert "content-length" not in first.fields or (status == 304 and host.name in OURS)
        assert "transfer-encoding" not in first.fields


def test_a_redirect_has_an_encoded_location(host: Host) -> None:
    answer = host.ask("/moved")
    assert answer.status == 302
    assert answer.fields["location"] == "/hello/a%20b/1?x=%C3%A9"


def test_a_response_is_out_before_its_handler_has_ended(host: Host) -> None:
    before = host.count("early")
    assert host.ask("/early").body == b"done"
    assert host.count("early") == before
    assert host.ask("/release/early").status == 204
    until(lambda: host.count("early") == before + 1)


def test_the_connection_belongs_to_the_server(host: Host) -> None:
    answer = host.ask("/connection")
    assert answer.fields["x-kept"] == "yes"
    if host.name not in OURS:  # our own server passes them on and says so in its documentation
        assert "upgrade" not in answer.fields
        assert "keep-alive" not in answer.fields


# Mounted apps


@pytest.mark.parametrize("size", [0, 100, 300_000])
def test_mounted_apps_are_served_too(host: Host, size: int) -> None:
    body = os.urandom(size)
    for given in (body, iter([body[:1000], body[1000:]])) if size > 1000 else (body,):
        answer = host.ask("/asgi/a%20b", "POST", given)
        assert (answer.status, answer.body) == (200, b"/asgi /asgi/a b " + body)
    for given in (body, iter([body[:1000], body[1000:]])) if size > 1000 else (body,):
        answer = host.ask("/wsgi/a%20b", "POST", given)
        assert (answer.status, answer.body) == (201, b"/wsgi /a b " + body)
    assert host.ask("/asgi", "HEAD").status == 200
    assert host.ask("/wsgi").body == b"/wsgi  "


def test_a_mounted_app_is_told_of_a_client_that_leaves(host: Host) -> None:
    before = host.count("mounted-http.disconnect"), host.count("mounted")
    client = host.connect()
    client.sendall(raw_head("/asgi/hang"))
    until(lambda: host.count("mounted") == before[1] + 1)
    leave(client)
    until(lambda: host.count("mounted-http.disconnect") == before[0] + 1)


# What goes wrong


def test_errors_are_pages_with_the_right_status(host: Host) -> None:
    missing = host.ask("/nowhere")
    assert (missing.status, b"404" in missing.body) == (404, True)
    refused = host.ask("/", "DELETE")
    assert refused.status == 405
    assert "GET" in refused.fields["allow"]
    failed = host.ask("/fails")
    assert (failed.status, b"swordfish" in failed.body) == (500, False)
    assert "swordfish" in host.log
    assert (host.ask("/divides").status, host.ask("/divides").body) == (418, b"divided by zero")


@pytest.mark.parametrize("path", ["/cut", "/short", "/long"])
def test_a_response_that_breaks_off_is_seen_to_be_cut(host: Host, path: str) -> None:
    with host.connect() as client:
        # Granian lets a connection live when the octets that were announced are out, as in /long.
        client.sendall(raw_head(path, "GET", "Connection: close"))
        data = b""
        try:
            while piece := client.recv(65536):
                data += piece
        except ConnectionResetError:
            pass
    assert data.startswith(b"HTTP/1.1 200")
    assert not data.endswith(b"0\r\n\r\n")
    assert b"abcdef" not in data
    assert host.ask("/").body == b"hello"


def test_a_field_that_would_split_the_response_is_refused(host: Host) -> None:
    answer = host.ask("/inject?value=a%0D%0AX-Evil:%201")
    assert answer.status == 500
    assert "x-evil" not in answer.fields


def test_a_body_over_the_limit_is_413(host: Host) -> None:
    with host.connect() as client:
        client.sendall(raw_head("/echo", "POST", f"Content-Length: {LIMIT + 1}"))
        assert read_answer(client).status == 413
    with host.connect() as client:
        client.sendall(raw_head("/echo", "POST", "Transfer-Encoding: chunked"))
        client.sendall(b"%x\r\n" % (LIMIT + 1) + b"x" * (LIMIT + 1) + b"\r\n")
        assert read_answer(client).status == 413
    assert len(host.ask("/echo", "POST", b"x" * LIMIT).body) == LIMIT


def test_a_handler_that_never_ends_is_503(host: Host) -> None:
    before = host.count("timed-out")
    answer = host.ask("/hang")
    assert (answer.status, b"Response Timeout" in answer.body) == (503, True)
    assert host.count("timed-out") == before + 1


def leave(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_a_client_that_leaves_cancels_its_handler(host: Host) -> None:
    before = host.count("hang-cancelled"), host.count("hang")
    client = host.connect()
    client.sendall(raw_head("/hang"))
    until(lambda: host.count("hang") == before[1] + 1)
    leave(client)
    until(lambda: host.count("hang-cancelled") == before[0] + 1)


def test_a_client_that_leaves_ends_its_streamed_response(host: Host) -> None:
    before = host.count("endless-ended"), host.count("endless")
    client = host.connect()
    client.sendall(raw_head("/endless"))
    until(lambda: host.count("endless") == before[1] + 1)
    client.recv(100)
    leave(client)
    until(lambda: host.count("endless-ended") == before[0] + 1)


def test_a_client_that_leaves_ends_its_upload(host: Host) -> None:
    before = host.count("swallow-ended"), host.count("swallow")
    client = host.connect()
    client.sendall(raw_head("/swallow", "POST", "Content-Length: 500000") + b"x" * 1000)
    until(lambda: host.count("swallow") == before[1] + 1)
    leave(client)
    until(lambda: host.count("swallow-ended") == before[0] + 1)
