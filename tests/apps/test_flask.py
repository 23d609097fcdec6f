"""A Flask app under `vivace run`, in the thread pool and in the worker's own thread."""

import concurrent.futures
import hashlib
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.apps.flask_app import FOLDER
from tests.apps.support import Hosted, host, need, until
from tests.supervisor.serving import is_refused

BIG = bytes(range(256)) * (20 * 4096)  # 20 MiB
DIGEST = hashlib.sha256(BIG).hexdigest()
TARGET = "flask_app:create_app"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("flask")
    (made / "big.bin").write_bytes(BIG)
    return made


@pytest.fixture(scope="module")
def pooled(folder: Path) -> Iterator[Hosted]:
    with host(folder, TARGET, **{FOLDER: str(folder)}) as hosted:
        yield hosted


@pytest.fixture(scope="module")
def inline(folder: Path) -> Iterator[Hosted]:
    with host(folder, TARGET, "--threads", "0", **{FOLDER: str(folder)}) as hosted:
        yield hosted


@pytest.fixture(params=["pooled", "inline"])
def shop(request: pytest.FixtureRequest) -> Hosted:
    """The app in the pool of threads, and in the worker's own thread."""
    hosted: Hosted = request.getfixturevalue(request.param)
    return hosted


def curl(shop: Hosted, path: str, *arguments: str) -> tuple[bytes, str]:
    """What curl wrote, and what it told of the exchange."""
    command = [need("curl"), "-q", "-sS", "-v", "--max-time", "20", f"{shop.url}{path}", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    return done.stdout, done.stderr.decode("latin-1")


# Sessions, cookies, redirects


def test_a_session_and_a_message_that_is_shown_once(shop: Hosted) -> None:
    with shop.make_client() as browser:
        answer = browser.post("/login", data={"name": "Ada & Bob"})
        assert (answer.status_code, answer.headers["location"]) == (302, "/")
        assert [browser.get("/").text for _ in range(2)] == ["Ada &amp; Bob: Welcome", "Ada &amp; Bob: "]
        assert browser.get("/logout", follow_redirects=True).text == "nobody: "


def test_cookies(shop: Hosted) -> None:
    with shop.make_client() as browser:
        answer = browser.get("/cookies", headers={"cookie": "one=1; other=x"})
        assert answer.text == "1"
        assert answer.headers["set-cookie"] == "two=2; HttpOnly; Path=/"


# Bodies in


def test_an_upload_of_20_mib(shop: Hosted) -> None:
    files = [("files", ("big.bin", BIG)), ("files", ("pässword.txt", b"small"))]
    answer = shop.client.post("/upload", data={"title": "été"}, files=files)
    assert answer.status_code == 200
    assert answer.json() == {
        "title": "été",
        "files": [
            {"name": "big.bin", "sha256": DIGEST},
            {"name": "pässword.txt", "sha256": hashlib.sha256(b"small").hexdigest()},
        ],
    }


def test_a_body_above_the_limit_of_the_app_is_413(shop: Hosted) -> None:
    with shop.server.connect() as client:
        client.sendall(b"POST /data HTTP/1.1\r\nHost: test\r\nContent-Length: 70000000\r\n\r\n")
        client.sendall(b"x" * 1000)
        client.shutdown(1)
        assert client.recv(12) in {b"HTTP/1.1 413", b"HTTP/1.1 400", b""}, "the app never sees a whole body"


def test_a_chunked_body(shop: Hosted) -> None:
    answer = shop.client.put("/octets", content=(b"x" * 1000 for _ in range(2000)))
    assert answer.json() == {"octets": 2_000_000}


def test_a_chunked_form_of_curl(shop: Hosted) -> None:
    fields = ["-H", "Transfer-Encoding: chunked", "-F", "title=x", "-F", "files=@-;filename=a.txt"]
    command = [need("curl"), "-q", "-sS", "--max-time", "20", f"{shop.url}/upload", *fields]
    done = subprocess.run(command, input=b"typed", capture_output=True, timeout=30, check=True)
    digest = hashlib.sha256(b"typed").hexdigest()
    assert json.loads(done.stdout) == {"title": "x", "files": [{"name": "a.txt", "sha256": digest}]}


def test_a_body_that_waits_to_be_asked_for(shop: Hosted, folder: Path) -> None:
    expect = ["-H", "Expect: 100-continue", "--expect100-timeout", "20", "-H", "Content-Type: x/y"]
    body, told = curl(shop, "/data", "--data-binary", f"@{folder / 'big.bin'}", *expect)
    assert json.loads(body) == {"sha256": DIGEST}
    assert told.index("< HTTP/1.1 100 Continue") < told.index("< HTTP/1.1 200 OK")


def test_json(shop: Hosted) -> None:
    assert shop.client.post("/json", json={"größe": [1, None]}).json() == {"größe": [1, None]}
    wrong = shop.client.post("/json", content="{", headers={"content-type": "application/json"})
    assert wrong.status_code == 400
    assert shop.client.post("/json", content="{}").status_code == 415


def test_a_body_that_the_app_does_not_read(shop: Hosted) -> None:
    assert shop.client.post("/unread", content=b"x" * 300_000).text == "not read"
    assert shop.client.get("/nothing").status_code == 204


# Streams and files out


def test_lines_arrive_when_they_are_made(shop: Hosted) -> None:
    word = shop.word()
    with shop.client.stream("GET", f"/lines/{word}?who=Ada") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "first of Ada"
        shop.open(word)
        assert list(lines) == ["second"]


def test_a_stream_is_closed_when_its_client_leaves(shop: Hosted) -> None:
    word = shop.word()
    with shop.client.stream("GET", f"/endless/{word}") as answer:
        next(answer.iter_raw())
    shop.noted(f"{word} closed")
    assert shop.client.get("/nothing").status_code == 204


def test_a_stream_that_breaks_is_seen_as_one(shop: Hosted) -> None:
    for _ in range(10):  # what was yielded before is never lost
        with shop.client.stream("GET", "/breaks") as answer:
            octets = answer.iter_raw()
            assert next(octets) == b"first\n"
            with pytest.raises(httpx2.RemoteProtocolError):
                next(octets)
    shop.noted("RuntimeError: swordfish")


def test_a_file(shop: Hosted) -> None:
    whole = shop.client.get("/file")
    assert (whole.status_code, hashlib.sha256(whole.content).hexdigest()) == (200, DIGEST)
    assert whole.headers["content-length"] == str(len(BIG))
    known = shop.client.get("/file", headers={"if-none-match": whole.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


def test_a_part_of_a_file(shop: Hosted) -> None:
    part = shop.client.get("/file", headers={"range": "bytes=100-356"})
    assert (part.status_code, part.content) == (206, BIG[100:357])
    assert part.headers["content-range"] == f"bytes 100-356/{len(BIG)}"


def test_an_interrupted_download_goes_on(shop: Hosted, tmp_path: Path) -> None:
    partial = tmp_path / "big.bin"
    partial.write_bytes(BIG[:1_000_000])
    curl(shop, "/file", "-C", "-", "-o", str(partial))
    assert hashlib.sha256(partial.read_bytes()).hexdigest() == DIGEST


def test_an_attachment_made_in_memory(shop: Hosted) -> None:
    answer = shop.client.get("/attachment")
    assert answer.content == b"made here"
    assert "filename*=UTF-8''gr%C3%B6%C3%9Fe.txt" in answer.headers["content-disposition"]


# Errors and hooks


def test_an_error_is_500_and_tells_a_stranger_nothing(shop: Hosted) -> None:
    before = shop.server.log.count("RuntimeError: swordfish")
    answer = shop.client.get("/fails")
    assert answer.status_code == 500
    assert "swordfish" not in answer.text
    assert "Traceback" not in answer.text
    shop.noted("RuntimeError: swordfish", before + 1)


def test_errors_of_the_app(shop: Hosted) -> None:
    teapot = shop.client.get("/teapot")
    assert teapot.status_code == 418
    assert "no coffee here" in teapot.text
    assert shop.client.get("/not/there").text == "nothing at /not/there"
    sold = shop.client.get("/sold")
    assert (sold.status_code, sold.json()) == (410, {"sold": "item 1"})
    wrong = shop.client.delete("/file")
    assert (wrong.status_code, set(wrong.headers["allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS"})


def test_hooks_around_a_request(shop: Hosted) -> None:
    word = shop.word()
    answer = shop.client.get(f"/nothing?word={word}")
    assert (answer.status_code, answer.headers["x-after"]) == (204, "yes")
    shop.noted(f"{word} torn down, None")
    assert shop.client.get("/nothing?closed").text == "closed today"


# What the app sees of a request


def about(shop: Hosted, target: str, *fields: str) -> dict[str, Any]:
    with shop.server.connect() as client:
        lines = [f"GET {target} HTTP/1.1", "Host: shop.example", "Connection: close", *fields, "", ""]
        client.sendall("\r\n".join(lines).encode())
        octets = b""
        while piece := client.recv(65536):
            octets += piece
    found: dict[str, Any] = json.loads(octets.partition(b"\r\n\r\n")[2])
    return found


def test_what_the_app_sees(shop: Hosted, request: pytest.FixtureRequest) -> None:
    found = about(shop, "/about/a%2Fb/%C3%A9?q=%C3%A9", "X-Many: 1", "X-Many: 2")
    assert found.pop("wsgi.multithread") is ("inline" not in request.node.name)
    assert found.pop("HTTP_X_MANY").replace(" ", "") == "1,2"
    assert found == {
        "SCRIPT_NAME": "",
        "PATH_INFO": "/about/a/b/é".encode().decode("latin-1"),
        "QUERY_STRING": "q=%C3%A9",
        "SERVER_PORT": str(shop.server.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.url_scheme": "http",
        "name": "a/b/é",
        "url": "http://shop.example/about/a/b/é?q=é",
        "link": "http://shop.example/about/x",
    }


def test_head_has_the_fields_of_get_and_no_body(shop: Hosted) -> None:
    for path in ("/shop/items/7", "/file"):
        with shop.client.stream("GET", path) as get:
            expected = get.headers["content-length"]
        head = shop.client.head(path)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", expected)
    assert shop.client.head("/not/there").status_code == 404


def test_options_is_answered_by_flask(shop: Hosted) -> None:
    answer = shop.client.options("/about/x")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_a_blueprint(shop: Hosted) -> None:
    answer = shop.client.get("/shop/items/7").json()
    assert answer == {"number": 7, "link": f"{shop.url}/shop/items/1"}


def test_no_content(shop: Hosted) -> None:
    answer = shop.client.get("/nothing")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize("threads", ["2", "0"])
def test_root_path(folder: Path, threads: str) -> None:
    with host(folder, TARGET, "--threads", threads, "--root-path", "/app") as shop:
        found = about(shop, "/about/x")
        assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/app", "/about/x")
        assert found["link"] == "http://shop.example/app/about/x"
        assert shop.client.get("/logout").headers["location"] == "/app/"


# Threads and processes


def ask_at_once(shop: Hosted, times: int) -> list[dict[str, Any]]:
    with concurrent.futures.ThreadPoolExecutor(times) as pool:
        return list(pool.map(lambda _: shop.client.get("/thread").json(), range(times)))


def test_requests_run_in_as_many_threads_as_are_set(pooled: Hosted) -> None:
    answers = ask_at_once(pooled, 12)
    assert max(a["most"] for a in answers) == 4, "the default of THREADS"
    assert len({a["thread"] for a in answers}) <= 4
    assert "MainThread" not in {a["thread"] for a in answers}


def test_without_threads_requests_run_one_after_the_other(inline: Hosted) -> None:
    answers = ask_at_once(inline, 4)
    assert max(a["most"] for a in answers) == 1
    assert {a["thread"] for a in answers} == {"MainThread"}


def test_slow_clients_hold_no_thread(folder: Path) -> None:
    with host(folder, TARGET, "--threads", "1") as shop:
        head = b"POST /data HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n"
        with shop.server.connect() as slow:
            slow.sendall(head + b"half of it")
            assert shop.client.get("/nothing").status_code == 204
            slow.sendall(b"x" * 990)
            assert slow.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize(("threads", "workers"), [("2", "1"), ("2", "2"), ("0", "2")])
def test_a_stop_finishes_the_request(folder: Path, threads: str, workers: str) -> None:
    with host(folder, TARGET, "--threads", threads, "--workers", workers) as shop:
        word = shop.word()
        with shop.server.connect() as client:
            client.sendall(f"GET /slow/{word} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            shop.noted(f"{word} began")
            shop.server.signal(signal.SIGTERM)
            if threads != "0":  # else the worker learns of the stop when the request is done
                until(lambda: is_refused(shop.server.port))
            shop.open(word)
            octets = b""
            while piece := client.recv(65536):
                octets += piece
        assert octets.startswith(b"HTTP/1.1 200")
        if threads != "0":
            assert re.search(rb"(?i)\r\nconnection: close\r\n", octets)
        assert octets.endswith(b"done")
        assert shop.server.wait() == 0


@pytest.mark.parametrize("target", ["flask_app:app", "flask_app:create_app()", "flask_app"])
def test_ways_to_name_the_app(folder: Path, target: str) -> None:
    with host(folder, target) as shop:
        assert shop.client.get("/shop/items/1").status_code == 200
        shop.server.wait_for(r"Serving tests\.apps\.flask_app.* \(wsgi, 4 threads: ")
