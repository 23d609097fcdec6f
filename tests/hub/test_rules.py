"""Which rule holds for a topic, and what a rule may say."""

from typing import Any

import pytest

from vivace.errors import DeclarationError
from vivace.hub.records import Rule
from vivace.hub.rules import Rules, make_rule


def test_a_topic_that_nobody_declared_is_fast() -> None:
    assert Rules().of("room:1").delivery == "fast"


def test_a_name_beats_patterns_and_the_first_pattern_wins() -> None:
    rules = Rules()
    rules.declare([Rule("room:*", "resume", 5), Rule("*", "latest", 1), Rule("room:7", "fast")])
    assert rules.of("room:1").history == 5
    assert rules.of("room:7").delivery == "fast"
    assert rules.of("prices").delivery == "latest"


def test_no_rule_holds_for_the_hubs_own_topics() -> None:
    rules = Rules()
    rules.declare([Rule("*", "resume", 5)])
    assert rules.of("$present:room").delivery == "fast"


def test_a_pattern_that_is_declared_again_replaces_what_it_said() -> None:
    rules = Rules()
    rules.declare([Rule("room:*", "resume", 5)])
    assert rules.of("room:1").history == 5
    assert rules.declare([Rule("room:*", "resume", 9)]) == [Rule("room:*", "resume", 9)]
    assert rules.of("room:1").history == 9
    assert rules.declare([Rule("room:*", "resume", 9)]) == []


def test_what_is_not_said_has_a_default() -> None:
    assert make_rule("a", "resume", None, None, None) == Rule("a", "resume", 100, 300.0, 0)
    assert make_rule("a", "latest", None, None, None) == Rule("a", "latest", 1, 300.0, 0)
    assert make_rule("a", "fast", None, None, 64) == Rule("a", "fast", 0, 0.0, 64)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("a", "slow", None, None, None), "not one of fast, resume, latest"),
        (("a", "fast", 3, None, None), "need delivery='resume'"),
        (("a", "latest", 3, None, None), "keeps 1 message, not 3"),
        (("a", "resume", 0, None, None), "at least 1 message"),
        (("a", "resume", -1, None, None), "cannot be negative"),
        (("a", "resume", 1, -1.0, None), "cannot be negative"),
        (("a", "fast", None, None, -1), "cannot be negative"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(said: Any, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        make_rule(*said)
