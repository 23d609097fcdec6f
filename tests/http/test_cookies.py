from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.errors import LocalProtocolError, RequestHeaderFieldsTooLarge
from vivace.http.cookies import Cookie, CookieJar, parse_cookie

tokens = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1, max_size=10)
texts = st.text(
    st.characters(exclude_categories=["Cs"]).filter(lambda c: ord(c) >= 0x20 and c != "\x7f"), max_size=20
)


# Reading


def test_cookies_are_read_by_name() -> None:
    cookies = parse_cookie("a=1; b=2;c=3 ;d = 4;e=x=y; f=")
    assert dict(cookies) == {"a": ["1"], "b": ["2"], "c": ["3"], "d": ["4"], "e": ["x=y"], "f": [""]}
    assert cookies.get("a") == "1"
    assert cookies["a"] == ["1"]
    assert cookies.get("x") is None
    assert cookies.get("x", "d") == "d"
    assert cookies.getlist("x") == []
    assert cookies.getlist("x", ["d"]) == ["d"]
    with pytest.raises(KeyError):
        _ = cookies["x"]


def test_a_repeated_name_keeps_its_values_also_over_lines() -> None:
    cookies = parse_cookie(["a=1; a=2", "a=3"])
    assert cookies.get("a") == "1"
    assert cookies.getlist("a") == ["1", "2", "3"]


def test_a_bare_name_finds_the_prefixed_cookie_before_its_own() -> None:
    cookies = parse_cookie("id=plain; __Secure-id=secure; __Host-id=host; __Secure-only=1")
    assert cookies.get("id") == "host"
    assert cookies.get("__Secure-id") == "secure"
    assert cookies.get("only") == "1"
    assert parse_cookie("id=plain; __Secure-id=secure").get("id") == "secure"


def test_attributes_read_cookies_too() -> None:
    cookies = parse_cookie("my_id=1; my-name=2; class=3")
    assert cookies.my_id == "1"
    assert cookies.my_name == "2"
    assert cookies.class_ == "3"
    assert cookies.missing == ""
    with pytest.raises(AttributeError):
        _ = cookies._private


@pytest.mark.parametrize(
    "raw",
    [
        "=__Host-a=b",
        "=a",
        "a",
        "",
        ";",
        " ; ;",
        "a b=c",
        "a\x00=b",
        "é=1",
        '"a"=1',
        "a,b=1",
        "=",
        "[a]=1",
        "a\xa0=1",
    ],
)
def test_a_cookie_without_a_proper_name_is_ignored(raw: str) -> None:
    assert parse_cookie(raw) == {}
    assert parse_cookie(f"x=1; {raw}; y=2") == {"x": ["1"], "y": ["2"]}


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ('"a b"', "a b"),
        ('"a\\"b\\\\"', 'a"b\\'),
        ('"\\054\\073"', ",;"),
        ('"\\303\\251"', "é"),
        ('"\\351"', "é"),
        ("\xc3\xa9", "é"),
        ("\xe9", "é"),
        ("€", "€"),
        ('"', '"'),
        ('""', ""),
        ('"a', '"a'),
        ('"\\400\\8"', "4008"),
        ('"\\"', "\\"),
        ("a\\054b", "a\\054b"),
    ],
)
def test_quoted_values_are_read(raw: str, value: str) -> None:
    assert parse_cookie(f"a={raw}").get("a") == value


def test_the_number_of_cookies_is_limited_at_its_edge() -> None:
    line = "; ".join(f"c{number}=1" for number in range(100))
    assert len(parse_cookie(line + ";")) == 100
    assert len(parse_cookie([line, "nameless"])) == 100
    for raw in (line + "; x=1", [line, "x=1"], "; ".join(["a=1"] * 101)):
        with pytest.raises(RequestHeaderFieldsTooLarge, match="100 cookies"):
            parse_cookie(raw)
    assert len(parse_cookie("a=1; b=2", 2)) == 2


@pytest.mark.parametrize(
    "raw",
    [";" * 1_000_000, 'a="' + "\\" * 1_000_000, 'a="' + '\\"' * 500_000 + '"', "=" * 1_000_000],
)
def test_a_huge_line_costs_linear_time(raw: str) -> None:
    parse_cookie(raw)


@given(st.text(st.characters(codec="latin-1"), max_size=50))
def test_no_line_raises(raw: str) -> None:
    parse_cookie(raw)


# Setting


def make(**options: Any) -> str:
    return str(Cookie("a", "1", **options))


def test_the_defaults_are_safe() -> None:
    assert make() == "a=1; Path=/; SameSite=Lax; Secure"


def test_every_attribute_is_written() -> None:
    expires = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    text = make(
        path="/x",
        domain="h.test",
        max_age=60,
        expires=expires,
        httponly=True,
        samesite="strict",
        partitioned=True,
        comment="hello there",
    )
    assert text == (
        "a=1; Path=/x; Domain=h.test; Max-Age=60; Expires=Sun, 06 Nov 1994 08:49:37 GMT; "
        "Comment=hello there; SameSite=Strict; Secure; HttpOnly; Partitioned"
    )
    assert make(path=None, samesite=None, secure=False) == "a=1"
    assert make(samesite="None").endswith("SameSite=None; Secure")
    assert "Expires=Sun, 06 Nov 1994 08:49:37 GMT" in make(expires=expires.replace(tzinfo=None))


def test_prefixes_are_put_before_the_name() -> None:
    assert make(host_prefix=True).startswith("__Host-a=1; Path=/;")
    assert make(secure_prefix=True, path="/x", domain="h.test").startswith("__Secure-a=1; Path=/x")


@pytest.mark.parametrize(
    "options",
    [
        {"host_prefix": True, "secure_prefix": True},
        {"host_prefix": True, "secure": False},
        {"host_prefix": True, "domain": "h.test"},
        {"host_prefix": True, "path": "/x"},
        {"host_prefix": True, "path": None},
        {"secure_prefix": True, "secure": False},
        {"samesite": "None", "secure": False},
        {"samesite": "Sometimes"},
        {"partitioned": True, "secure": False},
    ],
)
def test_rules_between_attributes_are_kept(options: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        make(**options)


@pytest.mark.parametrize("key", ["__Host-a", "__host-a", "__HOST-a", "__Secure-a", "__secure-a"])
def test_a_prefix_written_by_hand_obeys_the_rules_too(key: str) -> None:
    Cookie(key, "1")
    with pytest.raises(LocalProtocolError, match="needs secure"):
        Cookie(key, "1", secure=False)


@pytest.mark.parametrize("key", ["", "a b", "a=b", "a;b", "a,b", "a\r\nb", "é", "a\x00", '"a"', "a\n"])
def test_a_name_that_is_no_token_is_refused(key: str) -> None:
    with pytest.raises(LocalProtocolError, match="token"):
        Cookie(key, "1")


@pytest.mark.parametrize("bad", ["a\r\nSet-Cookie: b=1", "a\nb", "a\rb", "a\x00b", "\x7f", "\x1b", "\t"])
@pytest.mark.parametrize("where", ["value", "path", "domain", "comment"])
def test_controls_are_refused_everywhere(where: str, bad: str) -> None:
    options: dict[str, Any] = {"key": "a", "value": "1", where: bad}
    with pytest.raises(LocalProtocolError):
        Cookie(**options)


@pytest.mark.parametrize("where", ["path", "domain", "comment"])
@pytest.mark.parametrize("bad", ["/; Domain=evil.test", "x;", "é"])
def test_an_attribute_cannot_start_another(where: str, bad: str) -> None:
    options: dict[str, Any] = {where: bad}
    with pytest.raises(LocalProtocolError, match="ends the attribute"):
        make(**options)


def test_a_change_is_checked_when_the_cookie_is_written() -> None:
    cookie = Cookie("a", "1")
    cookie.max_age = 5
    assert "Max-Age=5" in str(cookie)
    cookie.path = "/; Domain=evil.test"
    with pytest.raises(LocalProtocolError):
        cookie.encode()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("abc/+=", "abc/+="),
        ("", ""),
        ("a b", '"a b"'),
        ("a;b,c", '"a\\073b\\054c"'),
        ('"', '"\\042"'),
        ("\\", '"\\134"'),
        ("é", '"\\303\\251"'),
    ],
)
def test_values_beyond_the_cookie_octets_are_quoted(value: str, written: str) -> None:
    assert str(Cookie("a", value)).startswith(f"a={written}; ")


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="surrogate"):
        str(Cookie("a", "\ud800"))


@given(tokens, texts)
def test_what_is_set_is_read_back(key: str, value: str) -> None:
    cookie = Cookie(key, value, path=None, samesite=None, secure=False)
    line = cookie.encode()
    assert line.isascii()
    assert dict(parse_cookie(line.decode())) == {key: [value]}
    assert (
        dict(parse_cookie(f"x=1; {line.decode()}; y=2")) == {"x": ["1"], key: [value], "y": ["2"]}
        or key in "xy"
    )


# The jar


def test_a_jar_writes_one_field_a_cookie() -> None:
    jar = CookieJar()
    assert not jar
    first = jar.add_cookie("a", "1", samesite=None, secure=False)
    jar.add_cookie("a", "2", path="/x", samesite=None, secure=False)
    jar.add_cookie("b", "3", host_prefix=True, httponly=True)
    assert jar.to_pairs() == [
        (b"set-cookie", b"a=1; Path=/"),
        (b"set-cookie", b"a=2; Path=/x"),
        (b"set-cookie", b"__Host-b=3; Path=/; SameSite=Lax; Secure; HttpOnly"),
    ]
    assert len(jar) == 3
    assert list(jar) == jar.cookies
    assert jar["a"] is first
    assert "__Host-b" in jar
    assert "b" not in jar
    with pytest.raises(KeyError):
        _ = jar["x"]
    assert repr(first) == "<Cookie a>"


def test_a_cookie_is_found_by_name_path_and_domain() -> None:
    jar = CookieJar()
    cookie = jar.add_cookie("a", "1", domain="h.test", secure_prefix=True)
    assert jar.get_cookie("a", domain="h.test", secure_prefix=True) is cookie
    assert jar.get_cookie("__Secure-a", "/", "h.test") is cookie
    assert jar.has_cookie("a", "/", "h.test", secure_prefix=True)
    assert not jar.has_cookie("a")
    assert jar.get_cookie("a", "/x", "h.test", secure_prefix=True) is None


def test_deleting_replaces_what_would_have_been_set() -> None:
    jar = CookieJar()
    jar.add_cookie("a", "1")
    jar.add_cookie("a", "2", path="/x")
    jar.delete_cookie("a")
    assert jar.to_pairs() == [
        (b"set-cookie", b"a=2; Path=/x; SameSite=Lax; Secure"),
        (b"set-cookie", b"a=; Path=/; Max-Age=0; SameSite=Lax; Secure"),
    ]
    jar.delete_cookie("b", host_prefix=True, max_age=99)
    assert str(jar["__Host-b"]) == "__Host-b=; Path=/; Max-Age=0; SameSite=Lax; Secure"
