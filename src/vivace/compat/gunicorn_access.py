"""Requests in gunicorn's access log: its format, its files, its syslog and statsd.

Rules of this file:

- gunicorn's logger formats and writes; here a request is only shown in the shape that it knows.
- It is asked for a line when the request is over. That costs more than our own access log, which
  ``ACCESS_LOG`` of an app under gunicorn does not switch on.
- Fields of responses are not kept: the atoms ``%({name}o)s`` say ``-``.
- gunicorn is not imported.
"""

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from vivace.server.access import AccessLog

if TYPE_CHECKING:
    from vivace.server.stream import Stream

__all__ = ["GunicornAccessLog"]


class GunicornAccessLog(AccessLog):
    """Hands each request to gunicorn's logger.

    Args:
        log: gunicorn's logger, with a method ``access``.
    """

    def __init__(self, log: Any) -> None:
        super().__init__(json=False)
        self._log = log

    def record(self, client: tuple[str, int] | None, stream: "Stream", now: float) -> None:
        """Log a request whose response is complete or was cut."""
        head = stream.head
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.fields()]
        environ = {
            "REQUEST_METHOD": head.method,
            "RAW_URI": head.target.decode("latin-1"),
            "PATH_INFO": head.path.decode("latin-1"),
            "QUERY_STRING": head.query.decode("latin-1"),
            "SERVER_PROTOCOL": f"HTTP/{head.http_version}",
        }
        took = timedelta(seconds=max(now - stream.started_at, 0.0))
        self._write(client, environ, fields, (stream.status, stream.sent), took)

    def record_refused(self, client: tuple[str, int] | None, status: int, reason: str) -> None:
        """Log a message that was refused before it was a request."""
        environ = {
            "REQUEST_METHOD": "-",
            "RAW_URI": reason.replace(" ", "-"),
            "PATH_INFO": "-",
            "QUERY_STRING": "",
            "SERVER_PROTOCOL": "-",
        }
        self._write(client, environ, (), (status, 0), timedelta())

    def _write(
        self,
        client: tuple[str, int] | None,
        environ: dict[str, str],
        fields: Sequence[tuple[str, str]],
        answer: tuple[int, int],
        took: timedelta,
    ) -> None:
        if client is not None:
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
        for name, value in fields:
            environ.setdefault("HTTP_" + name.upper().replace("-", "_"), value)
        response = SimpleNamespace(status=str(answer[0]), sent=answer[1], headers=[])
        self._log.access(response, SimpleNamespace(headers=fields), environ, took)
