"""Lengths of time, waits after failures, and arguments: what is taken and what is refused."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from vivace.errors import DeclarationError
from vivace.tasks.arguments import Arguments
from vivace.tasks.backoff import Backoff
from vivace.tasks.book import Book
from vivace.tasks.declared import LAST_MOMENT, MOST_PRIORITY
from vivace.tasks.duration import parse_duration, show_duration
from vivace.tasks.errors import BadArguments


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("1w", 604800)],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_numbers_are_seconds() -> None:
    assert (parse_duration(3), parse_duration(0.25), parse_duration(timedelta(minutes=1))) == (3, 0.25, 60)


@pytest.mark.parametrize(
    "wrong", ["", "5", "m", "-5m", "5 fortnights", -1, float("nan"), float("inf"), True, None]
)
def test_what_is_no_length_of_time_is_named(wrong: Any) -> None:
    with pytest.raises(DeclarationError, match="expected seconds, or text such as"):
        parse_duration(wrong)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5s"), (59, "59s"), (90, "1.5m"), (7200, "2h"), (86400, "1d")]
)
def test_lengths_are_shown_in_the_largest_unit(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


def test_waits_grow_as_the_rule_says_and_end_at_the_longest() -> None:
    def waits(rule: str | float) -> list[float]:
        return [Backoff.parse(rule).wait(attempt, 0.0) for attempt in (1, 2, 3, 100)]

    assert waits("exp:2s..10s") == [2, 4, 8, 10]
    assert waits("exp:2s..10s+jitter") == [2, 4, 8, 10]
    assert waits("linear:2s..5s") == [2, 4, 5, 5]
    assert waits("fixed:3s") == waits("3s") == waits(3) == [3, 3, 3, 3]


def test_chance_only_shortens_a_wait() -> None:
    assert Backoff.parse("10s").wait(1, 1.0) == 7.5


@pytest.mark.parametrize(
    "wrong", ["", "exp", "exp:2s", "exp:10s..2s", "fixed:1s..2s", "cubic:1s..2s", "1s..2s"]
)
def test_a_rule_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(DeclarationError):
        Backoff.parse(wrong)


@dataclass
class Point:
    x: int
    y: int


class Card(msgspec.Struct):
    name: str


def deliver(
    to: str, at: Point, card: Card, day: datetime, tags: list[str] | None = None, n: int = 1
) -> None: ...


DAY = datetime(2026, 11, 21, tzinfo=UTC)


def test_arguments_come_back_as_the_types_of_their_annotations() -> None:
    known = Arguments(deliver, "deliver")
    values = known.bind(("ada", Point(1, 2), Card("c")), {"day": DAY, "tags": ["a"]})
    assert known.decode(known.encode(values)) == {
        "to": "ada",
        "at": Point(1, 2),
        "card": Card("c"),
        "day": DAY,
        "tags": ["a"],
    }


def test_defaults_are_not_stored() -> None:
    known = Arguments(deliver, "deliver")
    assert known.bind(("a", Point(1, 2), Card("c"), DAY), {}).keys() == {"to", "at", "card", "day"}


def test_an_argument_of_another_type_is_refused_when_it_is_enqueued(book: Book) -> None:
    task = book.declare(deliver)
    with pytest.raises(
        BadArguments, match=r"app.deliver: Expected `str`, got `int` - at `\$.to`; it takes app.deliver"
    ):
        task.make((1, Point(1, 2), Card("c"), DAY), {}, None)
    with pytest.raises(BadArguments, match="missing a required argument: 'at'"):
        task.make(("ada",), {}, None)
    with pytest.raises(BadArguments, match="unsupported"):
        task.make((object(), Point(1, 2), Card("c"), DAY), {}, None)


def test_arguments_may_be_as_large_as_the_setting_says(book: Book) -> None:
    def note(text: str) -> None: ...

    task = book.declare(note)
    book.config().TASK_MAX_PAYLOAD = 64
    room = 64 - len('{"text":""}')
    assert len(task.make(("x" * room,), {}, None).payload) == 64
    with pytest.raises(BadArguments, match="65 octets; TASK_MAX_PAYLOAD allows 64"):
        task.make(("x" * (room + 1),), {}, None)


def test_a_parameter_that_cannot_stand_by_name_is_refused() -> None:
    def every(*names: str) -> None: ...

    with pytest.raises(DeclarationError, match="cannot be stored by name"):
        Arguments(every, "every")


def test_a_parameter_that_json_cannot_tell_apart_is_refused() -> None:
    def call(back: Point | Card) -> None: ...

    with pytest.raises(DeclarationError, match="stored as JSON"):
        Arguments(call, "call")


def test_a_time_without_a_date_is_refused(book: Book) -> None:
    def note(number: int) -> None: ...

    task = book.declare(note)
    assert task.make((1,), {}, LAST_MOMENT).run_at == LAST_MOMENT
    with pytest.raises(BadArguments, match="behind the last year that has a date"):
        task.make((1,), {}, LAST_MOMENT + 1)
    with pytest.raises(BadArguments, match="at\\(datetime"):
        task.at(datetime.min)


def test_a_priority_is_one_that_every_spool_can_sort_by(book: Book) -> None:
    def note(number: int) -> None: ...

    assert book.declare(note, name="least", priority=-MOST_PRIORITY).options.priority == -MOST_PRIORITY
    for wrong in (MOST_PRIORITY + 1, "high", 0.5):
        with pytest.raises(DeclarationError, match="priority="):
            book.declare(note, priority=wrong)  # type: ignore[arg-type]


def test_a_key_of_any_text_can_be_stored(book: Book) -> None:
    def note(text: str) -> None: ...

    task = book.declare(note, unique=lambda _: "a\udc80\0")
    key = task.make(("x",), {}, None).unique_key
    assert key is not None
    assert len(key) == 64


def test_two_tasks_of_one_name_are_refused(book: Book) -> None:
    book.declare(deliver)
    with pytest.raises(DeclarationError, match=r"two tasks are called app\.deliver"):
        book.declare(deliver)
    book.declare(deliver, name="other")


@pytest.mark.parametrize(
    "options",
    [{"retries": -1}, {"retries": 10_001}, {"timeout": 0}, {"queue": ""}, {"queue": "a b"}, {"keep": "x"}],
)
def test_options_that_cannot_be_are_refused(book: Book, options: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError):
        book.declare(deliver, **options)


def test_a_lambda_needs_a_name(book: Book) -> None:
    with pytest.raises(DeclarationError, match="give name="):
        book.declare(lambda: None)


def test_the_key_of_a_unique_task(book: Book) -> None:
    def send(to: str, subject: str = "hello") -> None: ...

    whole = book.declare(send, name="whole", unique=True)
    part = book.declare(send, name="part", unique=lambda to, subject: f"{to}/{subject}")
    assert whole.make(("a",), {}, None).unique_key == '{"to":"a"}'
    assert part.make(("a",), {}, None).unique_key == "a/hello"
    assert len(part.make(("a" * 300,), {}, None).unique_key or "") == 64
