"""Which rule holds for a topic.

Rules of this file:

- A rule without a wildcard beats patterns; of those the one that was declared first wins.
- A pattern that is declared again replaces what it said.
"""

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import Final

from vivace.errors import DeclarationError
from vivace.hub.records import RESERVED, Delivery, Rule

__all__ = ["Rules", "make_rule"]

_FAST: Final = Rule("*")
_REMEMBERED: Final = 10_000
"""Topics whose rule is found without trying the patterns."""


class Rules:
    """The declared rules."""

    __slots__ = ("_exact", "_found", "_patterns")

    def __init__(self) -> None:
        self._exact: dict[str, Rule] = {}
        self._patterns: dict[str, Rule] = {}
        self._found: dict[str, Rule] = {}

    def declare(self, rules: Iterable[Rule]) -> list[Rule]:
        """Take rules, and give those that are new or differ."""
        changed = []
        for rule in rules:
            table = self._patterns if _is_pattern(rule.pattern) else self._exact
            if table.get(rule.pattern) != rule:
                table[rule.pattern] = rule
                changed.append(rule)
        if changed:
            self._found.clear()
        return changed

    def keep(self, patterns: Collection[str]) -> bool:
        """Forget every other pattern; give whether there was any."""
        gone = [rule.pattern for rule in self.all() if rule.pattern not in patterns]
        for pattern in gone:
            self._exact.pop(pattern, None)
            self._patterns.pop(pattern, None)
        if gone:
            self._found.clear()
        return bool(gone)

    def of(self, topic: str) -> Rule:
        """The rule of a topic; `fast` if nobody declared one."""
        rule = self._found.get(topic)
        if rule is None:
            rule = self._exact.get(topic) or self._match(topic)
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[topic] = rule
        return rule

    def _match(self, topic: str) -> Rule:
        if topic.startswith(RESERVED):
            return _FAST
        return next((rule for rule in self._patterns.values() if fnmatchcase(topic, rule.pattern)), _FAST)

    def all(self) -> list[Rule]:
        """Every rule, in the order of declaration."""
        return [*self._exact.values(), *self._patterns.values()]


def make_rule(
    pattern: str, delivery: Delivery, history: int | None, ttl: float | None, max_message: int | None
) -> Rule:
    """A rule of what the program says; see `Hub.topic`.

    Raises:
        DeclarationError: It cannot be.
    """
    if delivery not in {"fast", "resume", "latest"}:
        raise DeclarationError(
            f"topic {pattern!r}: delivery={delivery!r} is not one of fast, resume, latest",
            allowed=("fast", "resume", "latest"),
        )
    if delivery == "fast" and (history or ttl):
        raise DeclarationError(
            f"topic {pattern!r}: history and ttl need delivery='resume': a fast topic keeps nothing"
        )
    if delivery == "latest" and history not in {None, 1}:
        raise DeclarationError(f"topic {pattern!r}: a latest topic keeps 1 message, not {history}")
    if (history is not None and history < 0) or (ttl or 0) < 0 or (max_message or 0) < 0:
        raise DeclarationError(f"topic {pattern!r}: history, ttl and max_message cannot be negative")
    if delivery == "fast":
        return Rule(pattern, delivery, max_message=max_message or 0)
    kept = 1 if delivery == "latest" else 100 if history is None else history
    if not kept:
        raise DeclarationError(f"topic {pattern!r}: a resume topic needs a history of at least 1 message")
    return Rule(pattern, delivery, kept, 300.0 if ttl is None else float(ttl), max_message or 0)


def _is_pattern(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")
