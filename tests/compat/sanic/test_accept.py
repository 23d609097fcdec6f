"""Accept and other fields in the forms that Sanic gives them."""

from types import SimpleNamespace
from typing import Any

import pytest

from vivace.compat.sanic.accept import AcceptList, Matched, MediaType, parse_accept
from vivace.compat.sanic.header import Header
from vivace.compat.sanic.headers import (
    fwd_normalize,
    fwd_normalize_address,
    parse_content_header,
    parse_credentials,
    parse_forwarded,
    parse_host,
    parse_xforwarded,
)
from vivace.errors import InvalidHeader


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "*/*"),
        ("", ""),
        ("a/b;q=0.5, c/d", "c/d, a/b;q=0.5"),
        ("*/*, a/*, b/c, d/e;v=1", "d/e;v=1, b/c, a/*, */*"),
        ("show/second, show/first;q=1.0", "show/first;q=1.0, show/second"),
        ("text/html ; q=0.5,,x/y", "x/y, text/html;q=0.5"),
    ],
)
def test_accept_is_ordered(value: str | None, shown: str) -> None:
    assert str(parse_accept(value)) == shown
    assert repr(parse_accept(value)) == f"[{shown}]"


@pytest.mark.parametrize("value", ["foo", "foo/", "/foo", "a/b;q=x", "*", ",", "a/b;", "a/b," * 300])
def test_a_malformed_accept_is_refused(value: str) -> None:
    with pytest.raises(InvalidHeader) as caught:
        parse_accept(value)
    assert str(caught.value) == f"Invalid header value in Accept: {value}"


def test_what_is_offered_is_matched() -> None:
    accept = parse_accept("text/html;q=0.5, application/json, image/*;q=0.1")
    found = accept.match("text/html", "application/json")
    assert found == "application/json"
    assert (str(found), found.header) == ("application/json", accept[0])
    assert accept.match("image/png") == "image/*"
    assert not accept.match("image/png", accept_wildcards=False)
    assert repr(accept.match("image/png")) == "<image/png matched image/*;q=0.1>"
    assert repr(accept.match("x/y", "nothing")) == "<no match>"
    assert parse_accept("b/c, a/b").match("a/b", "b/c") == "a/b"
    assert not parse_accept("a/b;q=0").match("a/b")
    assert AcceptList([MediaType("a", "b")])[0] == "a/b"


def test_media_types_are_compared() -> None:
    kind = MediaType("a", "b", q="0.5", level="1")
    assert (str(kind), kind.q, kind == "a/b", kind.has_wildcard) == ("a/b;q=0.5;level=1", 0.5, True, False)
    assert (kind == MediaType("a", "b"), kind == 5) == (False, False)
    assert kind.match("a/b;level=1") is kind
    assert kind.match("*/*") is kind
    assert kind.match("a/b;level=2") is None
    assert kind.match("nothing") is None
    with pytest.raises(ValueError, match=r"Use match\(\) to compare with parameters"):
        assert kind == "a/b;level=1"


def test_matches_are_compared() -> None:
    found = Matched("a/b", MediaType("a", "*"))
    assert (found == "a/b", found == "a/*", found == "x/y", found == 5) == (True, True, False, False)
    assert found == Matched("a/c", MediaType("a", "*"))
    assert (Matched("", None) == "", bool(Matched.parse("none"))) == (True, False)
    assert repr(found.match("a/c")) == "<a/c matched a/c>"
    assert found.match("x/y") is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('Form-Data; name="a"; filename="b;c.txt"', ("form-data", {"name": "a", "filename": "b;c.txt"})),
        ('a;Name="%22x%0D";q=1', ("a", {"name": '"x%0D', "q": "1"})),
        ("a; b = c", ("a", {})),
        ("", ("", {})),
    ],
)
def test_parameters_are_read(value: str, found: Any) -> None:
    assert parse_content_header(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [("EX.com:8", ("ex.com", 8)), ("[::1]", ("[::1]", None)), ("a_b", (None, None)), ("a:", (None, None))],
)
def test_hosts_are_split(value: str, found: Any) -> None:
    assert parse_host(value) == found


def test_credentials_are_split() -> None:
    assert parse_credentials("Bearer  a") == ("Bearer", "a")
    assert parse_credentials("Bearer a", ("Basic",)) == (None, "Bearer a")
    assert parse_credentials(None) == (None, None)


def test_what_proxies_say_is_read() -> None:
    config = SimpleNamespace(
        FORWARDED_SECRET="s", REAL_IP_HEADER=None, PROXIES_COUNT=1, FORWARDED_FOR_HEADER="x-forwarded-for"
    )
    told = parse_forwarded(Header({"forwarded": "for=1.1.1.1;secret=s"}), config)
    assert told == {"for": "1.1.1.1", "secret": "s"}
    assert list(told or ()) == ["for", "secret"]
    assert parse_forwarded(Header({"forwarded": "for=1.1.1.1"}), config) is None
    fields = {"x-forwarded-for": "1, 2", "x-scheme": "HTTPS"}
    assert parse_xforwarded(Header(fields), config) == {"for": "2", "proto": "https"}
    assert fwd_normalize([("for", "::1"), ("port", "x"), ("path", "/a%20")]) == {
        "for": "[::1]",
        "path": "/a ",
    }
    assert [fwd_normalize_address(text) for text in ("_X", "FE80::", "A")] == ["_X", "[fe80::]", "a"]
    with pytest.raises(ValueError, match=r"^$"):
        fwd_normalize_address("unknown")
