"""STATIC: files below a path, for an app of any kind."""

import socket
import sys
from pathlib import Path

import pytest

from tests.conftest import Launch, ServerProcess
from vivace.config import Config
from vivace.errors import ConfigError
from vivace.supervisor.loading.folders import static_mounts

RUN = [sys.executable, "-m", "vivace", "run", "program.py", "--static", "/static=files"]

APPS = {
    "wsgi": """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
""",
    "asgi": """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})
""",
    "native": """
from vivace import Vivace, text
app = Vivace("hello")
app.get("/")(lambda request: text("hello"))
app.get("/static/own")(lambda request: text("hello"))
""",
}


def serve(launch: Launch, folder: Path, kind: str, port: int) -> ServerProcess:
    (folder / "program.py").write_text(APPS[kind])
    (folder / "files" / "css").mkdir(parents=True)
    (folder / "files" / "css" / "a.css").write_text("p {}")
    (folder / "files" / ".hidden").write_text("no")
    return launch([*RUN, "--port", str(port)], port, cwd=folder)


@pytest.mark.parametrize("kind", sorted(APPS))
def test_files_are_sent_and_all_else_is_the_apps(
    launch: Launch, free_port: int, tmp_path: Path, kind: str
) -> None:
    server = serve(launch, tmp_path, kind, free_port)
    status, fields, body = server.get("/static/css/a.css")
    assert (status, body, fields["content-type"]) == (200, b"p {}", "text/css; charset=utf-8")
    assert server.get("/static/css/a.css", headers={"Range": "bytes=2-3"})[::2] == (206, b"{}")
    assert server.get("/static/css/a.css", headers={"If-None-Match": fields["etag"]})[0] == 304
    for path in ("/static/none", "/static/.hidden", "/static/../program.py", "/static/%2e%2e/program.py"):
        assert server.get(path)[2] != b"hello", path
        assert server.get(path)[0] in (400, 404), path
    assert server.get("/")[2] == b"hello"
    if kind == "native":  # a route that says more wins
        assert server.get("/static/own")[2] == b"hello"
    assert server.stop() == 0


def test_slow_downloads_do_not_hold_up_an_app_with_one_thread(
    launch: Launch, free_port: int, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(APPS["wsgi"])
    (tmp_path / "files").mkdir()
    with (tmp_path / "files" / "big").open("wb") as file:
        file.truncate(30 << 20)
    server = launch([*RUN, "--port", str(free_port), "--threads", "1"], free_port, cwd=tmp_path)
    slow = [socket.create_connection(("127.0.0.1", free_port), 10) for _ in range(10)]
    for client in slow:
        client.sendall(b"GET /static/big HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1).startswith(b"H")  # it has begun, and nobody reads on
    for _ in range(20):
        assert server.get("/")[2] == b"hello"
    for client in slow:
        client.close()
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("/s=nothing", "STATIC: /s=nothing: .*'nothing'"),
        ("/s//x=.", "empty segment"),
        (f"/s={__file__}", "is no dir"),
    ],
)
def test_a_folder_that_is_not_there_is_refused(value: str, said: str) -> None:
    config = Config()
    config.STATIC = value
    with pytest.raises(ConfigError, match=said):
        static_mounts(config)


def test_a_value_names_a_prefix_and_a_folder() -> None:
    with pytest.raises(ConfigError, match="STATIC"):
        Config().STATIC = "files"
