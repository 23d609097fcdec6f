"""Paths find the right route: by hand, and against a matcher so simple that it is right."""

import re
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.errors import ConfigError, MethodNotAllowed, NotFound, ParameterNameConflicts
from vivace.framework.handler import source_of
from vivace.framework.pattern import NO_MATCH, TypeTable, check_names, normalize, parse_path
from vivace.framework.route import ASYNC, Route
from vivace.framework.router import Router
from vivace.framework.spec import Placement, RouteSpec, compile_route

TYPES = TypeTable()


async def handler(request: object, **values: object) -> None:
    """Stands for any handler."""


def route(path: str, *methods: str, **options: Any) -> Route:
    spec = RouteSpec(handler, path, frozenset(methods or ("GET",)), path, **options)
    return compile_route(spec, Placement("app"), TYPES)


def router(*routes: Route | str) -> Router:
    made = [route(item) if isinstance(item, str) else item for item in routes]
    return Router(made, {"OPTIONS": Route("options", "*", frozenset(("OPTIONS",)), handler, ASYNC, [])})


def declared(route: Route) -> str:
    """Its path with the type left out that was filled in."""
    return route.path.replace(":str>", ">")


def find(made: Router, path: str, method: str = "GET", host: str = "localhost") -> tuple[str, dict[str, Any]]:
    octets = path.encode("latin-1")
    known = made.static.get(octets, {}).get(method)
    if known is not None:
        return declared(known), {}
    found, values = made.resolve(octets, method, host.encode())
    return declared(found), values


def misses(made: Router, path: str) -> bool:
    try:
        find(made, path)
    except NotFound:
        return True
    return False


@pytest.mark.parametrize(
    ("declared", "path", "values"),
    [
        ("/<x>", "/anything", {"x": "anything"}),
        ("/<x>", "/a%2Fb", {"x": "a%2Fb"}),
        ("/a/<x:strorempty>", "/a/", {"x": ""}),
        ("/a/<x:strorempty>", "/a/b", {"x": "b"}),
        ("/<x:int>", "/42", {"x": 42}),
        ("/<x:int>", "/-42", {"x": -42}),
        ("/<x:float>", "/1.5", {"x": 1.5}),
        ("/<x:float>", "/-.5", {"x": -0.5}),
        ("/<x:float>", "/5.", {"x": 5.0}),
        ("/<x:alpha>", "/Abc", {"x": "Abc"}),
        ("/<x:slug>", "/a-b-1", {"x": "a-b-1"}),
        ("/<x:ymd>", "/2026-11-21", {"x": date(2026, 11, 21)}),
        (
            "/<x:uuid>",
            "/123e4567-e89b-12d3-a456-426614174000",
            {"x": UUID("123e4567-e89b-12d3-a456-426614174000")},
        ),
        ("/<f:ext>", "/report.pdf", {"f": "report", "ext": "pdf"}),
        ("/<f:ext=jpg|png>", "/a.png", {"f": "a", "ext": "png"}),
        ("/<f=int:ext>", "/7.txt", {"f": 7, "ext": "txt"}),
        ("/<f=int:ext=min.js|min.css>", "/7.min.js", {"f": 7, "ext": "min.js"}),
        ("/files/<p:path>", "/files/a/b/c.txt", {"p": "a/b/c.txt"}),
        ("/files/<p:path>", "/files/a/", {"p": "a/"}),
        ("/files/<p:path>/edit", "/files/a/b/edit", {"p": "a/b"}),
        ("/<x:[a-z]{3}>", "/abc", {"x": "abc"}),
        (r"/<x:(?P<x>\d+)\.jpg>", "/12.jpg", {"x": "12"}),
        ("/<x:a|b>/c", "/b/c", {"x": "b"}),
        ("/<a:int>/<b:[a-z]+>", "/1/z", {"a": 1, "b": "z"}),
        ("/<a>/x/<b:int>", "/q/x/3", {"a": "q", "b": 3}),
    ],
)
def test_a_parameter_takes_its_type(declared: str, path: str, values: dict[str, Any]) -> None:
    assert find(router(declared), path)[1] == values


@pytest.mark.parametrize(
    ("declared", "path"),
    [
        ("/<x>", "/"),
        ("/<x>", "/a/b"),
        ("/<x:int>", "/4a"),
        ("/<x:int>", "/--4"),
        ("/<x:int>", "/+4"),
        ("/<x:int>", "/4_2"),
        ("/<x:int>", "/%34"),
        ("/<x:int>", "/4%0a"),
        ("/<x:int>", "/" + "9" * 5000),
        ("/<x:int>", "/\xb2"),
        ("/<x:float>", "/."),
        ("/<x:float>", "/nan"),
        ("/<x:float>", "/1e5"),
        ("/<x:alpha>", "/a1"),
        ("/<x:slug>", "/a--b"),
        ("/<x:slug>", "/A"),
        ("/<x:ymd>", "/2026-02-30"),
        ("/<x:ymd>", "/20260230"),
        ("/<x:uuid>", "/123e4567e89b12d3a456426614174000"),
        ("/<f:ext>", "/noext"),
        ("/<f:ext>", "/.ext"),
        ("/<f:ext=jpg>", "/a.png"),
        ("/<f=int:ext>", "/a.txt"),
        ("/<x:[a-z]{3}>", "/abcd"),
        ("/<x:[a-z]{3}>", "/abc%0a"),
        ("/admin", "/admin%0a"),
        ("/admin", "/admin%00"),
        ("/a/b", "/a//b"),
        ("/a/b", "/a%2Fb"),
        ("/a", "a"),
        ("/a", ""),
        ("/files/<p:path>", "/files//etc/passwd"),
        ("/files/<p:path>", "/files"),
    ],
)
def test_what_is_not_of_the_type_is_not_found(declared: str, path: str) -> None:
    assert misses(router(declared), path)


def test_static_wins_over_typed_and_typed_over_regex() -> None:
    made = router(
        "/<x:path>", "/<x:[a-z0-9]+>", "/<x>", "/<x:slug>", "/<x:alpha>", "/<x:float>", "/<x:int>", "/5"
    )
    assert find(made, "/5")[0] == "/5"
    assert find(made, "/6")[0] == "/<x:int>"
    assert find(made, "/6.5")[0] == "/<x:float>"
    assert find(made, "/Ab")[0] == "/<x:alpha>"
    assert find(made, "/a-b")[0] == "/<x:slug>"
    assert find(made, "/a_b")[0] == "/<x>"
    assert find(made, "/a/b")[0] == "/<x:path>"


def test_a_dead_end_in_the_tree_is_left_again() -> None:
    made = router("/a/<x>/c", "/<y>/b/d")
    assert find(made, "/a/b/d") == ("/<y>/b/d", {"y": "a"})
    assert find(made, "/a/b/c") == ("/a/<x>/c", {"x": "b"})


def test_a_literal_is_compared_after_normalisation() -> None:
    made = router("/caf\xe9/x~y", "/<z>/x")
    assert find(made, "/caf%c3%a9/x%7ey")[0] == "/caf\xe9/x~y"
    assert find(made, "/caf%C3%A9/x~y")[0] == "/caf\xe9/x~y"
    assert find(made, "/%41/x") == ("/<z>/x", {"z": "%41"})


def test_values_are_decoded_only_on_request() -> None:
    assert find(router("/<x>"), "/a%20b")[1] == {"x": "a%20b"}
    assert find(router(route("/<x>", unquote=True)), "/a%20b%C3%A9")[1] == {"x": "a b\xe9"}
    assert find(router(route("/<x:path>", unquote=True)), "/a/%ff")[1] == {"x": "a/%FF"}


@pytest.mark.parametrize("declared", ["/a/b", "/a/b/", "/<x>/b", "/<x>/b/", "/<x:[a-z]>/b"])
def test_a_trailing_slash_counts_only_when_strict(declared: str) -> None:
    loose, strict = router(declared), router(route(declared, strict_slashes=True))
    assert find(loose, "/a/b")[0] == find(loose, "/a/b/")[0] == declared
    slashed = declared.endswith("/")
    assert misses(strict, "/a/b") is slashed
    assert misses(strict, "/a/b/") is not slashed


def test_an_unknown_method_is_told_what_is_allowed() -> None:
    made = router(route("/a", "POST"), route("/<x>", "GET"))
    assert find(made, "/a", "GET") == ("/<x>", {"x": "a"})
    with pytest.raises(MethodNotAllowed) as caught:
        find(made, "/a", "DELETE")
    assert caught.value.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


def test_head_goes_to_get_unless_declared() -> None:
    assert find(router("/a"), "/a", "HEAD")[0] == "/a"
    assert find(router("/<x>"), "/a", "HEAD")[0] == "/<x>"
    assert find(router("/<x:path>"), "/a", "HEAD")[0] == "/<x:path>"
    own = router(route("/a", "GET"), route("/a", "HEAD"))
    assert own.static[b"/a"]["HEAD"] is not own.static[b"/a"]["GET"]


def test_options_is_answered_with_what_is_allowed() -> None:
    made = router(route("/a", "POST"), route("/<x>", "GET"))
    assert find(made, "/a", "OPTIONS") == ("*", {"allowed": "GET, HEAD, OPTIONS, POST"})
    assert find(made, "*", "OPTIONS") == ("*", {"allowed": "GET, OPTIONS, POST"})
    assert find(router(route("/a", "OPTIONS")), "/a", "OPTIONS")[0] == "/a"


def test_hosts_choose_among_routes_of_one_path() -> None:
    made = router(
        route("/", host=("a.example",)),
        route("/", host=("b.example:8000",)),
        "/x",
        route("/x", host=("a.example",)),
    )
    assert made.resolve(b"/", "GET", b"A.example:80")[0].hosts == ("a.example",)
    assert made.resolve(b"/", "GET", b"b.example:8000")[0].hosts == ("b.example:8000",)
    assert made.resolve(b"/x", "GET", b"c.example")[0].hosts is None
    assert made.resolve(b"/x", "GET", b"a.example")[0].hosts == ("a.example",)
    with pytest.raises(NotFound):
        made.resolve(b"/", "GET", b"c.example")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a", "/a"),
        ("/a", "/a/"),
        ("/<x:int>", "/<y:int>"),
        ("/<x:path>", "/<x:path>"),
        ("/caf%c3%a9", "/caf\xe9"),
    ],
)
def test_two_routes_for_one_path_are_refused_by_name(one: str, other: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(source_of(handler))) as caught:
        router(one, other)
    assert one in str(caught.value)
    assert other in str(caught.value)


def test_parameters_of_one_place_may_have_different_names_per_method() -> None:
    made = router(route("/<a:int>", "GET"), route("/<b:int>", "POST"))
    assert find(made, "/1", "GET")[1] == {"a": 1}
    assert find(made, "/1", "POST")[1] == {"b": 1}


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("a", "must start with a slash"),
        ("/<x", "never closed"),
        ("/<x:what>", "unknown parameter type 'what'; expected one of ymd, uuid, int"),
        ("/<1x>", "Invalid declaration: <1x>"),
        ("/a<x>", "must fill its segment"),
        ("/<x:[>", "bad regular expression"),
        ("/<x:(a)(b)>", r"Invalid matching pattern \(a\)\(b\): 2 groups"),
        ("/<x:(?P<y>a)>", r"Named group \(y\) must match your named parameter \(x\)"),
        ("/<x=int:str>", "belongs to the type ext"),
        ("/<x=what:ext>", "unknown parameter type 'what'"),
        ("/<x:ext=a b>", "Invalid extension parameter"),
    ],
)
def test_a_wrong_path_is_refused_with_a_reason(declared: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_path(declared, TYPES)


def test_a_path_must_not_name_two_parameters_alike() -> None:
    with pytest.raises(ParameterNameConflicts, match="Duplicate named parameters in: <x>/<x>"):
        check_names("/<x>/<x>", parse_path("/<x>/<x>", TYPES))


def test_a_custom_type_is_converted_and_may_refuse() -> None:
    types = TypeTable()
    types.add("even", lambda text: int(text) if int(text) % 2 == 0 else int("odd"), r"[0-9]+")
    spec = RouteSpec(handler, "/<x:even>", frozenset(("GET",)), "even")
    made = router(compile_route(spec, Placement("app"), types))
    assert find(made, "/4")[1] == {"x": 4}
    assert misses(made, "/3")
    with pytest.raises(ConfigError, match="taken"):
        types.add("int", int, ".*")


def test_a_long_path_is_answered_quickly() -> None:
    made = router("/<a>/<b>/<c>/<d>", "/<a:int>/<b:int>/x", "/<p:path>/never", "/<x:[a-z/]+>/y")
    assert misses(made, "/" + "a/" * 4000)
    assert misses(made, "/" + "%41" * 5000 + "/" * 100)


# Against a naive matcher: every declared path in the order of precedence, segment by segment.

RANKS = {None: 0, "int": 1, "alpha": 2, "str": 3}
SEGMENTS = ["a", "b", "1", "<?:int>", "<?:alpha>", "<?:str>"]


def declared_paths() -> st.SearchStrategy[list[tuple[str, ...]]]:
    one = st.lists(st.sampled_from(SEGMENTS), max_size=4).map(tuple)
    return st.lists(one, min_size=1, max_size=12, unique=True)


def naive(paths: list[tuple[str, ...]], methods: list[str], path: list[str], method: str) -> tuple[str, Any]:
    def label(segment: str) -> str | None:
        return segment[3:-1] if segment.startswith("<") else None

    def fits(segment: str, text: str) -> bool:
        kind = label(segment)
        return segment == text if kind is None else TYPES.get(kind).convert(text) is not NO_MATCH  # type: ignore[union-attr]

    order = sorted(range(len(paths)), key=lambda i: [RANKS[label(s)] for s in paths[i]])
    matching = [i for i in order if len(paths[i]) == len(path) and all(map(fits, paths[i], path))]
    for i in matching:
        if methods[i] == method:
            return "route", i
    allowed = {methods[i] for i in matching}
    return ("allowed", allowed) if matching else ("nothing", None)


@settings(max_examples=400, deadline=None)
@given(
    declared_paths(),
    st.lists(st.sampled_from(["a", "b", "1", "2", "c", "a1", "%41"]), max_size=4),
    st.data(),
)
def test_the_tree_agrees_with_a_naive_matcher(
    paths: list[tuple[str, ...]], path: list[str], data: st.DataObject
) -> None:
    methods = [data.draw(st.sampled_from(["PUT", "POST"])) for _ in paths]
    texts = ["/" + "/".join(s.replace("?", f"p{i}") for i, s in enumerate(p)) for p in paths]
    routes = [route(text, method) for text, method in zip(texts, methods, strict=True)]
    made = router(*routes)
    kind, expected = naive(paths, methods, path, "PUT")
    try:
        octets = ("/" + "/".join(path)).encode()
        found = made.static.get(octets, {}).get("PUT") or made.resolve(octets, "PUT", b"")[0]
    except NotFound:
        assert kind == "nothing"
    except MethodNotAllowed as error:
        allowed = set(error.allowed_methods or ())
        assert (kind, allowed) == ("allowed", (expected or set()) | {"OPTIONS"})  # one of three
    else:
        assert (kind, routes[expected]) == ("route", found)


@given(st.text(st.characters(max_codepoint=255), max_size=30))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)


@given(st.binary(max_size=60))
def test_no_path_breaks_the_router(path: bytes) -> None:
    made = router("/a", "/<x>", "/b/<x:int>/c", "/d/<x:path>", "/<f:ext>/e", route("/h", host=("h",)))
    try:
        made.resolve(b"/" + path, "GET", path)
    except NotFound:
        pass


def test_a_name_with_extension_in_the_middle_of_a_path() -> None:
    made = router("/<a>/<f:ext>/x", "/<d:int>/<f=int:ext=txt>/<p:path>")
    assert find(made, "/q/r.md/x")[1] == {"a": "q", "f": "r", "ext": "md"}
    assert find(made, "/1/2.txt/a/b")[1] == {"d": 1, "f": 2, "ext": "txt", "p": "a/b"}
    assert misses(made, "/1/x.txt/a/b")
