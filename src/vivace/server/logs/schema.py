"""What a line of the log says: the same fields for records, for requests, and for every place.

Rules of this file:

- ``time`` (UTC), ``level``, ``logger``, ``message``, ``pid``, ``role`` and ``worker`` of the process, and
  ``request_id`` where there is a request, ``trace_id`` and ``span_id`` where OpenTelemetry has a span;
  ``event`` and ``subject`` of what alarms know, and ``state`` where that is over; then what the caller gave
  as ``extra``, under ``extra``.
- A line has no line feed within, in JSON; in text, what follows the first line of a record is indented, so
  that nobody's message looks like another record. Secrets are masked here, and controls escaped.
"""

import logging
import time
from typing import Any, Final

import msgspec

from vivace.config.redact import Redaction
from vivace.server.logs.whose import current_request_id, current_span

__all__ = ["JSONFormatter", "TextFormatter", "fields_of", "here", "place_process", "whose"]

_TEXT: Final = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
_KNOWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message", "taskName"}
_OURS: Final = ("event", "subject", "resolved", "request_id")

_CONTROLS: Final = {
    number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160)) if chr(number) not in "\t\n"
} | {0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What a terminal would obey, or a reader would hold to be an end of a line."""
_JSON_CONTROLS: Final = {number: f"\\u{number:04x}" for number in _CONTROLS}

here: dict[str, Any] = {}
"""``role`` and ``worker`` of this process, as far as they are known."""


def place_process(role: str, worker: int | None) -> None:
    """Say what this process is.

    Args:
        role: ``supervisor``, ``template``, ``worker``, or the name of a companion; empty: it is not known.
        worker: Its number, from 1; None if it is none.
    """
    here.clear()
    if role:
        here["role"] = role
    if worker is not None:
        here["worker"] = worker


def whose() -> str:
    """Who this process is, as the subject of an event, such as ``worker 2``; empty if it is not known."""
    return f"{here['role']} {here['worker']}" if "role" in here and "worker" in here else here.get("role", "")


def stamp(created: float) -> str:
    """A time as the log writes it (RFC 3339), in UTC."""
    thousandths = int(created * 1000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(thousandths // 1000))
    return f"{moment}.{thousandths % 1000:03d}Z"


def fields_of(record: logging.LogRecord, redaction: Redaction) -> dict[str, Any]:
    """The fields of a record, masked."""
    fields: dict[str, Any] = {
        "time": stamp(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "pid": record.process,
        **here,
        "message": redaction.text(record.getMessage()),
    }
    if request := getattr(record, "request_id", None) or current_request_id():
        fields["request_id"] = str(request)
    fields.update(current_span())
    for name in ("event", "subject"):
        if name in record.__dict__:
            fields[name] = str(record.__dict__[name])
    if "event" in fields and record.__dict__.get("resolved"):
        fields["state"] = "resolved"
    if record.exc_info:
        fields["exception"] = redaction.text(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        fields["stack"] = redaction.text(record.stack_info)
    extra = {k: v for k, v in record.__dict__.items() if k not in _KNOWN and k not in _OURS}
    if extra:
        fields["extra"] = redaction.value("", extra)
    return fields


class JSONFormatter(logging.Formatter):
    """A record as one line of JSON.

    Args:
        redaction: Masks secrets; None: the usual names.
    """

    def __init__(self, redaction: Redaction | None = None) -> None:
        super().__init__()
        self._redaction = redaction or Redaction()

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end."""
        fields = fields_of(record, self._redaction)
        clean = {k: _encodable(v) if isinstance(v, str) else v for k, v in fields.items()}
        try:
            line = msgspec.json.encode(clean, enc_hook=str).decode()
        except (TypeError, ValueError, UnicodeEncodeError):
            clean["extra"] = _encodable(ascii(clean.get("extra")))
            line = msgspec.json.encode(clean).decode()
        return line if line.isprintable() else line.translate(_JSON_CONTROLS)


class TextFormatter(logging.Formatter):
    """A record for people, with the clock of the access log: lines of both can be put in order.

    Args:
        redaction: Masks secrets; None: the usual names.
    """

    def __init__(self, redaction: Redaction | None = None) -> None:
        super().__init__(_TEXT, "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime
        self._redaction = redaction or Redaction()

    def format(self, record: logging.LogRecord) -> str:
        """The lines without the last end."""
        text = self._redaction.text(super().format(record))
        if not text.isprintable():
            text = text.translate(_CONTROLS).replace("\n", "\n  ")
        request = getattr(record, "request_id", None) or current_request_id()
        if not request:
            return text
        first, feed, rest = text.partition("\n")
        return f"{first} [{request}]{feed}{rest}"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
