"""json-head answers what it should about an upstream that runs here, over real sockets."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.conftest import ROOT, Launch, ServerProcess, find_free_port

pytest.importorskip("aiohttp")

EXAMPLE = ROOT / "examples" / "json_head"
VIVACE = str(Path(sys.executable).with_name("vivace"))


class Upstream:
    """A server with plain pages, one that is missing, and one that answers two requests at once or none."""

    def __init__(self) -> None:
        meeting = threading.Barrier(2)

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                if self.path == "/meet":
                    meeting.wait(10)
                self.send_response(404 if self.path == "/missing" else 200)
                self.send_header("X-Upstream", self.path)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def first(launch: Launch, free_port: int) -> ServerProcess:
    return launch([VIVACE, "run", str(EXAMPLE / "json_head_first.py"), "--port", str(free_port)], free_port)


@pytest.fixture
def final(launch: Launch, free_port: int) -> ServerProcess:
    return launch([VIVACE, "run", str(EXAMPLE / "json_head.py"), "--port", str(free_port)], free_port)


def query(*urls: str) -> str:
    return "/?" + "&".join("url=" + quote(url, safe="") for url in urls)


def test_first_version_answers_for_one_url(first: ServerProcess, upstream: Upstream) -> None:
    url = upstream.url("/page")
    status, headers, body = first.get(query(url))
    answer = json.loads(body)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert headers["access-control-allow-origin"] == "*"
    assert (answer["ok"], answer["status"], answer["url"]) == (True, 200, url)
    assert answer["headers"]["X-Upstream"] == "/page"


def test_first_version_shows_its_hint(first: ServerProcess) -> None:
    status, headers, body = first.get("/")
    assert (status, headers["content-type"], body) == (200, "text/html; charset=utf-8", b"Try /?url=xxx")


def test_first_version_reports_an_upstream_that_is_not_there(first: ServerProcess) -> None:
    url = f"http://127.0.0.1:{find_free_port()}/"
    status, _, body = first.get(query(url))
    answer = json.loads(body)
    assert (status, answer["ok"], answer["url"]) == (200, False, url)
    assert answer["error"]


def test_final_version_answers_in_the_order_of_the_urls(final: ServerProcess, upstream: Upstream) -> None:
    urls = [upstream.url("/a"), f"http://127.0.0.1:{find_free_port()}/", upstream.url("/missing")]
    status, headers, body = final.get(query(*urls))
    answers = json.loads(body)
    assert (status, headers["access-control-allow-origin"]) == (200, "*")
    assert [answer["url"] for answer in answers] == urls
    assert [answer["ok"] for answer in answers] == [True, False, True]
    assert [answer.get("status") for answer in answers] == [200, None, 404]


def test_final_version_asks_in_parallel(final: ServerProcess, upstream: Upstream) -> None:
    # The upstream answers neither before both requests are there.
    url = upstream.url("/meet")
    _, _, body = final.get(query(url, url))
    assert [answer["status"] for answer in json.loads(body)] == [200, 200]


def test_final_version_shows_its_page(final: ServerProcess) -> None:
    status, headers, body = final.get("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<h1>json-head</h1>" in body


def test_final_version_can_ask_itself(final: ServerProcess) -> None:
    url = f"http://127.0.0.1:{final.port}/"
    _, _, body = final.get(query(url))
    assert [(answer["ok"], answer["status"]) for answer in json.loads(body)] == [(True, 200)]


@pytest.mark.parametrize("name", ["json_head_first.py", "json_head.py"])
def test_runs_as_a_script(launch: Launch, name: str, tmp_path: Path) -> None:
    # Port 8006 is in the file, as in the text that it comes from; another one keeps two test runs apart.
    port = find_free_port()
    script = tmp_path / name
    script.write_text((EXAMPLE / name).read_text().replace("8006", str(port)))
    server = launch([sys.executable, str(script)], port)
    assert server.get("/")[0] == 200
    assert server.stop() == 0
