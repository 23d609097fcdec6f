from collections.abc import Callable, Mapping
from copy import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.errors import LocalProtocolError
from vivace.http.headers import Headers, encode_name, encode_value

TCHARS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
names = st.text(TCHARS, min_size=1, max_size=20)
values = st.text(
    st.characters(codec="latin-1").filter(lambda c: c == "\t" or (ord(c) >= 0x20 and c != "\x7f")),
    max_size=30,
).map(lambda text: text.strip(" \t"))


def test_a_name_is_found_whatever_its_case() -> None:
    headers = Headers({"Content-Type": "text/html"})
    assert headers["content-type"] == headers["CONTENT-TYPE"] == headers.get("Content-Type") == "text/html"
    assert "cOnTent-type" in headers
    assert list(headers) == ["content-type"]


def test_a_repeated_name_keeps_its_values_in_order() -> None:
    headers = Headers([("Accept", "a"), ("Host", "h"), ("accept", "b")])
    assert headers["accept"] == headers.getone("accept") == "a"
    assert headers.getall("accept") == headers.get_all("Accept") == ["a", "b"]
    assert list(headers.items()) == [("accept", "a"), ("host", "h"), ("accept", "b")]
    assert list(headers.values()) == ["a", "h", "b"]
    assert len(headers) == len(headers.items()) == 3


def test_what_is_missing_is_a_key_error_or_the_default() -> None:
    headers = Headers()
    for read in (headers.__getitem__, headers.getone, headers.getall):
        with pytest.raises(KeyError):
            read("x")
    assert headers.get("x") is None
    assert headers.get("x", "d") == headers.getone("x", "d") == headers.getall("x", "d") == "d"
    assert headers.get_all("x") == []
    with pytest.raises(KeyError):
        del headers["x"]


def test_an_attribute_reads_the_joined_field_and_nothing_for_a_missing_one() -> None:
    headers = Headers([("Content-Type", "a"), ("accept", "x"), ("accept", "y"), ("From", "me")])
    assert headers.content_type == "a"
    assert headers.accept == "x, y"
    assert headers.from_ == "me"
    assert headers.if_match == ""
    with pytest.raises(AttributeError):
        _ = headers._secret


def test_setting_replaces_all_in_the_place_of_the_first() -> None:
    headers = Headers([("a", "1"), ("b", "2"), ("a", "3")])
    headers["A"] = "4"
    assert list(headers.items()) == [("a", "4"), ("b", "2")]
    headers["c"] = 5
    assert headers["c"] == "5"


def test_the_ways_to_write() -> None:
    headers = Headers({"a": "1"})
    headers.add("A", "2")
    headers.extend([("b", "3")])
    assert headers.setdefault("b", "9") == "3"
    headers.update({"a": "4"}, c="5")
    assert list(headers.items()) == [("a", "4"), ("b", "3"), ("c", "5")]
    headers.update([("b", "6"), ("B", "7")])
    assert headers.getall("b") == ["6", "7"]
    assert headers.pop("b") == "6"
    assert "b" not in headers
    assert headers.pop("b", "gone") == "gone"
    headers.add("c", "8")
    assert headers.popall("C") == ["5", "8"]
    assert headers.popall("c") == []
    del headers["A"]
    assert not headers
    headers.add("x", "1")
    headers.clear()
    assert len(headers) == 0


def test_a_copy_is_independent() -> None:
    headers = Headers({"a": "1"})
    for made in (headers.copy(), copy(headers), Headers(headers)):
        made["a"] = "2"
        assert headers["a"] == "1"


def test_received_fields_are_shared_until_something_is_changed() -> None:
    received = [(b"host", b"h"), (b"x", b"\xe9")]
    changes: list[Callable[[Headers], object]] = [
        lambda h: h.add("y", "1"),
        lambda h: h.__setitem__("host", "other"),
        lambda h: h.__delitem__("x"),
        lambda h: h.extend({"z": "1"}),
        lambda h: h.clear(),
    ]
    for change in changes:
        headers = Headers.from_raw(received)
        assert headers.to_pairs() is received
        assert headers["x"] == "é"
        assert headers.raw(b"x") == b"\xe9"
        assert headers.raw(b"none") is None
        change(headers)
        assert received == [(b"host", b"h"), (b"x", b"\xe9")]


def test_equality_and_the_mapping_protocol() -> None:
    headers = Headers({"A": "1"})
    assert headers == Headers({"a": "1"})
    assert headers == {"A": "1"}
    assert headers != Headers({"a": "2"})
    assert headers != 3
    assert dict(headers) == {"a": "1"}
    assert isinstance(headers, Mapping)
    assert ("a", "1") in headers.items()
    assert ("a", "2") not in headers.items()
    assert "1" in headers.values()
    assert "2" not in headers.values()
    assert not headers.__contains__(5)
    assert repr(headers) == "Headers([('a', '1')])"
    with pytest.raises(TypeError):
        hash(headers)


@pytest.mark.parametrize(
    "bad", ["", "a b", "a:", "a\r\nx", "é", "a\x00", " a", "a(b)", '"a"', "\u212a", "a\n"]
)
def test_a_name_that_is_no_token_is_refused(bad: str) -> None:
    for write in (lambda: Headers({bad: "x"}), lambda: Headers().add(bad, "x"), lambda: encode_name(bad)):
        with pytest.raises(LocalProtocolError, match="token"):
            write()


@pytest.mark.parametrize(
    "bad", ["a\r\nSet-Cookie: x=1", "a\nb", "a\rb", "a\x00b", "\x1b[31m", "\x7f", "a\x0bb", "x\n", "\r"]
)
def test_a_value_with_a_control_character_is_refused_by_name(bad: str) -> None:
    headers = Headers({"keep": "1"})
    for write in (
        lambda: headers.add("X-Name", bad),
        lambda: headers.__setitem__("X-Name", bad),
        lambda: headers.update({"X-Name": bad}),
        lambda: headers.extend({"X-Name": bad}),
        lambda: headers.add("X-Name", bad.encode()),
        lambda: Headers({"X-Name": bad}),
    ):
        with pytest.raises(LocalProtocolError, match="X-Name"):
            write()
    assert headers.to_pairs() == [(b"keep", b"1")]


def test_every_control_character_but_the_tab_is_refused() -> None:
    for code in [*range(0x20), 0x7F]:
        if code == 9:
            assert encode_value("x", "a\tb") == b"a\tb"
        else:
            with pytest.raises(LocalProtocolError):
                encode_value("x", f"a{chr(code)}b")


def test_a_value_beyond_latin_1_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match=r"x-price.*latin-1"):
        Headers({"x-price": "5 €"})
    assert Headers({"x-name": "Zoë"}).to_pairs() == [(b"x-name", b"Zo\xeb")]


def test_surrounding_white_space_is_no_part_of_a_value() -> None:
    assert Headers({"a": " \t x y\t"}).to_pairs() == [(b"a", b"x y")]


def test_many_names_do_not_grow_the_name_cache_without_bound() -> None:
    from vivace.http import headers as module

    for number in range(3000):
        encode_name(f"x-{number}")
    assert len(module._names) <= module._NAME_CACHE_SIZE
    assert encode_name("X-2999") == b"x-2999"


@given(st.lists(st.tuples(names, values)))
def test_what_is_written_is_read_back(pairs: list[tuple[str, str]]) -> None:
    headers = Headers(pairs)
    again = Headers.from_raw(list(headers.to_pairs()))
    assert list(again.items()) == [(name.lower(), value) for name, value in pairs]
    for name, _ in pairs:
        assert again.getall(name) == [value for other, value in pairs if other.lower() == name.lower()]


@given(st.lists(st.tuples(st.sampled_from(["a", "B", "b", "c"]), values), max_size=12), names, values)
def test_setting_leaves_exactly_one_and_the_others_in_order(
    pairs: list[tuple[str, str]], name: str, value: str
) -> None:
    headers = Headers(pairs)
    headers[name] = value
    assert headers.getall(name) == [value]
    others = [(n.lower(), v) for n, v in pairs if n.lower() != name.lower()]
    assert [pair for pair in headers.items() if pair[0] != name.lower()] == others
