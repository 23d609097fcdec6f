# cython: language_level=3, annotation_typing=False
"""The access log: one line a request, formatted in batches and written by a thread.

Rules of this file:

- A request costs one tuple. Batches are formatted between requests, not in the thread: that would fight
  the event loop for the interpreter. The thread writes; a slow or broken sink never holds up or fails a
  request: what does not fit into the queue is dropped and counted.
- Text on a terminal, JSON lines elsewhere. Every octet of the client outside printable ASCII is
  escaped, in both; a line has at most `LINE_SIZE` octets; values of secret query keys are masked.
- Field names follow what other servers' dashboards call them: client, method, path, status, bytes, ms; with
  those that every line has (see `vivace.server.logs.schema`), which cost nothing: they are the same for all.
"""

import errno
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from vivace.config.redact import NAMES
from vivace.errors import ConfigError
from vivace.server.logs.schema import here
from vivace.server.logs.whole import most_at_once, pieces_of
from vivace.server.logs.whose import request_id
from vivace.wire.percent import unquote_octets

if TYPE_CHECKING:
    from vivace.server.stream import Stream

__all__ = ["LINE_SIZE", "QUEUE_SIZE", "AccessLog"]

logger = logging.getLogger("vivace.server")

QUEUE_SIZE: Final = 65_536
"""Requests that may wait for the writer, per worker; more are dropped, counted and told."""
QUEUE_OCTETS: Final = 32 * 1024 * 1024
"""Octets of their lines that may wait."""
DROPS_TOLD: Final = 60.0
"""Seconds between two lines of the log about what was dropped."""
LINE_SIZE: Final = 8_192
"""Octets of a line at most; a longer target is cut."""
BATCH_SIZE: Final = 256
"""Requests collected at most before they are formatted and handed to the thread."""

_SECRET: Final = tuple(name.encode() for name in NAMES)

_THOUSANDTHS: Final = tuple(f"{n:03d}" for n in range(1000))

_Record = tuple[float, str, str, bytes, str, int, int, float, str]


class AccessLog:
    """Collects requests and writes a line for each.

    Args:
        json: JSON lines; else text.
        file: The descriptor to write to.
        path: A file to append to, instead.
        into: Takes lines and their number, instead of both: what goes where LOG_TO says.
        ids: Write the id of each request.
        secrets: Names whose values are masked in queries, on top of those that always are.

    Raises:
        ConfigError: The file cannot be opened.

    Attributes:
        dropped: Requests whose line was not written.
    """

    def __init__(
        self,
        *,
        json: bool,
        file: int = 1,
        path: str = "",
        into: Callable[[str, int], object] | None = None,
        ids: bool = False,
        secrets: Iterable[str] = (),
    ) -> None:
        self._into = into
        self._ids = ids
        more = (name.lower().encode("utf-8", "replace") for name in secrets)
        self._format = partial(_json_lines if json else _text_lines, (*_SECRET, *more))
        # In full: the app may go to another folder.
        self._path = os.path.abspath(path) if path else ""
        self._file = _open(self._path) if path else file
        self._batch: list[_Record] = []
        self._queue: queue.SimpleQueue[tuple[bytes, int] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._handed = 0
        self._taken = 0
        self.dropped = 0
        self._told = 0
        self._told_at = time.monotonic()

    def record(self, client: "tuple[str, int] | None", stream: "Stream", now: float) -> None:
        """Note a request whose response is complete or was cut; `now` is that of `time.perf_counter`."""
        head = stream.head
        host = client[0] if client is not None else "unix"
        took = now - stream.started_at
        batch = self._batch
        name = request_id(stream) if self._ids else ""
        batch.append(
            (now, host, head.method, head.target, head.http_version, stream.status, stream.sent, took, name)
        )
        if len(batch) >= BATCH_SIZE:
            self.flush()

    def record_refused(self, client: "tuple[str, int] | None", status: int, reason: str) -> None:
        """Note a message that was refused before it was a request."""
        host = client[0] if client is not None else "unix"
        self._batch.append(
            (time.perf_counter(), host, "-", reason.encode("ascii", "replace"), "-", status, 0, 0.0, "")
        )

    def flush(self) -> None:
        """Format what was collected and hand it to the thread that writes."""
        batch = self._batch
        if not batch:
            return
        self._batch = []
        if self._into is not None:
            self._into(self._format(batch, time.time() - time.perf_counter()), len(batch))
            return
        if self.dropped != self._told:
            self._tell()
        if self._queue.qsize() * BATCH_SIZE >= QUEUE_SIZE or self._handed - self._taken >= QUEUE_OCTETS:
            self.dropped += len(batch)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="vivace-access-log", daemon=True)
            self._thread.start()
        lines = self._format(batch, time.time() - time.perf_counter()).encode("ascii", "backslashreplace")
        self._handed += len(lines)
        self._queue.put((lines, len(batch)))

    def _tell(self) -> None:
        """Once a minute, how many were dropped; from a thread, for the log may hang where this one does."""
        now = time.monotonic()
        if now < self._told_at + DROPS_TOLD:
            return
        lost, self._told, self._told_at = self.dropped - self._told, self.dropped, now
        text = f"{lost} lines of the access log were dropped: {self._path or 'its output'} does not take them"
        extra = {"event": "log.dropped", "subject": "access log"}
        try:
            threading.Thread(
                target=logger.warning, args=(text,), kwargs={"extra": extra}, daemon=True
            ).start()
        except RuntimeError:  # there are too many threads: the log goes on without this line
            return

    def reopen(self) -> None:
        """Open the file anew, if there is one. What came before goes to the old one."""
        self.flush()
        if not self._path:
            return
        if self._thread is None:
            self._open_again()
        else:
            self._queue.put((b"", 0))

    def close(self, seconds: float = 1.0) -> None:
        """Write what is left, waiting for a slow sink `seconds` at most."""
        self.flush()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(seconds)
            self._thread = None

    def _open_again(self) -> None:
        try:
            opened = _open(self._path)
        except ConfigError as error:  # the old one goes on
            logger.warning("%s", error)
            return
        os.close(self._file)
        self._file = opened

    def _write_all(self) -> None:
        while (item := self._queue.get()) is not None:
            if not item[0]:
                self._open_again()
            elif not _write_fully(self._file, item[0]):
                self.dropped += item[1]
            self._taken += len(item[0])


def _open(path: str) -> int:
    """Each line is appended whole, whatever other workers write."""
    try:
        # Without waiting: the open of a FIFO that nobody reads would never come back.
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    except OSError as error:
        why = "nobody reads this FIFO" if error.errno == errno.ENXIO else error.strerror
        text = f"ACCESS_LOG_FILE {path} cannot be opened: {why}"
        raise ConfigError(text, key="ACCESS_LOG_FILE") from error


def _write_fully(file: int, data: bytes) -> bool:
    view = memoryview(data)
    for start, end in pieces_of(data, most_at_once(file)):
        while start < end:
            try:
                start += os.write(file, view[start:end])
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:
                return False
    return True


def _masked(target: bytes, secrets: tuple[bytes, ...] = _SECRET) -> bytes:
    """The target with the values of secret query keys replaced; linear in its length."""
    path, mark, query = target.partition(b"?")
    pieces = []
    for piece in query.split(b"&"):
        key, sign, _ = piece.partition(b"=")
        name = unquote_octets(key).lower()
        secret = sign and any(word in name for word in secrets)
        pieces.append(key + b"=***" if secret else piece)
    return path + mark + b"&".join(pieces)


def _shown(target: bytes, secrets: tuple[bytes, ...]) -> str:
    """The target as it may be logged: secrets masked, cut, ASCII."""
    if b"=" in target:
        target = _masked(target, secrets)
    if len(target) > LINE_SIZE - 512:
        target = target[: LINE_SIZE - 512] + b"..."
    text = target.decode("latin-1")
    if not text.isprintable() or '"' in text or "\\" in text:
        text = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return text


def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))


def _text_lines(secrets: tuple[bytes, ...], batch: list[_Record], wall: float) -> str:
    """The lines of `batch`; `wall` turns the times of the records into seconds since the epoch."""
    lines = []
    shown: dict[bytes, str] = {}
    last, stamp = 0, ""
    for ended, client, method, target, version, status, size, took, name in batch:
        when = ended + wall
        second = int(when)
        if second != last:
            last, stamp = second, _second(second)
        path = shown.get(target)
        if path is None:
            path = shown[target] = _shown(target, secrets)
        micros = int(took * 1e6)
        lines.append(
            f"{stamp}{_THOUSANDTHS[int((when - second) * 1000)]}Z {client} "
            f'"{method} {path} HTTP/{version}" {status} {size} '
            f"{micros // 1000}.{_THOUSANDTHS[micros % 1000]}ms{f' [{name}]' if name else ''}\n"
        )
    return "".join(lines)


def _json_lines(secrets: tuple[bytes, ...], batch: list[_Record], wall: float) -> str:
    """The same as JSON."""
    lines = []
    shown: dict[bytes, str] = {}
    last, stamp = 0, ""
    facts = _facts()
    for ended, client, method, target, version, status, size, took, name in batch:
        when = ended + wall
        second = int(when)
        if second != last:
            last, stamp = second, '{"time":"' + _second(second)
        path = shown.get(target)
        if path is None:
            path = shown[target] = _shown(target, secrets)
        micros = int(took * 1e6)
        lines.append(
            f"{stamp}{_THOUSANDTHS[int((when - second) * 1000)]}{facts}{client}"
            f'","method":"{method}","path":"{path}","http":"{version}",'
            f'"status":{status},"bytes":{size},"ms":{micros // 1000}.{_THOUSANDTHS[micros % 1000]},'
            f'"message":"{method} {path} {status}"{_id_field(name) if name else ""}}}\n'
        )
    return "".join(lines)


def _facts() -> str:
    """What all lines of this process have, between their time and the client."""
    place = "".join(
        f'"{key}":"{value}",' if isinstance(value, str) else f'"{key}":{value},'
        for key, value in here.items()
    )
    return (
        f'Z","level":"info","logger":"vivace.access","event":"request","pid":{os.getpid()},{place}"client":"'
    )


def _id_field(name: str) -> str:
    """The id as it stands in JSON; `name` is printable ASCII."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f',"request_id":"{escaped}"'
