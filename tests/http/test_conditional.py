import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.http.conditional import evaluate_conditions, make_etag, parse_etags, strong_match, weak_match
from vivace.http.dates import format_date
from vivace.http.headers import Headers

CHANGED = 784111777.5
BEFORE, SAME, AFTER = (format_date(CHANGED + offset) for offset in (-10, 0, 10))


def evaluate(
    method: str, *fields: tuple[str, str], etag: str | None = '"a"', exists: bool = True
) -> int | None:
    return evaluate_conditions(method, Headers(fields), etag, CHANGED if exists else None, exists=exists)


def test_etags_of_files_tell_size_and_change() -> None:
    assert make_etag(16, 255) == '"ff-10"'
    assert make_etag(16, 255, weak=True) == 'W/"ff-10"'
    assert make_etag(16, 255) != make_etag(255, 16)


def test_comparisons_of_rfc_9110_table_3() -> None:
    assert [strong_match('W/"1"', 'W/"1"'), weak_match('W/"1"', 'W/"1"')] == [False, True]
    assert [strong_match('W/"1"', 'W/"2"'), weak_match('W/"1"', 'W/"2"')] == [False, False]
    assert [strong_match('W/"1"', '"1"'), weak_match('W/"1"', '"1"')] == [False, True]
    assert [strong_match('"1"', '"1"'), weak_match('"1"', '"1"')] == [True, True]
    assert not strong_match("1", "1")
    assert not weak_match("1", "1")


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        (["*"], ["*"]),
        (['"a"'], ['"a"']),
        (['"a", W/"b"', '"c,d"'], ['"a"', 'W/"b"', '"c,d"']),
        ([',, "a" ,'], ['"a"']),
        (['""'], ['""']),
        ([""], None),
        (["a"], None),
        (['"a'], None),
        (['"a""b"'], None),
        (['w/"a"'], None),
        (['"a b"'], None),
        (['*, "a"'], None),
        (['"\x00"'], None),
    ],
)
def test_lists_of_entity_tags(values: list[str], tags: list[str] | None) -> None:
    assert parse_etags(values) == tags


def test_the_number_of_entity_tags_is_limited_at_its_edge() -> None:
    assert len(parse_etags([", ".join(['"a"'] * 100)]) or ()) == 100
    assert parse_etags([", ".join(['"a"'] * 101)]) is None


@pytest.mark.parametrize("value", ['"' * 500_000, "," * 1_000_000, 'W/"' * 300_000, '"a" ' * 100_000])
def test_huge_lists_cost_linear_time(value: str) -> None:
    parse_etags([value])


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", [], None),
        ("GET", [("If-None-Match", '"a"')], 304),
        ("HEAD", [("If-None-Match", 'W/"a"')], 304),
        ("GET", [("If-None-Match", '"b"')], None),
        ("GET", [("If-None-Match", '"b"'), ("If-None-Match", '"a"')], 304),
        ("GET", [("If-None-Match", "*")], 304),
        ("PUT", [("If-None-Match", "*")], 412),
        ("DELETE", [("If-None-Match", '"a"')], 412),
        ("GET", [("If-None-Match", "junk")], None),
        ("PUT", [("If-Match", '"a"')], None),
        ("PUT", [("If-Match", 'W/"a"')], 412),
        ("PUT", [("If-Match", '"b"')], 412),
        ("PUT", [("If-Match", "*")], None),
        ("PUT", [("If-Match", "junk")], 412),
        ("GET", [("If-Modified-Since", SAME)], 304),
        ("GET", [("If-Modified-Since", AFTER)], 304),
        ("GET", [("If-Modified-Since", BEFORE)], None),
        ("GET", [("If-Modified-Since", "junk")], None),
        ("GET", [("If-Modified-Since", SAME), ("If-Modified-Since", SAME)], None),
        ("POST", [("If-Modified-Since", SAME)], None),
        ("PUT", [("If-Unmodified-Since", BEFORE)], 412),
        ("PUT", [("If-Unmodified-Since", SAME)], None),
        ("PUT", [("If-Unmodified-Since", "junk")], None),
    ],
)
def test_single_preconditions(method: str, fields: list[tuple[str, str]], status: int | None) -> None:
    assert evaluate(method, *fields) == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("If-Match", '"a"'), ("If-Unmodified-Since", BEFORE)], None),
        ([("If-Match", '"b"'), ("If-None-Match", '"a"')], 412),
        ([("If-Match", '"a"'), ("If-None-Match", '"a"')], 304),
        ([("If-None-Match", '"b"'), ("If-Modified-Since", AFTER)], None),
        ([("If-Unmodified-Since", BEFORE), ("If-None-Match", '"a"')], 412),
    ],
)
def test_the_order_of_section_13_2_2(fields: list[tuple[str, str]], status: int | None) -> None:
    assert evaluate("GET", *fields) == status


def test_what_does_not_exist_matches_nothing() -> None:
    assert evaluate("PUT", ("If-Match", "*"), exists=False, etag=None) == 412
    assert evaluate("PUT", ("If-None-Match", "*"), exists=False, etag=None) is None
    assert evaluate("GET", ("If-None-Match", '"a"'), etag=None) is None


@given(st.sampled_from(["GET", "PUT"]), st.lists(st.text(max_size=20), max_size=3))
def test_no_value_raises(method: str, values: list[str]) -> None:
    class Fields:
        def get_all(self, name: str, /) -> list[str]:
            return values

    assert evaluate_conditions(method, Fields(), '"a"', CHANGED) in (None, 304, 412)
