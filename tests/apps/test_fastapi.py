"""A FastAPI app under `vivace run`, asked as its users ask: each test is a promise of FastAPI."""

import concurrent.futures
import hashlib
import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.apps.support import Hosted, Serving, host, until
from tests.conftest import ROOT
from tests.supervisor.serving import is_refused

BIG = bytes(range(256)) * (20 * 4096)  # 20 MiB


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with host(tmp_path_factory.mktemp("shop"), "fastapi_app:app") as hosted:
        yield hosted
    hosted.noted("lifespan ended")


def ask_and_leave(shop: Hosted, method: str, target: str) -> socket.socket:
    """A connection that asked; what leaves it is up to the test."""
    client = shop.server.connect()
    client.sendall(f"{method} {target} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n".encode())
    return client


# What is validated


def test_values_of_path_query_header_and_cookie(shop: Hosted) -> None:
    fields = {"x-token": "secret", "cookie": "seat=12a"}
    answer = shop.client.get("/items/7?tag=a&tag=b%20c", headers=fields)
    assert answer.status_code == 200
    assert answer.json() == {"number": 7, "tags": ["a", "b c"], "token": "secret", "seat": "12a"}


@pytest.mark.parametrize(("number", "kind"), [("seven", "int_parsing"), ("0", "greater_than_equal")])
def test_a_wrong_path_is_422(shop: Hosted, number: str, kind: str) -> None:
    answer = shop.client.get(f"/items/{number}")
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert (detail["type"], detail["loc"]) == (kind, ["path", "number"])


def test_a_body_becomes_a_model(shop: Hosted) -> None:
    order = {"customer": "Ada", "lines": [{"name": "tea", "amount": 2}, {"name": "cake", "amount": 3}]}
    answer = shop.client.post("/orders", json=order)
    assert (answer.status_code, answer.json()) == (201, {"customer": "Ada", "total": 5})


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ('{"customer": "Ada", "lines": [{"name": "", "amount": 0}]}', [[0, "name"], [0, "amount"]]),
        ('{"lines": []}', [["customer"]]),
        ('{"customer": ', [[13]]),
        ("", [[]]),
    ],
)
def test_a_wrong_body_is_422_and_says_where(shop: Hosted, body: str, places: list[list[object]]) -> None:
    answer = shop.client.post("/orders", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert [
        d["loc"][-len(p) :] if p else [] for d, p in zip(answer.json()["detail"], places, strict=True)
    ] == places


def test_text_comes_back_as_it_was(shop: Hosted) -> None:
    body = {"größe": "∞", "list": [1.5, None, True]}
    assert shop.client.post("/echo", json=body).json() == body


def test_errors_with_a_status_of_their_own(shop: Hosted) -> None:
    answer = shop.client.get("/items/404")
    assert (answer.status_code, answer.headers["x-reason"]) == (404, "sold")
    assert answer.json() == {"detail": "no such item"}
    answer = shop.client.get("/items/410")
    assert (answer.status_code, answer.json()) == (410, {"sold": "item 410"})
    assert shop.client.get("/not/there").json() == {"detail": "Not Found"}


# Dependencies, and what is done after the response


def test_a_dependency_is_closed_after_its_use(shop: Hosted) -> None:
    word = shop.word()
    assert shop.client.get(f"/depends?word={word}").json() == word
    shop.noted(f"{word} closed")
    assert re.findall(rf"{word} (.*)\n", shop.server.log) == ["opened", "used", "closed"]


def test_a_dependency_learns_of_an_error(shop: Hosted) -> None:
    word = shop.word()
    assert shop.client.get(f"/depends/fails?word={word}").status_code == 500
    shop.noted(f"{word} closed")
    assert re.findall(rf"{word} (.*)\n", shop.server.log) == ["opened", "rolled back: swordfish", "closed"]


def test_a_background_task_runs_after_the_response(shop: Hosted) -> None:
    word = shop.word()
    answer = shop.client.post(f"/mails?word={word}")
    assert (answer.status_code, answer.json()) == (202, "accepted")
    shop.noted(f"{word} task began")
    shop.open(word)
    shop.noted(f"{word} task ended")
    shop.noted(f"{word} report by ")
    assert "MainThread" not in shop.server.wait_for(f"{word} report by (.*)")[1]


def test_a_background_task_runs_on_when_the_client_leaves(shop: Hosted) -> None:
    word = shop.word()
    with ask_and_leave(shop, "POST", f"/mails?word={word}") as client:
        assert client.recv(12) == b"HTTP/1.1 202"
        shop.noted(f"{word} task began")
    shop.client.get("/nothing")
    shop.open(word)
    shop.noted(f"{word} task ended")
    shop.noted(f"{word} report by ")


def test_a_request_is_finished_though_its_client_left_before_the_response(shop: Hosted) -> None:
    word = shop.word()
    with ask_and_leave(shop, "POST", f"/slow-mails?word={word}"):
        shop.noted(f"{word} handler began")
    shop.client.get("/nothing")
    shop.open(word)
    shop.noted(f"{word} task ended")


# Streams out


@pytest.mark.parametrize("path", ["/lines/async", "/lines/sync", "/wrapped/gated"])
def test_lines_arrive_when_they_are_made(shop: Hosted, path: str) -> None:
    word = shop.word()
    plain = {"accept-encoding": "identity"}
    with shop.client.stream("GET", path, params={"word": word}, headers=plain) as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        lines = answer.iter_lines()
        assert next(lines) == "first"
        shop.open(word)
        assert list(lines) == ["second"]


def test_a_stream_that_breaks_is_seen_as_one(shop: Hosted) -> None:
    with shop.client.stream("GET", "/lines/breaks") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "first"
        with pytest.raises(httpx2.RemoteProtocolError):
            next(lines)
    shop.noted("RuntimeError: swordfish")


@pytest.mark.parametrize("style", ["busy", "idle", "asks"])
def test_a_stream_ends_when_its_client_leaves(shop: Hosted, style: str) -> None:
    word = shop.word()
    with shop.client.stream("GET", f"/lines/{style}/endless", params={"word": word}) as answer:
        assert next(answer.iter_lines()) == "first"
        assert f"{word} left" not in shop.server.log
    shop.noted(f"{word} left")


def test_a_stream_of_http_1_0_ends_with_the_connection(shop: Hosted) -> None:
    word = shop.word()
    shop.open(word)
    with shop.server.connect() as client:
        client.sendall(f"GET /lines/async?word={word} HTTP/1.0\r\nHost: test\r\n\r\n".encode())
        octets = b""
        while piece := client.recv(65536):
            octets += piece
    head, _, body = octets.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body == b"first\nsecond\n"


def test_events_arrive_one_by_one(shop: Hosted) -> None:
    word = shop.word()
    with shop.client.stream("GET", f"/events?word={word}", headers={"accept": "text/event-stream"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = iter(httpx2.EventSource(answer))
        for number in (1, 2, 3):
            event = next(events)
            assert (event.event, event.id, event.json()) == ("tick", str(number), {"number": number})
            shop.open(f"{word}-{number}")
        assert list(events) == []
    shop.noted(f"{word} left")


def test_events_go_on_where_a_client_left(shop: Hosted) -> None:
    word = shop.word()
    with shop.client.stream("GET", f"/events?word={word}") as answer:
        first = next(iter(httpx2.EventSource(answer)))
    shop.noted(f"{word} left")
    again = shop.word()
    for number in (2, 3):
        shop.open(f"{again}-{number}")
    with shop.client.stream("GET", f"/events?word={again}", headers={"last-event-id": first.id}) as answer:
        assert [event.id for event in httpx2.EventSource(answer)] == ["2", "3"]


# Bodies in


def test_an_upload_of_20_mib(shop: Hosted) -> None:
    files = [
        ("files", ("big.bin", BIG, "application/octet-stream")),
        ("files", ("../pässword.txt", b"small", "text/plain")),
    ]
    answer = shop.client.post("/upload", data={"title": "été"}, files=files)
    assert answer.status_code == 200
    digests = [hashlib.sha256(octets).hexdigest() for octets in (BIG, b"small")]
    assert answer.json()["title"] == "été"
    assert [f["sha256"] for f in answer.json()["files"]] == digests
    assert [f["name"] for f in answer.json()["files"]] == ["big.bin", "../pässword.txt"]


def test_an_upload_without_its_file_is_422(shop: Hosted) -> None:
    answer = shop.client.post("/upload", data={"title": "x"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "files"])


def test_a_chunked_body(shop: Hosted) -> None:
    answer = shop.client.put("/octets", content=(b"x" * 1000 for _ in range(50)))
    assert answer.json()["octets"] == 50_000


def test_a_client_that_leaves_in_its_body(shop: Hosted) -> None:
    word = shop.word()
    with shop.server.connect() as client:
        head = f"PUT /octets?word={word} HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nabc"
        client.sendall(head.encode())
        shop.noted(f"{word} piece")
    shop.noted(f"{word} left")


# Threads


def test_a_plain_function_runs_in_a_thread(shop: Hosted) -> None:
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: shop.client.get("/thread").json(), range(6)))
    assert {a["thread"] for a in answers}.isdisjoint({"MainThread"})
    assert max(a["most"] for a in answers) > 1
    assert shop.client.get("/limiter").json() == 40, "anyio's own number, as nobody set THREADS"


def test_threads_that_are_set_bound_plain_functions(tmp_path: Path) -> None:
    with host(tmp_path, "fastapi_app:app", "--threads", "3") as shop:
        with concurrent.futures.ThreadPoolExecutor(9) as pool:
            answers = list(pool.map(lambda _: shop.client.get("/thread").json(), range(9)))
        assert max(a["most"] for a in answers) == 3
        assert shop.client.get("/limiter").json() == 3


# What the app sees of a request


def test_what_the_app_sees(shop: Hosted) -> None:
    with shop.server.connect() as client:
        port = client.getsockname()[1]
        target = "/about/a%2Fb/%C3%A9?q=%C3%A9&q"
        client.sendall(
            f"GET {target} HTTP/1.1\r\nHost: shop.example\r\nX-Many: 1\r\nX-Many: 2\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        octets = b""
        while piece := client.recv(65536):
            octets += piece
    head, _, body = octets.partition(b"\r\n\r\n")
    assert re.findall(rb"(?i)set-cookie: (\w+)=", head) == [b"one", b"two"]
    assert json.loads(body) == {
        "name": "a/b/é",
        "client": ["127.0.0.1", port],
        "server": ["127.0.0.1", shop.server.port],
        "http_version": "1.1",
        "scheme": "http",
        "url": "http://shop.example/about/a/b/é?q=%C3%A9&q",
        "base_url": "http://shop.example/",
        "link": "http://shop.example/items/7",
        "root_path": "",
        "path": "/about/a/b/é",
        "raw_path": "/about/a%2Fb/%C3%A9",
        "query": "q=%C3%A9&q",
        "greeting": "made at the start",
        "fields": ["1", "2"],
    }


def test_head_has_the_fields_of_get_and_no_body(shop: Hosted) -> None:
    head, get = shop.client.head("/about/x"), shop.client.get("/about/x")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))


def test_methods_that_a_route_has_not(shop: Hosted) -> None:
    for method in ("OPTIONS", "HEAD", "DELETE"):
        answer = shop.client.request(method, "/items/7")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_no_content(shop: Hosted) -> None:
    answer = shop.client.get("/nothing")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize("path", ["/fails", "/fails/in-thread", "/wrapped/fails"])
def test_an_error_is_500_and_tells_a_stranger_nothing(shop: Hosted, path: str) -> None:
    before = shop.server.log.count("RuntimeError: swordfish")
    answer = shop.client.get(path)
    assert answer.status_code == 500
    assert "swordfish" not in answer.text
    assert "Traceback" not in answer.text
    shop.noted("RuntimeError: swordfish", before + 1)
    assert shop.client.get("/nothing").status_code == 204


# Middleware


def test_middleware_of_another_origin(shop: Hosted) -> None:
    asked = {"origin": "https://shop.example", "access-control-request-method": "PUT"}
    answer = shop.client.options("/wrapped/big", headers=asked)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (
        200,
        "https://shop.example",
    )
    stranger = shop.client.options("/wrapped/big", headers={**asked, "origin": "https://evil.example"})
    assert stranger.status_code == 400


def test_middleware_that_compresses_and_one_that_sets_a_field(shop: Hosted) -> None:
    answer = shop.client.get("/wrapped/big")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["x-counted"] == "/wrapped/big"
    assert answer.json() == {"text": "again and " * 1000}


def test_an_app_that_is_mounted_knows_its_place(shop: Hosted) -> None:
    answer = shop.client.get("/wrapped/here").json()
    assert answer == {"link": f"{shop.url}/wrapped/here", "root_path": "/wrapped"}


# Pages and places


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_of_the_interface(shop: Hosted, path: str) -> None:
    answer = shop.client.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "/openapi.json" in answer.text
    assert shop.client.get("/openapi.json").json()["info"]["title"] == "Shop"


def test_root_path(tmp_path: Path) -> None:
    with host(tmp_path, "fastapi_app:app", "--root-path", "/shop") as shop:
        about = shop.client.get("/about/x").json()
        assert (about["root_path"], about["path"]) == ("/shop", "/shop/about/x")
        assert about["link"] == f"{shop.url}/shop/items/7"
        assert shop.client.get("/wrapped/here").json() == {
            "link": f"{shop.url}/shop/wrapped/here",
            "root_path": "/shop/wrapped",
        }
        assert "'/shop/openapi.json'" in shop.client.get("/docs").text
        assert shop.client.get("/openapi.json").json()["servers"] == [{"url": "/shop"}]


# Start and stop


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_that_fails_ends_the_server(tmp_path: Path, workers: str) -> None:
    command = ["-m", "vivace", "run", "tests.apps.fastapi_app:failing", "--port", "0", "--workers", workers]
    with Serving(command, ROOT) as server:
        assert server.wait() == 3, server.log
        assert "the database db.example does not answer" in server.log
        assert "Listening on" not in server.log


def test_a_stop_finishes_the_request_and_its_task(tmp_path: Path) -> None:
    with host(tmp_path, "fastapi_app:app") as shop:
        word = shop.word()
        with ask_and_leave(shop, "POST", f"/slow-mails?word={word}") as client:
            shop.noted(f"{word} handler began")
            shop.server.signal(signal.SIGTERM)
            until(lambda: is_refused(shop.server.port))
            shop.open(word)
            assert client.recv(12) == b"HTTP/1.1 202"
        assert shop.server.wait() == 0
        shop.noted("lifespan ended")
        assert shop.server.log.index(f"{word} task ended") < shop.server.log.index("lifespan ended")
