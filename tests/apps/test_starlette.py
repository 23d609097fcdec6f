"""Starlette's static files, mounts and sessions under `vivace run`."""

import concurrent.futures
import email.utils
import hashlib
import os
from collections.abc import Iterator

import pytest

from tests.apps.starlette_app import FOLDER
from tests.apps.support import Hosted, host

TEXT = "0123456789" * 10
BIG = os.urandom(1 << 20) * 32


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    folder = tmp_path_factory.mktemp("site")
    www = folder / "www"
    (www / "sub").mkdir(parents=True)
    (folder / "secret.txt").write_text("SECRET")
    (www / "a.txt").write_text(TEXT)
    (www / "none.txt").write_text("")
    (www / "sub" / "index.html").write_text("<p>sub")
    (www / "404.html").write_text("<p>not here")
    (www / "big.bin").write_bytes(BIG)
    with host(folder, "starlette_app:app", **{FOLDER: str(www)}) as hosted:
        yield hosted


# Static files


def test_a_file_and_what_is_said_of_it(site: Hosted) -> None:
    answer = site.client.get("/static/a.txt")
    assert (answer.status_code, answer.text) == (200, TEXT)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == "100"
    assert answer.headers["accept-ranges"] == "bytes"
    assert email.utils.parsedate_to_datetime(answer.headers["last-modified"]).year > 2000
    assert answer.headers["etag"].startswith('"')


def test_head_of_a_file(site: Hosted) -> None:
    head, get = site.client.head("/static/a.txt"), site.client.get("/static/a.txt")
    assert (head.status_code, head.content) == (200, b"")
    assert {**head.headers, "date": ""} == {**get.headers, "date": ""}


@pytest.mark.parametrize(("field", "of"), [("if-none-match", "etag"), ("if-modified-since", "last-modified")])
def test_a_file_that_the_client_has(site: Hosted, field: str, of: str) -> None:
    first = site.client.get("/static/a.txt")
    again = site.client.get("/static/a.txt", headers={field: first.headers[of]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    ("wanted", "expected", "content_range"),
    [
        ("bytes=0-9", "0123456789", "bytes 0-9/100"),
        ("bytes=-5", "56789", "bytes 95-99/100"),
        ("bytes=98-500", "89", "bytes 98-99/100"),
    ],
)
def test_a_range(site: Hosted, wanted: str, expected: str, content_range: str) -> None:
    answer = site.client.get("/static/a.txt", headers={"range": wanted})
    assert (answer.status_code, answer.text) == (206, expected)
    assert answer.headers["content-range"] == content_range
    assert answer.headers["content-length"] == str(len(expected))


def test_several_ranges(site: Hosted) -> None:
    answer = site.client.get("/static/a.txt", headers={"range": "bytes=0-1,10-12"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "\n01\r\n" in answer.text.replace("\r\n\r\n", "\n\n")


def test_a_range_that_is_not_there(site: Hosted) -> None:
    answer = site.client.get("/static/a.txt", headers={"range": "bytes=100-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */100")


def test_a_range_of_another_version_is_the_whole(site: Hosted) -> None:
    fields = {"range": "bytes=0-1", "if-range": '"another"'}
    assert site.client.get("/static/a.txt", headers=fields).status_code == 200


def test_big_files_to_many_clients(site: Hosted) -> None:
    expected = hashlib.sha256(BIG).hexdigest()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: site.client.get("/static/big.bin").content, range(4)))
    assert {hashlib.sha256(octets).hexdigest() for octets in found} == {expected}


def test_a_big_file_is_left_in_the_middle(site: Hosted) -> None:
    before = site.server.log.count("Traceback")
    with site.client.stream("GET", "/static/big.bin") as answer:
        assert len(next(answer.iter_raw())) > 0
    assert site.client.get("/static/a.txt").text == TEXT
    assert site.server.log.count("Traceback") == before


def test_a_file_without_content(site: Hosted) -> None:
    answer = site.client.get("/static/none.txt")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")


def test_a_page_of_a_folder_and_a_page_for_what_is_not_there(site: Hosted) -> None:
    answer = site.client.get("/static/sub")
    assert (answer.status_code, answer.headers["location"]) == (307, f"{site.url}/static/sub/")
    assert site.client.get("/static/sub/").text == "<p>sub"
    missing = site.client.get("/static/not/there")
    assert (missing.status_code, missing.text) == (404, "<p>not here")


@pytest.mark.parametrize(
    "path",
    ["/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/..%2fsecret.txt", "/static//secret.txt"],
)
def test_nothing_outside_the_folder(site: Hosted, path: str) -> None:
    with site.server.connect() as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        octets = b""
        while piece := client.recv(65536):
            octets += piece
    assert octets.startswith(b"HTTP/1.1 404")
    assert b"SECRET" not in octets


def test_a_file_is_only_read(site: Hosted) -> None:
    assert site.client.post("/static/a.txt").status_code == 405


def test_a_download_with_a_name(site: Hosted) -> None:
    answer = site.client.get("/download")
    assert answer.text == TEXT
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''gr%C3%B6%C3%9Fe.txt"


def test_a_file_that_vanished_is_500(site: Hosted) -> None:
    answer = site.client.get("/vanished")
    assert answer.status_code == 500
    assert "gone.txt" not in answer.text
    site.noted("gone.txt does not exist")


# Routes


def test_a_mount_knows_its_place(site: Hosted) -> None:
    assert site.client.get("/api/users/ada").json() == {
        "name": "ada",
        "link": f"{site.url}/api/users/bob",
        "path": "/api/users/ada",
        "root": "/api",
    }


def test_a_redirect_is_followed(site: Hosted) -> None:
    answer = site.client.get("/move", follow_redirects=True)
    assert (answer.status_code, answer.json()["name"]) == (200, "ada")
    assert answer.history[0].status_code == 307


def test_an_app_by_host(site: Hosted) -> None:
    assert site.client.get("/", headers={"host": "admin.example"}).text == "admin"
    assert site.client.get("/").status_code == 404


def test_a_websocket_route_asked_by_plain_http(site: Hosted) -> None:
    assert site.client.get("/chat").status_code == 404


def test_methods_of_an_endpoint(site: Hosted) -> None:
    answer = site.client.put("/count")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, DELETE")


# Sessions


def test_a_session_per_browser(site: Hosted) -> None:
    with site.make_client() as ada, site.make_client() as bob:
        assert [ada.get("/count").json() for _ in range(3)] == [{"count": 1}, {"count": 2}, {"count": 3}]
        assert bob.get("/count").json() == {"count": 1}
        assert "httponly" in bob.get("/count").headers["set-cookie"]
        assert ada.delete("/count").status_code == 204
        assert ada.get("/count").json() == {"count": 1}


def test_a_session_that_was_changed_by_hand_is_none(site: Hosted) -> None:
    forged = {"cookie": "session=eyJjb3VudCI6IDk5fQ==.forged.signature"}
    with site.make_client() as browser:
        assert browser.get("/count", headers=forged).json() == {"count": 1}
