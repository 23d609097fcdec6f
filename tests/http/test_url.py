from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.errors import BadRequest, LocalProtocolError
from vivace.http.url import (
    MAX_MALFORMED,
    RequestParameters,
    as_local,
    is_local_target,
    parse_query,
    quote_location,
    quote_path,
    safe_redirect,
    unquote_path,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_parameters_give_the_first_or_all() -> None:
    params = RequestParameters.from_pairs([("a", "1"), ("b", "2"), ("a", "3")])
    assert params.get("a") == "1"
    assert params["a"] == params.getlist("a") == ["1", "3"]
    assert params.get("x") is None
    assert params.get("x", "d") == "d"
    assert params.getlist("x") == []
    assert params.getlist("x", ["d"]) == ["d"]
    assert "x" not in params


@pytest.mark.parametrize(
    ("raw", "pairs"),
    [
        (b"", []),
        (b"a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
        (b"a=&b&=c&&", [("", "c")]),
        (b"a+b=c%20d%2B", [("a b", "c d+")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"a=%zz%4&b=%", [("a", "%zz%4"), ("b", "%")]),
        (b"a=%ff", [("a", "\ufffd")]),
        (b"a=\xc3\xa9", [("a", "é")]),
        (b"a=%ed%a0%80", [("a", "\ufffd\ufffd\ufffd")]),
    ],
)
def test_queries(raw: bytes, pairs: list[tuple[str, str]]) -> None:
    assert parse_query(raw) == pairs


def test_blank_values_are_kept_on_demand() -> None:
    assert parse_query(b"a=&b&&=", keep_blank_values=True) == [("a", ""), ("b", ""), ("", "")]


def test_strict_parsing_refuses_a_field_without_a_sign() -> None:
    assert parse_query(b"a=1", strict_parsing=True) == [("a", "1")]
    with pytest.raises(BadRequest, match="bad query field"):
        parse_query(b"a=1&b", strict_parsing=True)


def test_another_encoding() -> None:
    assert parse_query(b"a=%e9", encoding="latin-1") == [("a", "é")]


def test_the_number_of_fields_is_limited_at_its_edge() -> None:
    assert len(parse_query(b"&".join([b"a=1"] * 1000))) == 1000
    with pytest.raises(BadRequest, match="1000"):
        parse_query(b"&".join([b"a=1"] * 1001))
    assert parse_query(b"a=1", 1) == [("a", "1")]
    with pytest.raises(BadRequest):
        parse_query(b"a=1&", 1)


@pytest.mark.parametrize("raw", [b"%" * 4_000_000, b"a=" + b"+%" * 2_000_000, b"%" * (MAX_MALFORMED + 1)])
def test_thousands_of_malformed_escapes_are_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest, match="malformed"):
        parse_query(raw, keep_blank_values=True)
    with pytest.raises(BadRequest, match="malformed"):
        unquote_path(raw)


def test_malformed_escapes_up_to_the_limit_are_kept() -> None:
    assert parse_query(b"%" * MAX_MALFORMED + b"=a") == [("%" * MAX_MALFORMED, "a")]


@pytest.mark.parametrize("raw", [b"a=b;" * 1_000_000, b"a=" + b"+%41" * 2_000_000])
def test_a_huge_query_costs_linear_time(raw: bytes) -> None:
    parse_query(raw, keep_blank_values=True)


@given(st.binary(max_size=60).map(lambda raw: bytes(octet & 0x7F for octet in raw)), st.booleans())
def test_queries_read_as_the_standard_library_reads_them(raw: bytes, blank: bool) -> None:
    assert parse_query(raw, keep_blank_values=blank) == parse_qsl(
        raw.decode("ascii"), keep_blank_values=blank
    )


@given(st.text("%=0aF\r\n_ z+", max_size=30).map(str.encode))
def test_escapes_are_decoded_as_the_standard_library_decodes_them(raw: bytes) -> None:
    assert unquote_path(raw).encode() == unquote_to_bytes(raw) or not unquote_to_bytes(raw).isascii()


@given(st.lists(st.tuples(texts, texts), max_size=10))
def test_what_is_quoted_is_read_back(pairs: list[tuple[str, str]]) -> None:
    raw = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs).encode()
    assert parse_query(raw, keep_blank_values=True) == pairs


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"/a/b", "/a/b"),
        (b"/a%20b+c", "/a b+c"),
        (b"/caf%C3%A9", "/café"),
        (b"/caf\xc3\xa9", "/café"),
        (b"/%ff/%C3%A9", "/%FF/é"),
        (b"/\xe9", "/%E9"),
        (b"/%ed%a0%80", "/%ED%A0%80"),
        (b"/%zz%2", "/%zz%2"),
        (b"/%2e%2e%2f", "/../"),
        (b"/%252e", "/%2e"),
        (b"/%00", "/\x00"),
    ],
)
def test_paths_are_decoded_once_and_never_into_surrogates(raw: bytes, text: str) -> None:
    assert unquote_path(raw) == text


@given(st.binary(max_size=50))
def test_no_path_fails_to_decode_or_to_encode(raw: bytes) -> None:
    unquote_path(raw).encode("utf-8")


@given(texts)
def test_a_quoted_path_is_read_back(path: str) -> None:
    quoted = quote_path(path)
    assert quoted.isascii()
    assert unquote_path(quoted.encode()) == path == unquote(quoted)
    assert not set(quoted) & set(' ?#"<>\\^`{|}')


def test_a_path_keeps_what_it_may_hold() -> None:
    assert quote_path("/a/b:c@d!$&'()*+,;=-._~") == "/a/b:c@d!$&'()*+,;=-._~"
    assert quote_path("/a b?c#d%e\udc80") == "/a%20b%3Fc%23d%25e%3F"


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%20b"),
        ("/100%", "/100%25"),
        ("/%zz", "/%25zz"),
        ("/é?q=ü#ß", "/%C3%A9?q=%C3%BC#%C3%9F"),
        ("https://user@h.test:80/p;x=1?a=b&c[]=d#f", "https://user@h.test:80/p;x=1?a=b&c[]=d#f"),
        ("http://[::1]/", "http://[::1]/"),
        ("/\\evil.test", "/%5Cevil.test"),
        ('/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("", ""),
    ],
)
def test_locations_are_quoted_and_not_twice(target: str, location: str) -> None:
    assert quote_location(target) == location
    assert quote_location(location) == location


@pytest.mark.parametrize(
    "target", ["/a\r\nSet-Cookie: x=1", "/a\nb", "/a\rb", "/\x00", "/\t", "/\x7f", "/\x85"]
)
def test_a_location_with_a_control_character_is_refused(target: str) -> None:
    with pytest.raises(LocalProtocolError, match="control character"):
        quote_location(target)
    with pytest.raises(BadRequest):
        safe_redirect(target)


@given(texts.filter(lambda text: not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)))
def test_every_location_is_a_printable_ascii_value(target: str) -> None:
    location = quote_location(target)
    assert location.isascii()
    assert all(0x20 < ord(c) < 0x7F for c in location)
    assert unquote(location) == unquote(target)


@pytest.mark.parametrize(
    "target", ["/", "/a?b#c", "a/b", "?a=http://x", "#f", "./x", "/a//b", "/a/../b", "/%2F"]
)
def test_local_targets(target: str) -> None:
    assert is_local_target(target)
    assert safe_redirect(target) == quote_location(target)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "//evil.test",
        "//evil.test/..",
        "///evil.test",
        "/\\evil.test",
        "\\/evil.test",
        "\\\\evil.test",
        " //evil.test",
        "\t//evil.test",
        "/\t/evil.test",
        "/\n/evil.test",
        "\x00//evil.test",
        "https://evil.test",
        "https:evil.test",
        "https:/evil.test",
        "HTTPS://evil.test",
        "javascript:alert(1)",
        "data:text/html,x",
        "mailto:x@y",
        "\u3000//evil.test",
    ],
)
def test_targets_on_another_host(target: str) -> None:
    assert not is_local_target(target)
    with pytest.raises(BadRequest):
        safe_redirect(target)


def test_a_redirect_may_lead_to_the_hosts_that_are_allowed() -> None:
    assert safe_redirect("https://Good.test/a b", ["good.test"]) == "https://Good.test/a%20b"
    assert safe_redirect("http://good.test:81/", ["good.test:81"]) == "http://good.test:81/"
    for target in (
        "https://good.test.evil.test/",
        "https://good.test@evil.test/",
        "https://x@good.test/",
        "https://evil.test\\@good.test/",
        "https://good.test:81/",
        "ftp://good.test/",
        "https:good.test",
        "https://[::1",
        "//good.test/",
    ):
        with pytest.raises(BadRequest):
            safe_redirect(target, ["good.test"])


@pytest.mark.parametrize(
    "path", ["//evil.test/", "/\\evil.test/", "\\\\evil.test/", "///evil.test/", "evil.test/"]
)
def test_a_path_of_the_server_is_made_local(path: str) -> None:
    assert as_local(path) == "/evil.test/"
    assert is_local_target(as_local(path))


@given(texts)
def test_the_escapes_of_the_standard_library_survive(text: str) -> None:
    assert unquote_path(quote(text).encode()) == text
