"""Static files of the alias: every argument of `app.static`, and what must not be served."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vivace.compat.sanic import response
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.blueprint import Blueprint
from vivace.compat.sanic.static import DirectoryHandler
from vivace.framework.listing import Entry, list_folder

WRITTEN = 1600000000
WRITTEN_TEXT = "Sun, 13 Sep 2020 12:26:40 GMT"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("hello world")
    (folder / ".hidden").write_text("hidden")
    (folder / "empty").touch()
    (folder / "sub" / "index.html").write_text("index")
    (folder / "sub" / "main.html").write_text("main")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (folder / "inside.txt").symlink_to(folder / "a.txt")
    (folder / "file.txt").symlink_to(outside / "secret.txt")
    (folder / "folder").symlink_to(outside)
    os.utime(folder / "a.txt", (WRITTEN, WRITTEN))
    return folder


def get(root: Path, url: str, headers: Any = None, **options: Any) -> Any:
    app = Sanic("static")
    app.static("/s", root, **options)
    return app.test_client.get(f"/s/{url}", headers=headers)[1]


def test_a_file_is_served(root: Path) -> None:
    answer = get(root, "a.txt")
    assert (answer.text, answer.headers["content-type"]) == ("hello world", "text/plain; charset=utf-8")
    assert (answer.headers["last-modified"], answer.headers["cache-control"]) == (WRITTEN_TEXT, "no-cache")
    assert "accept-ranges" not in answer.headers
    assert get(root, ".hidden").text == "hidden"
    assert get(root, "a.txt", content_type="text/x").headers["content-type"] == "text/x; charset=utf-8"


@pytest.mark.parametrize("url", ["none", "%2e%2e/outside/secret.txt", "a.txt%00", "sub", "", "sub/"])
def test_what_is_not_there_is_not_found(root: Path, url: str) -> None:
    assert get(root, url).status == 404


def test_links_lead_out_only_where_they_may(root: Path) -> None:
    urls = ("inside.txt", "file.txt", "folder/secret.txt")
    for options, expected in (
        ({}, [200, 404, 404]),
        ({"follow_external_symlink_files": True}, [200, 200, 404]),
        ({"follow_external_symlink_dirs": True}, [200, 404, 200]),
    ):
        assert [get(root, url, **options).status for url in urls] == expected


def test_conditions_can_be_switched_off(root: Path) -> None:
    same = {"if-modified-since": WRITTEN_TEXT}
    assert get(root, "a.txt", same).status == 304
    assert get(root, "a.txt", same, use_modified_since=False).status == 200


def test_ranges_are_switched_on(root: Path) -> None:
    assert get(root, "a.txt", {"range": "bytes=0-4"}).status == 200
    answer = get(root, "a.txt", {"range": "bytes=0-4"}, use_content_range=True, stream_large_files=True)
    assert (answer.status, answer.text, answer.headers["content-range"]) == (206, "hello", "bytes 0-4/11")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("bytes=11-", "Invalid for Content Range parameters"),
        ("bytes=-", "Invalid for Content Range parameters"),
        ("bytes=5-2", "Invalid for Content Range parameters"),
        ("bytes=start-0", "'start' is invalid for Content Range"),
        ("bytes=1-end", "'end' is invalid for Content Range"),
    ],
)
def test_a_malformed_range_is_refused(root: Path, value: str, message: str) -> None:
    answer = get(root, "a.txt", {"range": value}, use_content_range=True)
    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */11")
    assert message in answer.text


def test_an_unknown_unit_is_ignored(root: Path) -> None:
    assert get(root, "a.txt", {"range": "bits=0-1"}, use_content_range=True).status == 200
    assert get(root, "empty", {"range": "bytes=0-1"}, use_content_range=True).status == 200


def test_an_index_stands_for_its_folder(root: Path) -> None:
    assert get(root, "sub", index="index.html").text == "index"
    assert get(root, "sub/", index=["main.html", "index.html"]).text == "main"


def test_a_folder_is_listed(root: Path) -> None:
    answer = get(root, "", directory_view=True)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Directory Viewer</title>" in answer.text
    shown = [name for name in os.listdir(root) if f'href="./{name}' in answer.text]
    assert sorted(shown) == [".hidden", "a.txt", "empty", "inside.txt", "sub"]
    assert 'href="./main.html"' in get(root, "sub/", directory_view=True).text
    assert get(root, "folder/", directory_view=True).status == 404
    assert "secret.txt" in get(root, "folder/", directory_view=True, follow_external_symlink_dirs=True).text


def test_the_list_of_a_folder_ends_with_a_slash(root: Path) -> None:
    (root / "a b").mkdir()
    app = Sanic("lists")
    app.static("/s", root, directory_view=True)
    for path, place in (("/s/sub?x=1", "/s/sub/"), ("/s/a%20b", "/s/a%20b/")):
        answer = app.test_client.get(path, allow_redirects=False)[1]
        assert (answer.status, answer.headers["location"]) == (302, place)
    assert app.test_client.get("/s/")[1].status == 200


def test_names_are_escaped_where_a_folder_is_listed() -> None:
    page = list_folder("/a%20b/", [Entry("<b>.txt", False, 1000, 0), Entry("d:", True, 0, 0)]).body.decode()
    assert "<b>" not in page
    assert '<a href="./%3Cb%3E.txt">&lt;b&gt;.txt</a>' in page
    assert page.index("./d:/") < page.index("./%3Cb")
    assert '<a href="/a%20b/">a b/</a>' in page


def test_a_handler_says_how_folders_are_served(root: Path) -> None:
    handler = DirectoryHandler("/s", root, directory_view=True, index="main.html")
    assert get(root, "sub/", directory_handler=handler).text == "main"
    assert get(root, "", directory_handler=handler).status == 200
    app = Sanic("handled")

    @app.get("/s/<path:path>")
    async def folder(request: Any, path: str) -> Any:
        return await handler.handle(request, request.path)

    assert app.test_client.get("/s/sub")[1].text == "main"
    assert app.test_client.get("/s/none")[1].status == 404
    for options in ({"directory_view": True}, {"index": "x"}):
        with pytest.raises(ValueError, match="you cannot set either directory_view or index"):
            get(root, "", directory_handler=handler, **options)


@pytest.mark.parametrize(
    ("place", "options", "kind", "message"),
    [
        (b"x", {}, TypeError, "must be a path-like object or string"),
        (5, {}, ValueError, "Static route must be a valid path, not 5"),
        ("a.txt", {"resource_type": "dir"}, TypeError, "improperly identified as directory"),
        ("", {"resource_type": "file"}, TypeError, "improperly identified as file"),
        ("", {"resource_type": "x"}, ValueError, "should be set to 'file' or 'dir'"),
    ],
)
def test_a_wrong_declaration_is_refused(
    root: Path, place: Any, options: Any, kind: type[Exception], message: str
) -> None:
    given = root / place if isinstance(place, str) else place
    with pytest.raises(kind, match=message):
        Sanic("wrong").static("/s", given, **options)


def test_what_is_not_there_yet_may_come_later(tmp_path: Path) -> None:
    app = Sanic("later")
    app.static("/s", tmp_path / "folder")
    assert app.test_client.get("/s/a")[1].status == 404
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("come")
    assert app.test_client.get("/s/a")[1].text == "come"


def test_urls_of_files(root: Path) -> None:
    app, blueprint = Sanic("urls"), Blueprint("b", url_prefix="/b")
    app.static("/s", root)
    blueprint.static("/one", root / "a.txt", name="one")
    app.blueprint(blueprint)
    assert app.url_for("static", filename="/x/y") == "/s/x/y"
    assert app.url_for("static", name="b.one") == "/b/one"
    assert app.test_client.get("/b/one")[1].text == "hello world"


async def test_a_file_as_a_response(root: Path) -> None:
    made = await response.file(root / "a.txt", filename="x", last_modified=None, max_age=5)
    assert isinstance(made, response.HTTPResponse)
    assert made.content_type == "text/plain; charset=utf-8"
    assert made.headers["cache-control"] == "public, max-age=5"
    assert "last-modified" not in made.headers
    moment = datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)
    assert (await response.file(root / "a.txt", last_modified=moment)).headers[
        "last-modified"
    ] == WRITTEN_TEXT
    for missing in (response.file(root / "none"), response.file_stream(root / "none")):
        with pytest.raises(FileNotFoundError):
            await missing


def test_a_file_heeds_the_fields_it_is_given(root: Path) -> None:
    app = Sanic("files")

    @app.get("/")
    async def handler(request: Any) -> Any:
        given = request.headers if "given" in request.args else None
        return await response.file(root / "a.txt", request_headers=given)

    asked = {"if-modified-since": WRITTEN_TEXT, "range": "bytes=0-1"}
    assert app.test_client.get("/", headers=asked)[1].text == "hello world"
    assert app.test_client.get("/?given=1", headers=asked)[1].status == 304
