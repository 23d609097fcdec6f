"""OpenTelemetry's protocol for logs over HTTP, with JSON: for a collector.

Rules of this file:

- Follows OTLP 1.x, section OTLP/HTTP, and the data model of its logs; nothing but the standard library.
- 429, 502, 503 and 504 are tried again; any other refusal loses the batch, which is counted.
"""

import http.client
import logging
import ssl
from typing import Any, Final

import msgspec

from vivace.config.places import LogPlace
from vivace.errors import ConfigError
from vivace.server.logs.shipper import Entry

__all__ = ["Otlp"]

TIMEOUT: Final = 10.0
"""Seconds that the collector may take."""
LONGEST: Final = 65_536
"""Octets of an answer that are read."""
_AGAIN: Final = (429, 502, 503, 504)
_LEVELS: Final = ((logging.CRITICAL, 21), (logging.ERROR, 17), (logging.WARNING, 13), (logging.INFO, 9))
_APART: Final = ("time", "level", "message", "trace_id", "span_id")
_SPAN: Final = (("trace_id", "traceId"), ("span_id", "spanId"))


class Otlp:
    """A collector.

    Args:
        place: Where it is.
        app: The ``service.name``.

    Attributes:
        name: For messages.

    Raises:
        ConfigError: A certificate cannot be read.
    """

    def __init__(self, place: LogPlace, app: str) -> None:
        self.name = place.text
        self._place = place
        self._app = place.options.get("app") or app
        self._context: ssl.SSLContext | None = None
        if place.scheme == "otlps":
            try:
                self._context = ssl.create_default_context(cafile=place.options.get("ca") or None)
            except OSError as error:
                raise ConfigError(f"LOG_TO {place.text}: {error.strerror or error}", key="LOG_TO") from error
        self._path = place.path if place.path.strip("/") else "/v1/logs"
        self._connection: http.client.HTTPConnection | None = None

    def send(self, entries: list[Entry]) -> None:
        """One request."""
        if self._connection is None:
            self._connection = self._connect()
        body = msgspec.json.encode(self._document(entries))
        try:
            self._connection.request("POST", self._path, body, {"content-type": "application/json"})
            response = self._connection.getresponse()
            response.read(LONGEST)
            if not response.isclosed():
                self.close()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise OSError(str(error) or type(error).__name__) from error
        if response.status in _AGAIN:
            raise OSError(f"the collector answered {response.status}")
        if response.status >= 300:  # a redirect too: whoever wants the log elsewhere says so in LOG_TO
            raise ValueError(f"the collector answered {response.status} {response.reason}")

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._place.host, self._place.port
        if self._context is not None:
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT)

    def _document(self, entries: list[Entry]) -> dict[str, Any]:
        records = [_record(entry, line) for entry in entries for line in entry.lines()]
        resource = {"attributes": [_attribute("service.name", self._app)]}
        scope = {"scope": {"name": "vivace"}, "logRecords": records}
        return {"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]}

    def reopen(self) -> None:
        """The name may stand for another address now."""
        self.close()

    def close(self, *, forked: bool = False) -> None:
        """Let go of the connection."""
        made, self._connection = self._connection, None
        if made is not None:
            made.close()


def _record(entry: Entry, line: str) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(line)
    except msgspec.DecodeError:
        fields = {"message": line}
    number = next((number for level, number in _LEVELS if entry.level >= level), 5)
    nanoseconds = int(entry.created * 1e9)
    return {
        "timeUnixNano": str(nanoseconds),
        "severityNumber": number,
        "severityText": str(fields.get("level", "")).upper(),
        "body": {"stringValue": str(fields.get("message", ""))},
        **{ours: str(fields[name]) for name, ours in _SPAN if name in fields},
        "attributes": [_attribute(key, value) for key, value in fields.items() if key not in _APART],
    }


def _attribute(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    if isinstance(value, float):
        return {"key": key, "value": {"doubleValue": value}}
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return {"key": key, "value": {"stringValue": text}}
