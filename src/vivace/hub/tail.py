"""Puts the past of a topic and what comes live together: each message once, in order.

Rules of this file:

- While a past is awaited, what comes live is held back.
- Offsets decide, where there are any: what is not behind the last one has been seen.
"""

from vivace.hub.records import Message, Past, Position, Stored

__all__ = ["Tail", "message_of"]


class Tail:
    """The end of what one reader of a topic has seen.

    Attributes:
        last: The position of the newest message that it has seen; None: not known.
    """

    __slots__ = ("_held", "last")

    def __init__(self, last: Position | None = None) -> None:
        self.last = last
        self._held: list[Message] | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for a past."""
        return self._held is not None

    def wait(self) -> None:
        """Hold back what comes live until the past is there."""
        if self._held is None:
            self._held = []

    def passes(self, message: Message) -> bool:
        """Whether a live message is to be handed on now."""
        if self._held is not None:
            self._held.append(message)
            return False
        return self._advance(message)

    def _advance(self, message: Message) -> bool:
        position, last = message.pos, self.last
        if position is None:
            return True
        if last is not None and position.epoch == last.epoch and position.offset <= last.offset:
            return False
        self.last = position
        return True

    def join(self, past: Past) -> list[Message]:
        """The past is there: give what is to be handed on now, oldest first."""
        held, self._held = self._held or [], None
        both = [*map(message_of, past.messages), *held]
        if len({message.pos.epoch for message in both if message.pos is not None}) == 1:
            both.sort(key=lambda message: message.pos.offset if message.pos is not None else 0)
        messages = [message for message in both if self._advance(message)]
        position, last = past.position, self.last
        if position is not None and (
            last is None or position.epoch != last.epoch or position.offset > last.offset
        ):
            self.last = position
        return messages

    def give_up(self) -> list[Message]:
        """No past will come: give what was held back."""
        held, self._held = self._held or [], None
        return [message for message in held if self._advance(message)]


def message_of(stored: Stored) -> Message:
    """What a subscriber gets of a stored message."""
    return Message(stored.topic, stored.payload, stored.pos, stored.exclude)
