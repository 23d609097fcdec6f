"""A process at its hub, for tests: it writes down what it gets."""

from typing import Any

from vivace.hub import Gap
from vivace.hub.records import Rule, Stored


class Client:
    """A process at its hub."""

    def __init__(self) -> None:
        self.pasts: list[Any] = []
        self.got: list[Any] = []
        self.words: list[bytes] = []

    def deliver(self, stored: Stored) -> None:
        self.got.append(stored)

    def gap(self, topic: str, reason: str) -> None:
        self.got.append(Gap(topic, reason))

    def past(self, topic: str, past: Any) -> None:
        self.pasts.append(past)

    def control(self, payload: bytes) -> None:
        self.words.append(payload)

    def declare(self, rules: list[Rule]) -> None: ...

    def state(self, up: bool, why: str) -> None: ...
