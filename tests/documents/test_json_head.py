"""Both programs of the document on json-head, as real processes, asking a server that runs here."""

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import Launch, ServerProcess
from tests.documents.programs import TEXTS, code, program
from tests.examples.test_json_head import Upstream, query, upstream

pytest.importorskip("aiohttp")

__all__ = ["upstream"]


def start(launch: Launch, folder: Path, text: str, port: int) -> ServerProcess:
    (folder / "json_head.py").write_text(text)
    return launch([sys.executable, "-m", "vivace.compat.sanic", "json_head.py"], port, cwd=folder)


def parallel(port: int) -> str:
    """The second program: the first one with the handler that the document gives later."""
    text = code("json_head_first").replace("8006", str(port))
    before, _, rest = text.partition("@app.route('/')")
    after = rest[rest.index("if __name__") :]
    prelude = (TEXTS / "json_head_parallel.prelude").read_text()
    return prelude + before + code("json_head_parallel") + after


def test_first_version(launch: Launch, free_port: int, tmp_path: Path, upstream: Upstream) -> None:
    server = start(launch, tmp_path, program("json_head_first", port=f"8006={free_port}"), free_port)
    url = upstream.url("/page")
    status, headers, body = server.get(query(url))
    answer = json.loads(body)
    assert (status, headers["access-control-allow-origin"]) == (200, "*")
    assert (answer["ok"], answer["status"], answer["url"]) == (True, 200, url)
    assert answer["headers"]["X-Upstream"] == "/page"
    assert server.get("/")[2] == b"Try /?url=xxx"
    assert server.stop() == 0


def test_parallel_version(launch: Launch, free_port: int, tmp_path: Path, upstream: Upstream) -> None:
    server = start(launch, tmp_path, parallel(free_port), free_port)
    url = upstream.url("/meet")  # answers neither before both requests are there
    _, headers, body = server.get(query(url, url))
    assert [answer["status"] for answer in json.loads(body)] == [200, 200]
    assert headers["access-control-allow-origin"] == "*"
    status, headers, body = server.get("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert body == b"<h1>json-head</h1>"
