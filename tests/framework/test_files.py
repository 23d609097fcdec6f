"""Files: conditions, ranges, and folders that cannot be left."""

import asyncio
import gc
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.framework.streams import FakeStream, ask, make_app
from vivace import HTTPResponse, Request, Vivace, file, file_stream
from vivace.errors import ConfigError
from vivace.framework.mime import guess_content_type

CONTENT = bytes(range(256)) * 8


@pytest.fixture
def app() -> Vivace:
    return make_app()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "public"
    (inside / "sub").mkdir(parents=True)
    (inside / "data.bin").write_bytes(CONTENT)
    (inside / "page.html").write_text("<p>")
    (inside / "sub" / "index.html").write_text("index")
    (inside / "a b\xe9.txt").write_text("name")
    (inside / ".hidden").write_text("hidden")
    (inside / "empty.txt").write_bytes(b"")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "public2").mkdir()
    (tmp_path / "public2" / "x.txt").write_text("sibling")
    return inside


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Any:
    before = open_descriptors()
    yield
    assert open_descriptors() <= before


def serve(app: Vivace, path: Path, **options: Any) -> None:
    @app.get("/f")
    async def handler(request: Request) -> HTTPResponse:
        return await file(path, **options)


async def fetch(
    app: Vivace, headers: dict[str, str] | Sequence[tuple[str, str]] = (), method: str = "GET"
) -> FakeStream:
    return await ask(app, method, "/f", headers)


async def test_a_whole_file(app: Vivace, folder: Path) -> None:
    serve(app, folder / "data.bin")
    stream = await fetch(app)
    assert (stream.status, stream.body, stream.complete) == (200, CONTENT, True)
    assert stream.fields["content-length"] == "2048"
    assert stream.fields["content-type"] == "application/octet-stream"
    assert stream.fields["accept-ranges"] == "bytes"
    assert stream.fields["cache-control"] == "no-cache"
    assert stream.fields["etag"].startswith('"')
    assert stream.fields["last-modified"].endswith("GMT")


async def test_head_has_the_fields_without_the_content(app: Vivace, folder: Path) -> None:
    serve(app, folder / "data.bin")
    stream = await fetch(app, method="HEAD")
    assert (stream.status, stream.pieces, stream.fields["content-length"]) == (200, [], "2048")


async def test_an_empty_file(app: Vivace, folder: Path) -> None:
    serve(app, folder / "empty.txt")
    stream = await fetch(app, {"Range": "bytes=0-"})
    assert stream.status in (200, 416)
    stream = await fetch(app)
    assert (stream.status, stream.body, stream.fields["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("0-0", 0, 1), ("10-19", 10, 20), ("2000-", 2000, 2048), ("-5", 2043, 2048), ("0-99999", 0, 2048)],
)
async def test_one_range(app: Vivace, folder: Path, asked: str, start: int, stop: int) -> None:
    serve(app, folder / "data.bin")
    stream = await fetch(app, {"Range": f"bytes={asked}"})
    assert (stream.status, stream.body) == (206, CONTENT[start:stop])
    assert stream.fields["content-range"] == f"bytes {start}-{stop - 1}/2048"
    assert stream.fields["content-length"] == str(stop - start)


async def test_several_ranges(app: Vivace, folder: Path) -> None:
    serve(app, folder / "data.bin")
    stream = await fetch(app, {"Range": "bytes=0-1, 10-11, -2"})
    assert stream.status == 206
    kind, _, boundary = stream.fields["content-type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    parts = stream.body.split(b"--" + boundary.encode())
    assert [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:-1]] == [
        CONTENT[0:2],
        CONTENT[10:12],
        CONTENT[-2:],
    ]
    assert stream.fields["content-length"] == str(len(stream.body))


async def test_a_range_outside_is_416(app: Vivace, folder: Path) -> None:
    serve(app, folder / "data.bin")
    stream = await fetch(app, {"Range": "bytes=2048-"})
    assert (stream.status, stream.fields["content-range"]) == (416, "bytes */2048")


@pytest.mark.parametrize(
    "value", ["bytes=x", "lines=1-2", "bytes=5-1", "bytes=" + "0-0," * 1000, "bytes=" + "9" * 100000]
)
async def test_a_silly_range_is_ignored(app: Vivace, folder: Path, value: str) -> None:
    serve(app, folder / "data.bin")
    stream = await fetch(app, {"Range": value})
    assert (stream.status, len(stream.body)) == (200, 2048)


async def test_two_range_fields_are_ignored(app: Vivace, folder: Path) -> None:
    serve(app, folder / "data.bin")
    assert (await fetch(app, [("Range", "bytes=0-0"), ("Range", "bytes=1-1")])).status == 200


async def test_conditions(app: Vivace, folder: Path) -> None:
    serve(app, folder / "data.bin")
    first = await fetch(app)
    tag, date = first.fields["etag"], first.fields["last-modified"]
    for headers, status in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'"x", W/{tag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"', "If-Modified-Since": date}, 200),
        ({"If-Modified-Since": date}, 304),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Match": '"x"'}, 412),
        ({"If-Match": tag}, 200),
        ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412),
        ({"Range": "bytes=0-0", "If-Range": tag}, 206),
        ({"Range": "bytes=0-0", "If-Range": '"x"'}, 200),
        ({"Range": "bytes=0-0", "If-Range": date}, 206),
        ({"Range": "bytes=0-0", "If-None-Match": tag}, 304),
    ):
        stream = await fetch(app, headers)
        assert stream.status == status, headers
        if status in (304, 412):
            assert stream.body == b""
            assert "content-length" not in stream.fields
            assert stream.fields["etag"] == tag


async def test_conditions_count_for_get_and_head_only(app: Vivace, folder: Path) -> None:
    @app.post("/f")
    async def handler(request: Request) -> HTTPResponse:
        return await file(folder / "page.html")

    stream = await fetch(app, {"If-None-Match": "*", "If-Match": '"x"', "Range": "bytes=0-0"}, "POST")
    assert (stream.status, stream.body) == (200, b"<p>")


async def test_the_tag_changes_with_the_file(app: Vivace, folder: Path) -> None:
    serve(app, folder / "page.html")
    before = (await fetch(app)).fields["etag"]
    os.utime(folder / "page.html", ns=(1, 1))
    assert (await fetch(app)).fields["etag"] != before


async def test_options_of_file(app: Vivace, folder: Path) -> None:
    serve(
        app,
        folder / "page.html",
        filename='r\xe9"sum.html',
        max_age=60,
        headers={"X": "1"},
        mime_type="text/x",
    )
    stream = await fetch(app)
    assert stream.fields["cache-control"] == "public, max-age=60"
    assert "expires" in stream.fields
    assert stream.fields["content-type"] == "text/x"
    assert stream.fields["x"] == "1"
    assert "filename*=UTF-8''r%C3%A9%22sum.html" in stream.fields["content-disposition"]
    other = make_app()
    serve(other, folder / "page.html", no_store=True, validate_when_requested=False, last_modified=0)
    stream = await fetch(other, {"If-None-Match": "*", "Range": "bytes=0-0"})
    assert (stream.status, stream.fields["cache-control"]) == (200, "no-store")
    assert stream.fields["last-modified"] == "Thu, 01 Jan 1970 00:00:00 GMT"


async def test_file_stream_and_another_status(app: Vivace, folder: Path) -> None:
    @app.get("/f")
    async def handler(request: Request) -> HTTPResponse:
        return await file_stream(folder / "page.html", status=203, chunk_size=10)

    stream = await fetch(app, {"Range": "bytes=0-0"})
    assert (stream.status, stream.body) == (203, b"<p>")


async def test_a_file_that_is_not_there_is_404(app: Vivace, folder: Path) -> None:
    serve(app, folder / "none")
    stream = await fetch(app)
    assert stream.status == 404
    assert str(folder).encode() not in stream.body
    other = make_app()
    serve(other, folder)
    assert (await fetch(other)).status == 404


async def test_a_fifo_is_404_at_once(app: Vivace, folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    serve(app, folder / "fifo")
    app.static("/s", folder)
    async with asyncio.timeout(30):
        assert (await fetch(app)).status == 404
        assert (await ask(app, target="/s/fifo")).status == 404


async def test_a_replaced_file_response_is_closed(app: Vivace, folder: Path) -> None:
    serve(app, folder / "page.html")

    @app.on_response
    async def replace(request: Request, response: HTTPResponse) -> HTTPResponse:
        return HTTPResponse("other")

    assert (await fetch(app)).body == b"other"


async def test_a_client_that_leaves_in_mid_file_leaves_no_descriptor(app: Vivace, folder: Path) -> None:
    serve(app, folder / "data.bin")

    @app.on_response
    async def leave(request: Request, response: HTTPResponse) -> None:
        request.transport.disconnected = True

    assert (await fetch(app)).body == b""


# Static folders


async def test_static_files(app: Vivace, folder: Path) -> None:
    app.static("/s", folder)
    stream = await ask(app, target="/s/page.html")
    assert (stream.status, stream.body) == (200, b"<p>")
    assert stream.fields["content-type"] == "text/html; charset=utf-8"
    assert stream.fields["x-content-type-options"] == "nosniff"
    assert (await ask(app, target="/s/a%20b%c3%a9.txt")).body == b"name"
    assert (await ask(app, target="/s/sub/index.html")).body == b"index"
    assert (await ask(app, target="/s/data.bin", headers={"Range": "bytes=0-0"})).status == 206
    tag = stream.fields["etag"]
    assert (await ask(app, target="/s/page.html", headers={"If-None-Match": tag})).status == 304
    assert (await ask(app, "HEAD", target="/s/page.html")).fields["content-length"] == "3"
    assert (await ask(app, "POST", target="/s/page.html")).status == 405


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "%2e%2e%2fsecret.txt",
        "..%252fsecret.txt",
        "%252e%252e/secret.txt",
        "..\\secret.txt",
        "..%5csecret.txt",
        "sub/../../secret.txt",
        "sub/../page.html",
        "./page.html",
        "sub//index.html",
        "/etc/passwd",
        "%2fetc/passwd",
        "%2Fetc%2Fpasswd",
        "page.html%00",
        "page.html%00.png",
        "page.html%0a",
        "page.html/",
        "page.html/x",
        "%c0%ae%c0%ae/secret.txt",
        "../public2/x.txt",
        "..%2fpublic2/x.txt",
        "C:",
        ".hidden",
        "%2ehidden",
        "",
        "sub",
        "sub/",
        "none",
        "a" * 300,
        "/".join(["a"] * 100),
    ],
)
async def test_nothing_outside_and_nothing_hidden_is_served(
    app: Vivace, folder: Path, path: str, follow: bool
) -> None:
    app.static("/s", folder, follow_symlinks=follow)
    stream = await ask(app, target=f"/s/{path}")
    assert stream.status == 404
    assert b"secret" not in stream.body.replace(path.encode("latin-1"), b"")


async def test_a_symbolic_link_is_followed_only_inside_and_on_request(app: Vivace, folder: Path) -> None:
    (folder / "in.html").symlink_to(folder / "page.html")
    (folder / "out.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "insub").symlink_to(folder / "sub")
    (folder / "outsub").symlink_to(folder.parent)
    (folder / "loop").symlink_to(folder / "loop")
    app.static("/no", folder, name="no")
    app.static("/yes", folder, name="yes", follow_symlinks=True, index="index.html")
    for path in ("in.html", "out.txt", "insub/index.html", "outsub/secret.txt", "loop"):
        assert (await ask(app, target=f"/no/{path}")).status == 404, path
    assert (await ask(app, target="/yes/in.html")).body == b"<p>"
    assert (await ask(app, target="/yes/insub/index.html")).body == b"index"
    assert (await ask(app, target="/yes/insub/")).body == b"index"
    for path in ("out.txt", "outsub/secret.txt", "loop"):
        assert (await ask(app, target=f"/yes/{path}")).status == 404, path


async def test_a_file_swapped_for_a_link_never_shows_what_is_outside(app: Vivace, folder: Path) -> None:
    app.static("/s", folder)
    target, other = folder / "swap.txt", folder / "other"
    target.write_text("inside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            other.symlink_to(folder.parent / "secret.txt")
            other.replace(target)
            other.write_text("inside")
            other.replace(target)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(500):
            stream = await ask(app, target="/s/swap.txt")
            assert stream.status == 404 or b"secret" not in stream.body
    finally:
        stop.set()
        thread.join()


async def test_index_and_hidden_are_options(app: Vivace, folder: Path) -> None:
    app.static("/", folder, index=["none.html", "index.html"], hidden=True, max_age=9)
    assert (await ask(app, target="/sub/")).body == b"index"
    assert (await ask(app, target="/sub")).body == b"index"
    assert (await ask(app, target="/.hidden")).body == b"hidden"
    assert (await ask(app, target="/.hidden")).fields["cache-control"] == "public, max-age=9"
    assert (await ask(app, target="/")).status == 404


async def test_a_single_file(app: Vivace, folder: Path) -> None:
    app.static("/favicon", folder / "data.bin", content_type="image/x-icon")
    stream = await ask(app, target="/favicon")
    assert (stream.status, stream.fields["content-type"], stream.body) == (200, "image/x-icon", CONTENT)
    assert (await ask(app, target="/favicon/x")).status == 404


def test_a_folder_that_is_not_there_is_refused_at_once(app: Vivace, folder: Path) -> None:
    with pytest.raises(ConfigError, match="is no file and no folder"):
        app.static("/s", folder / "none")
    with pytest.raises(ConfigError, match="is no file"):
        app.static("/s", folder, resource_type="file")


def test_urls_of_static_files(app: Vivace, folder: Path) -> None:
    app.static("/s", folder)
    app.static("/t", folder, name="t")
    app.static("/one", folder / "page.html", name="one")
    assert app.url_for("static", filename="a b/c.txt") == "/s/a%20b/c.txt"
    assert app.url_for("static", name="t", filename="/x") == "/t/x"
    assert app.url_for("static", name="one") == "/one"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.PNG", "image/png"),
        ("a.woff2", "font/woff2"),
        ("a.tar.gz", "application/gzip"),
        ("http://x/a.css", "text/css; charset=utf-8"),
        ("data:text/html,x", "application/octet-stream"),
        ("noext", "application/octet-stream"),
    ],
)
def test_content_types(name: str, kind: str) -> None:
    assert guess_content_type(name) == guess_content_type(Path(name)) == kind
