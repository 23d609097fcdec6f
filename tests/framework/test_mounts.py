"""Which of routes and mounts answers, what a mount may look like, and the paths of an app that is mounted."""

from collections.abc import Coroutine
from typing import Any

import pytest

from tests.framework.streams import FakeStream, make_app, make_head
from vivace import Blueprint, Request, text
from vivace.errors import ConfigError
from vivace.framework.app import Vivace
from vivace.framework.mount import MountTable, check_prefix
from vivace.protocols.stream import Stream


class Other:
    """An app that says that it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def run(self, stream: Stream) -> None:
        stream.respond(200, (), self.name.encode())

    def answer(self, stream: Stream) -> Coroutine[Any, Any, None]:
        return self.run(stream)


async def ask(
    app: Vivace[Any, Any], table: MountTable, target: str, method: str = "GET", host: str = "localhost"
) -> str:
    app.finalize()
    stream = FakeStream(make_head(method, target, host=host))
    answer = app.answer_stream(table, stream)
    assert answer is not None
    await answer
    return stream.body.decode() if stream.status == 200 else str(stream.status)


def route(app: Vivace[Any, Any] | Blueprint, path: str, **options: Any) -> None:
    async def handler(request: Request, **values: str) -> object:
        return text(f"route {path}")

    app.add_route(handler, path, name=path, **options)


TABLE = MountTable([("/old", Other("old").answer), ("/old/deep", Other("deep").answer)])
ROOT = MountTable([("", Other("root").answer), ("/old", Other("old").answer)])


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/old", "old"),
        ("/old/", "old"),
        ("/old/x", "old"),
        ("/old?x=1", "old"),
        ("/old/deep", "deep"),
        ("/old/deep/x", "deep"),
        ("/old/deeper", "old"),
        ("/older", "404"),
        ("/ol", "404"),
        ("/Old", "404"),
        ("/%6fld/x", "old"),
        ("/old%2Fx", "404"),
        ("/x/old", "404"),
        ("//old", "404"),
        ("/old//x", "old"),
        ("/old/../x", "old"),
    ],
)
async def test_a_mount_holds_what_is_below_its_prefix(target: str, answer: str) -> None:
    assert await ask(make_app(), TABLE, target) == answer


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/old", "route /old"),
        ("/old/", "route /old"),
        ("/old/list", "route /old/list"),
        ("/old/list/", "route /old/list"),
        ("/old/%6cist", "route /old/list"),
        ("/old/7", "route /old/<n:int>"),
        ("/old/seven", "old"),
        ("/a/b/c", "route /<rest:path>"),
    ],
)
async def test_the_longer_literal_beginning_answers_and_a_route_on_a_tie(target: str, answer: str) -> None:
    app = make_app()
    for path in ("/old", "/old/list", "/old/<n:int>", "/<rest:path>"):
        route(app, path)
    assert await ask(app, ROOT, target) == answer


async def test_a_mount_at_the_root_answers_what_is_left() -> None:
    app = make_app()
    route(app, "/new")
    assert await ask(app, ROOT, "/new") == "route /new"
    for target in ("/", "/newer", "/new/x"):
        assert await ask(app, ROOT, target) == "root"


async def test_a_mount_beats_a_catch_all_route() -> None:
    app = make_app()
    route(app, "/<rest:path>")
    route(app, "/<one>/<two>")
    assert await ask(app, TABLE, "/old/x") == "old"
    assert await ask(app, TABLE, "/new/x") == "route /<one>/<two>"
    assert await ask(app, TABLE, "/new/x/y") == "route /<rest:path>"


async def test_a_catch_all_below_the_prefix_goes_before_the_mount() -> None:
    app = make_app()
    route(app, "/old/<rest:path>")
    assert await ask(app, TABLE, "/old/x") == "route /old/<rest:path>"
    assert await ask(app, TABLE, "/old/deep/x") == "deep"


async def test_what_no_route_has_the_method_for_is_left_to_the_mount() -> None:
    app = make_app()
    route(app, "/items")
    route(app, "/items/<n:int>")
    for target in ("/items", "/items/3"):
        assert (await ask(app, ROOT, target)).startswith("route")
        assert await ask(app, ROOT, target, "HEAD") == ""
        assert await ask(app, ROOT, target, "POST") == "root"
        assert await ask(app, ROOT, target, "OPTIONS") == "root"
    assert await ask(app, TABLE, "/items", "POST") == "405"


async def test_a_route_of_another_host_is_no_route() -> None:
    app = make_app()
    route(app, "/old/x", host="a.example")
    assert await ask(app, TABLE, "/old/x", host="b.example") == "old"
    assert await ask(app, TABLE, "/old/x", host="a.example") == "route /old/x"


async def test_a_request_for_no_path_is_not_mounted() -> None:
    app = make_app()
    route(app, "/x")
    assert await ask(app, ROOT, "*", "OPTIONS") != "root"


async def test_a_prefix_may_hold_any_letters() -> None:
    table = MountTable([("/käse & brot", Other("cheese").answer)])
    assert await ask(make_app(), table, "/k%c3%a4se%20&%20brot/x") == "cheese"
    assert await ask(make_app(), table, "/k%C3%A4se%20%26%20brot") == "404"


@pytest.mark.parametrize(
    ("given", "prefix"), [("/", ""), ("/old", "/old"), ("/old/", "/old"), ("/a/b", "/a/b")]
)
def test_prefixes(given: str, prefix: str) -> None:
    assert check_prefix(given) == prefix


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("old", "a leading slash"),
        ("", "a leading slash"),
        (None, "None"),
        (b"/old", "b'/old'"),
        ("/<name>", "no path parameters"),
        ("/a%20b", "decoded"),
        ("/old?x", "without a query"),
        ("/old#x", "'#'"),
        ("/a\nb", "contains"),
        ("//", "empty segment"),
        ("//old", "empty segment"),
        ("/a//b", "empty segment"),
        ("/a/../b", "empty segment, . or .."),
    ],
)
def test_malformed_prefixes(prefix: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_app().mount(prefix, Other("x").answer)
    assert words in str(caught.value)


def test_declarations_that_cannot_be_served() -> None:
    app, inner, innermost = make_app("outer"), make_app("inner"), make_app("innermost")
    app.mount("/old", Other("x").answer)
    with pytest.raises(ConfigError, match="two apps are mounted at '/old/'"):
        app.mount("/old/", Other("y").answer)
    with pytest.raises(ConfigError, match="'nothing' is no app"):
        app.mount("/new", "nothing")
    with pytest.raises(ConfigError, match="mounted in itself"):
        app.mount("/self", app)
    app.mount("/inner", inner)
    inner.mount("/innermost", innermost)
    with pytest.raises(ConfigError, match="outer would be mounted in itself"):
        innermost.mount("/outer", app)
    assert [mount.prefix for mount in app.mounts] == ["/old", "/inner"]


async def test_a_mount_is_declared_before_the_start() -> None:
    app = make_app()
    await app.run_listeners("before_server_start")
    with pytest.raises(ConfigError, match="too late"):
        app.mount("/old", Other("x").answer)
    with pytest.raises(ConfigError, match="an app has one place"):
        app.place_at("/elsewhere")
    app.place_at("")
    await app.run_listeners("after_server_stop")
    app.mount("/old", Other("x").answer)


def test_the_place_of_an_app_goes_before_every_path() -> None:
    app = make_app()
    part = Blueprint("part", url_prefix="/part", version=2)
    group = Blueprint.group(part, url_prefix="/group")
    route(part, "/<n:int>")
    route(app, "/")
    route(app, "/versioned", version=1)
    app.blueprint(group)
    app.place_at("/shop")
    app.finalize()
    assert [found.path for found in app.routes] == [
        "/shop/",
        "/shop/v1/versioned",
        "/shop/v2/group/part/<n:int>",
    ]
    assert app.url_for(app.routes[2].name, n=3) == "/shop/v2/group/part/3"


def test_urls_begin_with_the_path_that_a_proxy_takes_off() -> None:
    app = make_app()
    route(app, "/<n:int>")
    app.config.ROOT_PATH = "/behind/"
    app.place_at("/shop")
    app.finalize()
    name = app.routes[0].name
    assert app.url_for(name, n=3) == "/behind/shop/3"
    assert app.url_for(name, n=3, _external=True, _server="x.example") == "http://x.example/behind/shop/3"
