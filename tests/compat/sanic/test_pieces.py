"""Small things of Sanic's modules: what they give is what Sanic gives."""

from types import SimpleNamespace
from typing import Any

import pytest

from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.content_range import ContentRangeHandler
from vivace.compat.sanic.pieces import HashableDict, escape
from vivace.compat.sanic.request import Request
from vivace.errors import HeaderNotFound, InvalidRangeType, RangeNotSatisfiable

FILE = SimpleNamespace(st_size=100)


def ask(value: str | None) -> Any:
    """A request with a Range field, made by hand."""
    kind: Any = Request
    return kind(b"/", {} if value is None else {"range": value}, "1.1", "GET", None, Sanic("ranges"))


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=5-", 5, 99),
        ("bytes=-5", 95, 99),
        ("bytes=0-0", 0, 0),
        ("bytes=0-1000", 0, 99),
        ("bytes=-200", 0, 99),
    ],
)
def test_a_range_of_a_file(value: str, start: int, end: int) -> None:
    """It ends within the file."""
    found = ContentRangeHandler(ask(value), FILE)
    assert (found.start, found.end, found.size, found.total) == (start, end, end - start + 1, 100)
    assert found.headers == {"Content-Range": f"bytes {start}-{end}/100"}
    assert bool(found)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("bytes=-", "Invalid for Content Range parameters"),
        ("bytes=9-3", "Invalid for Content Range parameters"),
        ("bytes=200-300", "Invalid for Content Range parameters"),
        ("bytes", "Invalid for Content Range parameters"),
        ("bytes=a-", "'a' is invalid for Content Range"),
        ("bytes=-b", "'b' is invalid for Content Range"),
        ("bytes=1-2,3-4", "'2,3-4' is invalid for Content Range"),
    ],
)
def test_a_malformed_range(value: str, words: str) -> None:
    """Is refused in Sanic's words."""
    with pytest.raises(RangeNotSatisfiable, match=words) as refused:
        ContentRangeHandler(ask(value), FILE)
    assert refused.value.headers == {"Content-Range": "bytes */100"}


def test_no_range_and_another_unit() -> None:
    """Are exceptions of their own."""
    with pytest.raises(HeaderNotFound, match="Range Header Not Found"):
        ContentRangeHandler(ask(None), FILE)
    with pytest.raises(InvalidRangeType, match="items is not a valid Range Type"):
        ContentRangeHandler(ask("items=1-2"), FILE)


def test_a_dict_that_is_a_key() -> None:
    """The order of what is in it does not count."""
    assert {HashableDict(a=1, b=2): "x"}[HashableDict(b=2, a=1)] == "x"


def test_text_for_html() -> None:
    """Quotes stay."""
    assert escape('<a href="x">\'&') == '&lt;a href="x"&gt;\'&amp;'
    assert escape(None) == "None"
