import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.errors import BadRequest, LocalProtocolError, PayloadTooLarge
from vivace.http.forms import (
    MAX_PARAMETERS,
    FormLimits,
    clean_file_name,
    content_disposition,
    decode_extended,
    parse_options_header,
    parse_parameters,
    parse_urlencoded,
)

LIMITS = FormLimits()


def test_an_urlencoded_form_is_read() -> None:
    form = parse_urlencoded(b"a=1&b=x+y&a=%C3%A9&c=", LIMITS)
    assert dict(form) == {"a": ["1", "é"], "b": ["x y"]}
    assert parse_urlencoded(b"a=&b", LIMITS, keep_blank_values=True) == {"a": [""], "b": [""]}
    assert parse_urlencoded(b"a=%e9", LIMITS, encoding="latin-1").get("a") == "é"
    assert parse_urlencoded(b"", LIMITS) == {}


def test_fields_and_octets_of_an_urlencoded_form_are_limited_at_their_edges() -> None:
    assert len(parse_urlencoded(b"&".join([b"a=1"] * 1000), LIMITS).getlist("a")) == 1000
    with pytest.raises(PayloadTooLarge, match="1001 fields"):
        parse_urlencoded(b"&".join([b"a=1"] * 1001), LIMITS)
    limits = FormLimits(max_memory=10)
    assert parse_urlencoded(b"a=12345678", limits).get("a") == "12345678"
    with pytest.raises(PayloadTooLarge, match="11 octets"):
        parse_urlencoded(b"a=123456789", limits)


def test_attacks_on_the_urlencoded_parser() -> None:
    assert parse_urlencoded(b"a=b;" * 100_000, LIMITS).get("a", "").startswith("b;a=b;")
    with pytest.raises(PayloadTooLarge):
        parse_urlencoded(b"a=b&" * 200_000, LIMITS)
    with pytest.raises(BadRequest):
        parse_urlencoded(b"a=" + b"%" * 8_000_000, LIMITS)
    assert len(parse_urlencoded(b"a=" + b"%41" * 2_700_000, LIMITS)["a"][0]) == 2_700_000


@pytest.mark.parametrize(
    ("value", "head", "parameters"),
    [
        (None, "", {}),
        ("", "", {}),
        ("text/html", "text/html", {}),
        ("Text/HTML ; Charset=UTF-8", "text/html", {"charset": "UTF-8"}),
        ('multipart/form-data; boundary="a b;c"', "multipart/form-data", {"boundary": "a b;c"}),
        ('x; a="q\\"\\\\\\z"', "x", {"a": 'q"\\z'}),
        ("x; a=1; a=2", "x", {"a": "1"}),
        ("x;;; a=1;", "x", {"a": "1"}),
        ("x; a = 1", "x", {"a": "1"}),
        ("x; a=", "x", {"a": ""}),
        ('x; a=""', "x", {"a": ""}),
        ("x; a=b c", "x", {"a": "b c"}),
        ('x; a=1; b="open; c=3', "x", {"a": "1"}),
        ('x; a="b"c; d=1', "x", {}),
        ("x; a", "x", {}),
        ("x; =1", "x", {}),
    ],
)
def test_a_value_with_parameters_is_split(value: str | None, head: str, parameters: dict[str, str]) -> None:
    assert parse_options_header(value) == (head, parameters)


def test_the_number_of_parameters_is_limited_at_its_edge() -> None:
    text = ";".join(f"p{number}=1" for number in range(MAX_PARAMETERS))
    assert len(parse_parameters(text) or ()) == MAX_PARAMETERS
    assert parse_parameters(text + ";x=1") is None
    assert len(parse_options_header("a;" + text + ";x=1")[1]) == MAX_PARAMETERS


@pytest.mark.parametrize(
    "text",
    [
        "boundary=" + '"' * 500_000,
        'boundary="' + "\\" * 500_001,
        'boundary="' + "\\a" * 300_000,
        " " * 1_000_000,
        ";" * 1_000_000,
        "; " * 500_000,
        "a" * 1_000_000,
        "a=" + " " * 1_000_000 + '"',
        ("a=" + " " * 100) * 10_000 + '"',
        "a" + " " * 1_000_000 + "b",
        'a="' * 300_000,
    ],
)
def test_bombs_in_parameters_cost_linear_time(text: str) -> None:
    parse_parameters(text)
    parse_options_header("multipart/form-data;" + text)


@given(st.text(max_size=50))
def test_no_value_raises(value: str) -> None:
    parse_options_header(value)
    decode_extended(value)


names = st.text("abcXYZ019-_", min_size=1, max_size=8)


@given(st.dictionaries(names.map(str.lower), st.text(max_size=20), max_size=8))
def test_quoted_parameters_are_read_back(parameters: dict[str, str]) -> None:
    escaped = {name: re.sub(r'([\\"])', r"\\\1", value) for name, value in parameters.items()}
    text = "; ".join(f'{name}="{value}"' for name, value in escaped.items())
    assert parse_parameters(text) == parameters


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("UTF-8''na%C3%AFve.txt", "naïve.txt"),
        ("utf-8'en'%e2%82%ac", "€"),
        ("ISO-8859-1''%e9", "é"),
        ("UTF-8''%ff", None),
        ("UTF-7''a", None),
        ("punycode''a", None),
        ("UTF-8'a", None),
        ("a", None),
        ("''a", None),
        ("", None),
    ],
)
def test_extended_values_are_decoded(value: str, text: str | None) -> None:
    assert decode_extended(value) == text


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\dir\\a.txt", "a.txt"),
        ("C:a.txt", "a.txt"),
        ("C:D:a.txt", "a.txt"),
        ("\\\\host\\share\\a.txt", "a.txt"),
        ("a/", ""),
        ("..", ""),
        (".", ""),
        ("C:..", ""),
        (".\x00.", ""),
        (" .. ", ""),
        ("a\x00.php", "a.php"),
        ("a\r\nb\x7f\x85", "ab"),
        ("..\x00/x", "x"),
        ("12:30.txt", "12:30.txt"),
        ("ab:c.txt", "ab:c.txt"),
        (" C: D: a b ", "a b"),
        (".htaccess", ".htaccess"),
        ("e\u0301.txt", "é.txt"),
        ("", ""),
    ],
)
def test_a_file_name_is_never_a_path(sent: str, kept: str) -> None:
    assert clean_file_name(sent) == kept


@given(st.text(st.sampled_from("ab./\\: \x00\nC\u0301é"), max_size=20))
def test_no_file_name_leads_anywhere(sent: str) -> None:
    kept = clean_file_name(sent)
    assert not set(kept) & set("/\\\x00\n")
    assert kept not in (".", "..")
    assert not re.match("[A-Za-z]:", kept)
    assert clean_file_name(kept) == kept


def test_a_long_run_of_combining_marks_costs_nothing() -> None:
    name = "\u0301\u0327" * 50_000
    assert clean_file_name(name) == name


@pytest.mark.parametrize(
    ("filename", "value"),
    [
        (None, "attachment"),
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ('a";x="b', "attachment; filename=\"a_;x=_b\"; filename*=UTF-8''a%22%3Bx%3D%22b"),
        ("a\\b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%5Cb"),
        ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("naïve €.txt", "attachment; filename=\"na_ve _.txt\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt"),
    ],
)
def test_a_file_name_is_offered_without_escapes(filename: str | None, value: str) -> None:
    assert content_disposition(filename) == value
    assert content_disposition(filename, inline=True) == value.replace("attachment", "inline")


@pytest.mark.parametrize("filename", ["a\r\nX: y", "a\x00", "a\nb", "\x7f", "\ud800"])
def test_a_file_name_that_could_inject_is_refused(filename: str) -> None:
    with pytest.raises(LocalProtocolError):
        content_disposition(filename)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_an_offered_name_is_read_back(filename: str) -> None:
    value = content_disposition(filename)
    assert value.isascii()
    kind, parameters = parse_options_header(value)
    assert kind == "attachment"
    extended = parameters.get("filename*")
    assert (decode_extended(extended) if extended else parameters["filename"]) == filename
