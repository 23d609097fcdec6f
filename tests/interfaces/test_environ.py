"""The environ of a WSGI app: every part of a request under the name that PEP 3333 and CGI give it."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces.wsgi_support import Environ, StartResponse, ask, request, serving
from vivace.config import Config
from vivace.errors import ConfigError
from vivace.interfaces.environ import EnvironMaker
from vivace.interfaces.file_wrapper import FileWrapper
from vivace.interfaces.wsgi import WsgiInterface
from vivace.server import Server, bind_unix


class Recorder:
    """An app that keeps the environ of its last request."""

    def __init__(self) -> None:
        self.environ: Environ = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self.environ = environ
        start_response("200 OK", [])
        return [b"ok"]


async def environ_of(data: bytes, root_path: str = "", **settings: Any) -> Environ:
    app = Recorder()
    async with serving(app, threads=0, root_path=root_path, **settings) as started:
        status, _, _ = await ask(started, data)
        assert status == 200
    return app.environ


async def test_the_parts_of_a_request_have_their_names() -> None:
    environ = await environ_of(request("/a/b?x=1&y=%20", "GET", "User-Agent: me", "X-One:  two "))
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/a/b"
    assert environ["QUERY_STRING"] == "x=1&y=%20"
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == "/a/b?x=1&y=%20"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["SERVER_PORT"].isdigit()
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REMOTE_PORT"].isdigit()
    assert environ["HTTP_HOST"] == "here"
    assert environ["HTTP_USER_AGENT"] == "me"
    assert environ["HTTP_X_ONE"] == "two"
    assert "CONTENT_LENGTH" not in environ
    assert "CONTENT_TYPE" not in environ


async def test_the_wsgi_keys_are_there() -> None:
    environ = await environ_of(request())
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.errors"] is sys.stderr
    assert environ["wsgi.input_terminated"] is True
    assert environ["wsgi.file_wrapper"] is FileWrapper
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input"].read() == b""
    assert type(environ) is dict
    assert all(type(key) is str for key in environ)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("//", "//"),
        ("/a//b/../c/./", "/a//b/../c/./"),
        ("/a%2fb", "/a/b"),
        ("/a%2Fb", "/a/b"),
        ("/%00", "/\x00"),
        ("/%ff%fe", "/\xff\xfe"),
        ("/%c3%bc", "/\xc3\xbc"),
        ("/%2541", "/%41"),
        ("/%zz%4", "/%zz%4"),
        ("/a+b", "/a+b"),
        ("/%3f%23", "/?#"),
        ("/%0d%0a", "/\r\n"),
    ],
)
async def test_path_info_is_the_path_decoded_once_an_octet_a_character(target: str, path: str) -> None:
    environ = await environ_of(request(target + "?q"))
    assert environ["PATH_INFO"] == path
    assert environ["QUERY_STRING"] == "q"
    assert environ["RAW_URI"] == target + "?q"


async def test_an_absolute_target_gives_path_and_host() -> None:
    environ = await environ_of(request("http://there:81/a%20b?q=1"))
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/a b", "q=1")
    assert environ["HTTP_HOST"] == "there:81"
    assert environ["REQUEST_URI"] == "http://there:81/a%20b?q=1"


async def test_options_of_the_server_have_an_empty_path() -> None:
    environ = await environ_of(request("*", "OPTIONS"))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "")
    assert environ["REQUEST_URI"] == "*"


async def test_http_1_0_is_told() -> None:
    environ = await environ_of(b"GET / HTTP/1.0\r\n\r\n")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "HTTP_HOST" not in environ


async def test_repeated_fields_are_joined() -> None:
    environ = await environ_of(
        request("/", "GET", "X-A: 1", "x-a: 2", "Cookie: a=1", "Cookie: b=2", "Accept: a, b", "Accept: c")
    )
    assert environ["HTTP_X_A"] == "1,2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_ACCEPT"] == "a, b,c"


async def test_fields_that_could_forge_others_are_left_out() -> None:
    environ = await environ_of(
        request(
            "/", "GET", "X-User: me", "X_User: root", "Proxy: http://evil", "Content_Length: 9", "Host_: x"
        )
    )
    assert environ["HTTP_X_USER"] == "me"
    assert "HTTP_PROXY" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ
    assert "CONTENT_LENGTH" not in environ
    assert "HTTP_HOST_" not in environ


async def test_values_are_octets_as_characters() -> None:
    environ = await environ_of(request("/", "GET", "X-Name: \xc3\xbc\xff"))
    assert environ["HTTP_X_NAME"] == "\xc3\xbc\xff"


async def test_content_fields_have_names_of_their_own() -> None:
    environ = await environ_of(request("/", "POST", "Content-Type: text/x", body=b"four"))
    assert environ["CONTENT_TYPE"] == "text/x"
    assert environ["CONTENT_LENGTH"] == "4"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


@pytest.mark.parametrize(
    ("root_path", "mount", "target", "script", "path"),
    [
        ("", "/old", "/old/a%20b", "/old", "/a b"),
        ("", "/old", "/old", "/old", ""),
        ("", "/old", "/old/", "/old", "/"),
        ("", "/old", "/%6fld/x", "/old", "/x"),
        ("/shop", "", "/a", "/shop", "/a"),
        ("/shop/", "", "/a", "/shop", "/a"),
        ("/shop", "/old", "/old/a", "/shop/old", "/a"),
        ("/caf\u00e9", "", "/a", "/caf\xc3\xa9", "/a"),
    ],
)
async def test_script_name_is_what_proxy_and_mount_have_taken(
    root_path: str, mount: str, target: str, script: str, path: str
) -> None:
    environ = await environ_of(request(target), mount, ROOT_PATH=root_path)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script, path)


def test_a_root_path_without_a_slash_is_refused() -> None:
    with pytest.raises(ConfigError, match="ROOT_PATH is 'shop'"):
        EnvironMaker(Config(ROOT_PATH="shop"))


@pytest.mark.parametrize(
    ("threads", "workers", "multithread", "multiprocess"),
    [(0, 1, False, False), (1, 1, False, False), (2, 1, True, False), (0, 2, False, True)],
)
async def test_the_app_is_told_with_whom_it_runs(
    threads: int, workers: int, multithread: bool, multiprocess: bool
) -> None:
    app = Recorder()
    async with serving(app, threads, WORKERS=workers) as started:
        await ask(started, request())
    assert app.environ["wsgi.multithread"] is multithread
    assert app.environ["wsgi.multiprocess"] is multiprocess


async def test_a_process_without_standard_error_serves_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    environ = await environ_of(request())
    print("lost", file=environ["wsgi.errors"], flush=True)
    environ["wsgi.errors"].writelines(["a\n", "b\n"])


async def test_environs_share_nothing() -> None:
    seen: list[Environ] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["mine"] = len(seen)
        seen.append(environ)
        environ["wsgi.input"].close()
        start_response("200 OK", [])
        return []

    async with serving(app, 0) as started:
        await ask(started, request())
        status, _, _ = await ask(started, request("/second", "GET", "X-A: 1"))
    assert status == 200
    assert "HTTP_X_A" not in seen[0]
    assert [environ["mine"] for environ in seen] == [0, 1]


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("shop.test:8080", "shop.test", "8080"),
        ("shop.test", "shop.test", "80"),
        ("[::1]:81", "[::1]", "81"),
        ("[::1]", "[::1]", "80"),
    ],
)
async def test_on_a_unix_socket_the_host_names_the_server(
    tmp_path: Path, host: str, name: str, port: str
) -> None:
    app = Recorder()
    path = tmp_path / "s"
    config = Config(ACCESS_LOG=False, THREADS=0)
    with bind_unix(str(path), 0o600, 8) as listener:
        server = Server(WsgiInterface(app, config), config, [listener])
        await server.start()
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        await server.stop()
    assert (app.environ["SERVER_NAME"], app.environ["SERVER_PORT"]) == (name, port)
    assert app.environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in app.environ


async def test_a_head_over_the_limit_never_reaches_the_app() -> None:
    app = Recorder()
    async with serving(app, 0) as started:
        status, _, _ = await ask(started, request("/", "GET", "X-Big: " + "x" * 65536))
    assert status == 431
    assert not app.environ
