"""`/-/live`, `/-/ready`, `/metrics` and `/stats` on an address of their own: no worker is asked.

Rules of this file:

- Just enough of HTTP/1.1 for the probes of platforms and for curl: GET and HEAD, one request a connection.
- 200 is yes, 503 is no. Readiness is over as soon as a stop is asked for, before anything else happens.
- A worker counts as ready if the ready checks of its app pass, as far as it has told: nobody is asked.
- With ADMIN_CERT all of it is encrypted; without, nothing of TLS is in memory.
- Probes learn a number of workers and no more. Figures are for this machine, for others with ADMIN_TOKEN.
- Follows RFC 9110, RFC 9112, RFC 6750 2.1.
"""

import logging
import selectors
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from vivace.http.status import phrase
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import State
from vivace.supervisor.ipc.scoreboard import Scoreboard
from vivace.supervisor.listening.answering import CLIENTS, LONGEST_HEAD, PATIENCE, Client, Listening

__all__ = ["CLIENTS", "LONGEST_HEAD", "PATIENCE", "Health", "Page"]

logger = logging.getLogger("vivace")

Page = Callable[[str], tuple[str, bytes]]
"""Gives the content type and the body for a query, such as ``format=uwsgi``."""
_JSON: Final = "application/json"


class Health(Listening):
    """Answers probes, and who wants figures.

    Args:
        place: ADMIN_BIND; empty: nobody is answered.
        mode: UNIX_MODE, where it is the path of a socket.
        selector: Waits for clients, with everything else.
        fleet: Says how the workers are.
        board: Says whether their ready checks pass.
        pages: Figures, by path.
        token: ADMIN_TOKEN, without which no figures are told; empty: they are told on this machine only.
        cert: ADMIN_CERT; empty: nothing is encrypted.
        key: ADMIN_KEY.
    """

    def __init__(
        self,
        place: str,
        mode: int,
        selector: selectors.BaseSelector,
        fleet: Fleet,
        board: Scoreboard,
        pages: Mapping[str, Page] | None = None,
        token: str = "",
        cert: str = "",
        key: str = "",
    ) -> None:
        super().__init__(place, mode, selector, "ADMIN_BIND")
        self._fleet = fleet
        self._board = board
        self._answers: dict[str, Callable[[], bool]] = {"/-/live": self._is_live, "/-/ready": self._is_ready}
        self._pages = dict(pages or {})
        self._token = token.encode()
        self._cert, self._key = cert, key
        self._security: Any = None
        self.scheme = "https" if cert else "http"

    def open(self, *, patient: bool) -> None:
        """Listen; see `Listening.open`.

        Raises:
            StartupError: The address or the certificate cannot be used; exit code 4.
        """
        if self._cert and self._place and self._security is None:
            from vivace.supervisor.listening.secured import Security

            self._security = Security(self._cert, self._key)
        super().open(patient=patient)

    def secure(self, connection: socket.socket) -> Any:
        """Encrypt it, if there is a certificate; on a Unix socket nobody listens in."""
        if self._security is None or connection.family == socket.AF_UNIX:
            return connection
        return self._security.around(connection)

    def opened(self) -> None:
        """Say where."""
        logger.info("health is told at %s/-/live and %s/-/ready", self.address, self.address)

    # What is told

    def _is_live(self) -> bool:
        return any(worker.ready is not None for worker in self._fleet.workers.values())

    def _is_ready(self) -> bool:
        return self._unfit < self._fleet.ready_count and not self._fleet.leaving

    @property
    def _unfit(self) -> int:
        """Workers that serve and of whose app a check fails."""
        ready = [worker for worker in self._fleet.workers.values() if worker.state is State.READY]
        readings = [self._board.read(worker.slot, worker.pid) for worker in ready]
        return sum(reading is not None and reading.unfit for reading in readings)

    def answer(self, client: Client) -> bytes | None:
        """The response to a request, once that is complete."""
        head, end, _ = client.got.partition(b"\r\n\r\n")
        if not end:
            return None
        line, _, fields = head.partition(b"\r\n")
        method, _, rest = line.decode("latin-1").partition(" ")
        path, _, query = _path_of(rest.partition(" ")[0]).partition("?")
        status, kind, body = self._respond(client, method, path, query, fields)
        lines = [
            f"HTTP/1.1 {status} {phrase(status)}",
            f"content-type: {kind}",
            f"content-length: {len(body)}",
            "cache-control: no-store",
            "connection: close",
            *(["allow: GET, HEAD"] if status == 405 else []),
            *(["www-authenticate: Bearer"] if status == 401 else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + (b"" if method == "HEAD" else body)

    def _respond(
        self, client: Client, method: str, path: str, query: str, fields: bytes
    ) -> tuple[int, str, bytes]:
        status, facts = 200, dict[str, object]()
        if path not in self._answers and path not in self._pages:
            status, facts = 404, {"paths": sorted([*self._answers, *self._pages])}
        elif method not in ("GET", "HEAD"):
            status = 405
        elif path in self._answers:
            well = self._answers[path]()
            status = 200 if well else 503
            facts = {path[3:]: well, "workers": self._fleet.ready_count, "wanted": self._fleet.size}
            if unfit := self._unfit:
                facts["unready"] = unfit
        elif why := self._refusal(client, fields):
            status, facts = (401 if self._token else 403), {"error": why}
        else:
            return (200, *self._pages[path](query))
        return status, _JSON, msgspec.json.encode(facts)

    def _refusal(self, client: Client, fields: bytes) -> str:
        """Why this client learns no figures; empty: it does."""
        if self._token:
            given = _field(fields, b"authorization")
            scheme, _, token = given.partition(b" ")
            from hmac import compare_digest  # it brings OpenSSL into memory, and few set a token

            right = compare_digest(token.strip(), self._token)
            return "" if scheme.lower() == b"bearer" and right else "send authorization: Bearer ADMIN_TOKEN"
        if _is_of_this_machine(client.sock):
            return ""
        return "figures are told on this machine only; set ADMIN_TOKEN and send it to have them elsewhere"


def _path_of(target: str) -> str:
    """The path and the query of a target, which may be in absolute form (RFC 9112 section 3.2.2)."""
    return "/" + target[7:].partition("/")[2] if target[:7].lower() == "http://" else target


def _field(fields: bytes, name: bytes) -> bytes:
    for line in fields.split(b"\r\n"):
        found, _, value = line.partition(b":")
        if found.lower() == name:
            return value.strip()
    return b""


def _is_of_this_machine(sock: socket.socket) -> bool:
    """Whether the address that a client came to is none of a network."""
    if sock.family == socket.AF_UNIX:
        return True
    try:
        host = str(sock.getsockname()[0])
        peer = str(sock.getpeername()[0])
    except OSError:
        return False
    return all(one.removeprefix("::ffff:").startswith("127.") or one == "::1" for one in (host, peer))
