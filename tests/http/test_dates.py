import email.utils
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.http.dates import format_date, parse_date

EXAMPLE = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110
NOW = datetime(2026, 11, 21, tzinfo=UTC).timestamp()


def test_the_three_formats_of_the_rfc_name_one_moment() -> None:
    assert format_date(EXAMPLE) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert parse_date("Sun, 06 Nov 1994 08:49:37 GMT") == EXAMPLE
    assert parse_date("Sunday, 06-Nov-94 08:49:37 GMT", NOW) == EXAMPLE
    assert parse_date("Sun Nov  6 08:49:37 1994") == EXAMPLE


def test_a_fraction_is_cut_off_also_before_1970() -> None:
    assert format_date(EXAMPLE + 0.999) == format_date(EXAMPLE)
    assert format_date(-0.5) == "Wed, 31 Dec 1969 23:59:59 GMT"


@pytest.mark.parametrize(
    ("short", "year"), [("26", 2026), ("00", 2000), ("76", 2076), ("77", 1977), ("99", 1999), ("94", 1994)]
)
def test_a_two_digit_year_is_never_more_than_50_years_ahead(short: str, year: int) -> None:
    found = parse_date(f"Monday, 01-Mar-{short} 00:00:00 GMT", NOW)
    assert found == datetime(year, 3, 1, tzinfo=UTC).timestamp()


def test_without_a_clock_a_two_digit_year_splits_at_70() -> None:
    assert parse_date("Monday, 01-Mar-70 00:00:00 GMT") == datetime(1970, 3, 1, tzinfo=UTC).timestamp()
    assert parse_date("Monday, 01-Mar-69 00:00:00 GMT") == datetime(2069, 3, 1, tzinfo=UTC).timestamp()


def test_a_leap_second_is_the_next_second() -> None:
    expected = datetime(2017, 1, 1, tzinfo=UTC).timestamp()
    assert parse_date("Sat, 31 Dec 2016 23:59:60 GMT") == expected


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "0",
        "784111777",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT\n",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 19940 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37 GMT; length=12",
        "S" * 100_000,
    ],
)
def test_what_is_not_a_date_is_none(bad: str) -> None:
    assert parse_date(bad, NOW) is None


@given(st.integers(-(10**10), 10**11))
def test_what_is_written_is_read_back(timestamp: int) -> None:
    assert parse_date(format_date(timestamp)) == timestamp


@given(st.integers(0, 4 * 10**9))
def test_it_agrees_with_the_standard_library(timestamp: int) -> None:
    assert format_date(timestamp) == email.utils.formatdate(timestamp, usegmt=True)
    asctime = datetime.fromtimestamp(timestamp, UTC).strftime("%a %b %e %H:%M:%S %Y")
    assert parse_date(asctime) == timestamp


@given(st.text(max_size=40))
def test_no_text_raises(text: str) -> None:
    parse_date(text, NOW)
