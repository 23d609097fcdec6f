import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.errors import InvalidHeader
from vivace.http.negotiation import MAX_ITEMS, Matched, MediaType, parse_accept, parse_weights


def order(value: str) -> list[str]:
    return [str(item) for item in parse_accept(value)]


def test_ranges_are_ordered_by_weight_then_by_precision() -> None:
    assert order("text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, */*;q=0.5") == [
        "text/plain;format=flowed",
        "text/plain",
        "*/*",
        "text/*",
    ]
    assert order("*/*, text/*, text/html, text/html;level=1") == [
        "text/html;level=1",
        "text/html",
        "text/*",
        "*/*",
    ]
    assert order("a/b, c/d") == ["a/b", "c/d"]


@pytest.mark.parametrize(
    ("mime", "q"),
    [
        ("text/plain;format=flowed", 1),
        ("text/plain", 0.7),
        ("text/html", 0.3),
        ("image/jpeg", 0.5),
        ("text/plain;format=fixed", 0.4),
        ("text/html;level=3", 0.3),
    ],
)
def test_the_most_precise_range_decides_as_in_the_example_of_the_rfc(mime: str, q: float) -> None:
    accept = parse_accept(
        "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5"
    )
    found = accept.match(mime)
    assert found.header is not None
    assert found.header.q == q


def test_the_most_wanted_of_those_offered_is_found() -> None:
    accept = parse_accept("text/html, application/json;q=0.9, */*;q=0.1")
    assert accept.match("application/json", "text/html") == "text/html"
    assert accept.match("application/json", "text/csv").mime == "application/json"
    assert accept.match("text/csv", "text/plain") == "text/csv"
    assert not accept.match("text/csv", accept_wildcards=False)
    assert not accept.match()


def test_a_weight_of_zero_excludes() -> None:
    accept = parse_accept("text/html;q=0, */*")
    assert not accept.match("text/html")
    assert accept.match("text/plain")
    assert accept.match("text/html", "text/plain") == "text/plain"


def test_no_field_accepts_anything_and_an_empty_one_nothing() -> None:
    assert parse_accept(None).match("a/b") == "a/b"
    assert parse_accept("") == []
    assert not parse_accept("").match("a/b")
    assert parse_accept(" , ,") == []


def test_what_matched_compares_like_text() -> None:
    found = parse_accept("text/*").match("text/html")
    assert found
    assert found == "text/html"
    assert found != "text/plain"
    assert found == Matched("text/html", MediaType("text", "*"))
    assert found != Matched("text/html", None)
    assert found != 1
    assert hash(found) == hash("text/html")
    assert isinstance(found.header, MediaType)
    assert found.header == "text/*"
    assert not Matched("", None)


def test_media_types_compare_by_name_and_parameters() -> None:
    html = MediaType("TEXT", "Html", 0.5, level="1")
    assert html == "text/html"
    assert html == "text/html;level=1"
    assert html == MediaType("text", "html", level="1")
    assert html != MediaType("text", "html")
    assert html != 1
    assert hash(html) == hash("text/html")
    assert (html.mime, html.has_wildcard, html.q) == ("text/html", False, 0.5)
    assert MediaType("*", "*").has_wildcard
    assert MediaType("text", "*").match("text/html")
    assert not MediaType("text", "html", level="1").match("text/html")
    assert html.match("text/html; level=1")
    assert repr(html) == "<MediaType text/html;level=1;q=0.5>"


def test_quoted_parameters_may_hold_commas_and_semicolons() -> None:
    found = parse_accept('a/b;x="1,2;q=0\\"";q=0.5, c/d')
    assert [item.mime for item in found] == ["c/d", "a/b"]
    assert found[1].params == {"x": '1,2;q=0"'}
    assert found[1].q == 0.5


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "text/",
        "/html",
        "text/html/x",
        "text html",
        "*/html",
        "text/html;q=2",
        "text/html;q=1.001",
        "text/html;q=-1",
        "text/html;q=0.1234",
        "text/html;q=nan",
        "text/html;q=1e-1",
        "text/html;q=",
        "text/html;q",
        "text/html;=1",
        'text/html;x="',
        "text/html, <script>",
        "té/xt",
        "text/html;q=\u0660",
        'a/b;x="a" b',
    ],
)
def test_a_malformed_field_is_refused(value: str) -> None:
    with pytest.raises(InvalidHeader, match="Accept"):
        parse_accept(value)


def test_the_number_of_items_is_limited_at_its_edge() -> None:
    assert len(parse_accept(", ".join(["a/b"] * MAX_ITEMS))) == MAX_ITEMS
    for value in (", ".join(["a/b"] * (MAX_ITEMS + 1)), "," * 1_000_000):
        with pytest.raises(InvalidHeader, match="more than 100"):
            parse_accept(value)
        with pytest.raises(InvalidHeader, match="more than 100"):
            parse_weights(value)


@pytest.mark.parametrize(
    "value",
    [
        'a/b;x="' * 100_000,
        'a/b;x="' + "\\" * 500_000,
        "a/b" + ";" * 500_000,
        "a/b" + "; " * 500_000,
        "a" * 1_000_000,
        "a/b;" + " " * 1_000_000,
        '"' * 1_000_000,
        'a/b;x="' + 'a,"' * 60,
    ],
)
def test_bombs_cost_linear_time(value: str) -> None:
    try:
        parse_accept(value)
    except InvalidHeader:
        pass


@given(st.text(max_size=60))
def test_no_value_raises_anything_else(value: str) -> None:
    for read in (parse_accept, parse_weights):
        try:
            read(value)
        except InvalidHeader:
            pass


def test_weights_of_other_fields() -> None:
    assert parse_weights("gzip;q=0.5, BR, identity;q=0, *;q=0.1") == [
        ("br", 1.0),
        ("gzip", 0.5),
        ("*", 0.1),
        ("identity", 0.0),
    ]
    assert parse_weights("da, en-GB ; q=0.8", "Accept-Language") == [("da", 1.0), ("en-gb", 0.8)]
    assert parse_weights("") == []


@pytest.mark.parametrize("value", ["gzip;x=1", "gzip;q=5", "g zip", "gzip;q=0.5;q=1", ";q=1"])
def test_malformed_weights_are_refused_by_field(value: str) -> None:
    with pytest.raises(InvalidHeader, match="Accept-Language"):
        parse_weights(value, "Accept-Language")
