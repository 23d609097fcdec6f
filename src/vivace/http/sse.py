"""The format of server-sent events, written and read.

Rules of this file:

- What is written is read back as it was: a line break of any kind within data starts a new ``data`` line, and
  what would end a field early is refused.
- What is read follows the standard to the letter: a byte order mark, three kinds of line ends, fields that
  nobody knows, an event without data.
- Follows the HTML standard, section 9.2 (Server-sent events).
"""

import re
from dataclasses import dataclass
from typing import Final

from vivace.errors import LocalProtocolError

__all__ = ["CONTENT_TYPE", "EventParser", "ServerEvent", "format_comment", "format_event"]

CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_LINE_END_OCTETS: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An event of a stream.

    Attributes:
        data: The content.
        event: Its type; ``message`` is what it is without one.
        id: What a client sends back as Last-Event-ID when it returns; empty: none so far.
        retry: Milliseconds that the client is to wait before it connects anew; None: as before.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None


def format_event(
    data: str | None,
    event: str | None = None,
    id: str | None = None,  # noqa: A002  # the name in the standard
    retry: int | None = None,
) -> bytes:
    """The octets of an event.

    Args:
        data: The content; None: there is none, and a client dispatches no event.
        event: Its type.
        id: What a client sends back as Last-Event-ID.
        retry: Milliseconds that the client is to wait before it connects anew.

    Raises:
        LocalProtocolError: `event` or `id` has a line break, `id` a NUL, or `retry` is negative.
    """
    lines: list[str] = []
    if id is not None:
        lines.append(f"id: {_checked(id, 'id')}")
    if event is not None and event != "message":
        lines.append(f"event: {_checked(event, 'event')}")
    if retry is not None:
        if retry < 0:
            raise LocalProtocolError(f"retry is a number of milliseconds from 0 on, not {retry}")
        lines.append(f"retry: {retry}")
    if data is not None:
        lines.extend(f"data: {line}" for line in _LINE_END.split(data))
    return ("\n".join(lines) + "\n\n").encode()


def _checked(value: str, name: str) -> str:
    if "\n" in value or "\r" in value or "\0" in value:
        raise LocalProtocolError(f"the {name} of an event takes no line break and no NUL: {value!r:.80}")
    return value


def format_comment(text: str = "") -> bytes:
    """A comment: no client sees it, and the connection is known to be alive."""
    return ("\n".join(f": {line}".rstrip() for line in _LINE_END.split(text)) + "\n\n").encode()


class EventParser:
    """Reads a stream, as a browser does.

    Attributes:
        last_id: What a client would send as Last-Event-ID now.
        retry: Milliseconds to wait before connecting anew; None: never said.
    """

    def __init__(self) -> None:
        self.last_id = ""
        self.retry: int | None = None
        self._rest = b""
        self._begun = False
        self._data: list[str] = []
        self._event = ""
        self._id = ""

    def feed(self, data: bytes) -> list[ServerEvent]:
        """The events that are complete with these octets."""
        self._rest += data
        if not self._begun:
            if len(self._rest) < len(_BOM) and _BOM.startswith(self._rest):
                return []
            self._begun = True
            self._rest = self._rest.removeprefix(_BOM)
        found: list[ServerEvent] = []
        at = 0
        for end in _LINE_END_OCTETS.finditer(self._rest):
            if end.group() == b"\r" and end.end() == len(self._rest):
                break  # a line feed may follow
            self._take(self._rest[at : end.start()].decode("utf-8", "replace"), found)
            at = end.end()
        self._rest = self._rest[at:]
        return found

    def _take(self, line: str, found: list[ServerEvent]) -> None:
        if not line:
            self._dispatch(found)
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)

    def _dispatch(self, found: list[ServerEvent]) -> None:
        self.last_id = self._id
        if self._data:
            data = "\n".join(self._data)
            found.append(ServerEvent(data, self._event or "message", self.last_id, self.retry))
        self._data.clear()
        self._event = ""
