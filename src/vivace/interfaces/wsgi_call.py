# cython: language_level=3, annotation_typing=False
"""One call of a WSGI app: start_response, write, and what the app returned (PEP 3333).

Rules of this file:

- The app runs in one thread from `begin` to `close`, in a context of its own. The stream is touched on the
  loop's thread only; all that another thread reads of it are its head and `disconnected`.
- A body that is known whole when its first piece is there leaves in one write; other pieces leave one by one,
  none waits for the next.
- The app may change its mind until the first octet is handed over; then a failure drops the connection.
- What the app did wrong is in the log, with its traceback; the client reads a 500 that says nothing.
- `close()` of what the app returned is called exactly once, whatever happens.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from typing import Any, Final

from vivace.errors import ClientDisconnected, HTTPException, LocalProtocolError
from vivace.interfaces.file_wrapper import FileWrapper, find_stretch
from vivace.interfaces.hosted import TEXT_FIELDS
from vivace.interfaces.pool import ThreadPool
from vivace.interfaces.wsgi_head import read_fields, read_status
from vivace.interfaces.wsgi_reply import send_stretch
from vivace.interfaces.wsgi_sender import Sender
from vivace.protocols.stream import Stream

__all__ = ["HostedApp", "WsgiCall"]

logger = logging.getLogger("vivace.error")

SILENT: Final = (204, 205, 304)
"""Statuses whose responses have no content."""


class HostedApp:
    """What the calls of one app share.

    Attributes:
        app: The WSGI callable.
        buffer_size: Octets of a response that wait for its client before the app's thread does.
        context: What each call gets a copy of.
        pool: The threads it is called in; None: the loop's.
    """

    __slots__ = ("app", "buffer_size", "context", "pool")

    def __init__(self, app: Any, context: Context, buffer_size: int) -> None:
        self.app = app
        self.buffer_size = buffer_size
        self.context = context
        self.pool: ThreadPool | None = None


class WsgiCall:
    """One request of a WSGI app.

    Args:
        hosted: The app.
        stream: The request.
        environ: What the app is called with.

    Attributes:
        body: The whole body of the response; None: it is not known, or not yet.
        done: Resolved when the response is complete, if somebody waits for that.
        environ: What the app is called with.
        failure: The status and the text to answer with in place of the app; None: it did not fail.
        fields: The header fields of the response.
        first: The first piece of a body that is streamed.
        input: The body of the request while it is still received (`LiveInput`).
        length: The Content-Length that the app gave; -1: none.
        open: What the app returned waits for `finish` or `close`.
        sent: Something of the body was handed over: the status can no longer be changed.
        status: The status; 0 before start_response.
        stream: The request.
        stretch: The file that is the body: descriptor, offset, octets.
        upload: The file that holds the body of the request, closed at the end.
        written: On the loop's thread: the pieces given to ``write``, which leave when the app returns.
    """

    __slots__ = (
        "_closed",
        "_context",
        "_hosted",
        "_iterator",
        "_pool",
        "_result",
        "_sender",
        "body",
        "done",
        "environ",
        "failure",
        "fields",
        "first",
        "input",
        "length",
        "open",
        "sent",
        "status",
        "stream",
        "stretch",
        "upload",
        "written",
    )

    def __init__(self, hosted: HostedApp, stream: Stream, environ: dict[str, Any]) -> None:
        self._hosted = hosted
        self._context = hosted.context.copy()
        self._closed = False
        self._iterator: Iterator[Any] | None = None
        self._pool = hosted.pool
        self._result: Any = None
        self._sender: Sender | None = None
        self.body: bytes | None = None
        self.done: asyncio.Future[None] | None = None
        self.environ = environ
        self.failure: tuple[int, bytes] | None = None
        self.fields: list[tuple[bytes, bytes]] = []
        self.first = b""
        self.input: Any = None
        self.length = -1
        self.open = False
        self.sent = False
        self.status = 0
        self.stream = stream
        self.stretch: tuple[int, int, int] | None = None
        self.upload: Any = None
        self.written: list[bytes] | None = None

    # -- what the app is given ----------------------------------------------------------------------------

    def start_response(
        self,
        status: str,
        response_headers: Iterable[tuple[str, str]],
        exc_info: Any = None,
    ) -> Callable[[bytes], None]:
        """Take the status and the header fields.

        Raises:
            LocalProtocolError: They are not what they must be, or it is a second call without `exc_info`.
            BaseException: That of `exc_info`, once something was sent.
        """
        if exc_info is not None:
            self._check_restart(exc_info)
        elif self.status:
            raise LocalProtocolError("start_response was called a second time without exc_info")
        code = read_status(status)
        self.fields, self.length = read_fields(response_headers)
        self.status = code
        return self.write

    def _check_restart(self, exc_info: Any) -> None:
        try:
            if self.sent or self._closed:
                raise exc_info[1].with_traceback(exc_info[2])
        finally:
            exc_info = None  # its traceback holds this frame

    def write(self, data: bytes) -> None:
        """Take a piece of the body; for apps that cannot return an iterable.

        Raises:
            LocalProtocolError: It is no `bytes`, or the body is complete.
            ClientDisconnected: The client is gone.
        """
        if self._closed:
            raise LocalProtocolError("write was called after the end of the request")
        if self.body is not None:
            raise LocalProtocolError("write was called behind a complete body")
        if not isinstance(data, bytes):
            raise LocalProtocolError(f"write takes bytes, not {type(data).__name__}")
        if data:
            self.sent = True
            self._put(data)

    def _put(self, data: bytes) -> None:
        if self._pool is not None:
            self._open_sender(self._pool).put(data)
        elif self.written is None:
            self.written = [data]
        else:
            self.written.append(data)

    def _open_sender(self, pool: ThreadPool) -> Sender:
        sender = self._sender
        if sender is None:
            sender = self._sender = Sender(self, pool, self._hosted.buffer_size)
        return sender

    def take_upload(self, file: Any) -> None:
        """Let the app read the body of its request from `file`, which is closed at the end."""
        self.upload = self.environ["wsgi.input"] = file
        self.open = True

    # -- the app ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Call the app; then `body`, `failure` or `stretch` is set, or the body follows piece by piece."""
        try:
            result = self._context.run(self._hosted.app, self.environ, self.start_response)
            if type(result) is list and len(result) == 1 and self.status and not self.sent:
                body = result[0]
                if type(body) is bytes and (self.length < 0 or self.length == len(body)):
                    self.body = body
                    return
            self._result = result
            self.open = True
            self._context.run(self._look, result)
        except BaseException as error:  # noqa: BLE001  # it is logged, and answered
            self.fail(error)

    def _look(self, result: Any) -> None:
        """See what kind of body it is; of an iterable that is not known whole, take the first piece."""
        if isinstance(result, (str, bytes)) or not (
            hasattr(result, "__iter__") or hasattr(result, "__getitem__")
        ):
            raise LocalProtocolError(f"the app returned {_describe(result)}, not an iterable of bytes")
        if type(result) is FileWrapper and self._take_file(result):
            return
        self._iterator = iter(result)
        whole = type(result) is list or type(result) is tuple
        piece = self._join() if whole else self.next_piece() or b""
        if self.sent:
            self.first = piece
        elif self.is_silent():
            self.body = b""
        elif len(piece) == self.length or (self.length < 0 and (whole or not piece)):
            self.body = piece
        else:
            self.first = piece

    def _join(self) -> bytes:
        """What a list or a tuple holds: nothing of it is still to be made."""
        pieces = []
        while piece := self.next_piece():
            pieces.append(piece)
        return b"".join(pieces)

    def _take_file(self, wrapper: FileWrapper) -> bool:
        """Let the kernel send an open file, if it can and the app has said nothing else."""
        if not self.status or self.sent:
            return False
        stretch = find_stretch(wrapper)
        if stretch is None:
            return False
        descriptor, offset, count = stretch
        if self.length < 0:
            self.length = count
            self.fields.append((b"content-length", b"%d" % count))
        self.stretch = (descriptor, offset, min(count, self.length))
        if self.is_silent():
            self.body = b""
        return True

    def is_silent(self) -> bool:
        """Whether no content follows the head."""
        return self.stream.head.method == "HEAD" or self.status in SILENT

    def next_piece(self) -> bytes | None:
        """The next piece that is not empty; None at the end. Called in the app's context.

        Raises:
            LocalProtocolError: It is no `bytes`, or start_response was not called before it.
        """
        assert self._iterator is not None
        for piece in self._iterator:
            if not isinstance(piece, bytes):
                raise LocalProtocolError(f"the app gave {_describe(piece)} as a piece of its body, not bytes")
            if piece:
                if not self.status:
                    raise LocalProtocolError(
                        "the app gave a piece of its body before it called start_response"
                    )
                return piece
        if not self.status:
            raise LocalProtocolError("the app never called start_response")
        return None

    def step(self) -> bytes | None:
        """`next_piece` in the app's context.

        Raises:
            ClientDisconnected: The app failed, so that there is nothing to go on with.
        """
        try:
            return self._context.run(self.next_piece)
        except BaseException as error:  # noqa: BLE001  # it is logged, and the connection dropped
            self.fail(error)
            raise ClientDisconnected("the app failed") from None

    # -- in a thread ----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Answer the request; called in a thread of the pool."""
        pool = self._pool
        assert pool is not None
        if self.stream.disconnected:
            self.failure = (500, b"")
        else:
            self.begin()
        if self.sent or (self.body is None and self.failure is None and self.stretch is None):
            self._context.run(self._run_on, self._open_sender(pool))
            return
        pool.post(self)
        if self.open and (self.stretch is None or self.body is not None):
            self.finish()

    def _run_on(self, sender: Sender) -> None:
        """Hand over the pieces one by one."""
        try:
            if self.failure is None:
                piece: bytes | None = self.first or self.next_piece()
                self.first = b""
                while piece is not None:
                    self.sent = True
                    sender.put(piece)
                    piece = self.next_piece()
        except BaseException as error:  # noqa: BLE001  # it is logged, and the connection dropped
            self.fail(error)
        sender.end(failed=self.failure is not None)
        self._close()

    def settle(self) -> None:
        """Send what the thread came to; called on the loop's thread."""
        pool = self._pool
        if self.body is None and self.failure is None and pool is not None:
            pool.spawn(self._send_file(pool))
            return
        try:
            self.answer()
        finally:
            self.release()

    async def _send_file(self, pool: ThreadPool) -> None:
        try:
            await send_stretch(self)
        finally:
            pool.submit(_Closing(self))
            self.release()

    def release(self) -> None:
        """The response is complete: tell who waits for that."""
        if self.done is not None and not self.done.done():
            self.done.set_result(None)

    # -- the end --------------------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """The app failed: log it and say what to answer."""
        broken = self.input.error if self.input is not None else None
        if isinstance(broken, HTTPException) and not self.sent:
            self.failure = (broken.status_code, f"{broken}\n".encode())
            return
        self.failure = (500, b"Internal Server Error\n")
        if isinstance(error, ClientDisconnected):
            logger.debug("the client of %s left", self.describe())
            return
        logger.error("the WSGI app failed on %s", self.describe(), exc_info=error)

    def answer(self) -> None:
        """Send a response that is known whole, or the refusal that stands for one; on the loop's thread."""
        stream = self.stream
        if stream.disconnected or stream.response_started:
            self.note_late()
            return
        if self.failure is None:
            try:
                stream.respond(self.status, self.fields, self.body or b"")
                return
            except LocalProtocolError as error:
                self.fail(error)
        self._refuse()

    def _refuse(self) -> None:
        assert self.failure is not None
        status, text = self.failure
        self.stream.respond(status, TEXT_FIELDS, text)

    def note_late(self) -> None:
        """The server has answered by itself, or the client left: what the app answers is dropped."""
        if self.stream.timed_out:
            logger.warning("%s was answered after RESPONSE_TIMEOUT: dropped", self.describe())
        else:
            logger.debug("nobody waits for the answer to %s", self.describe())

    def complain(self, error: BaseException) -> None:
        """Say what was wrong with a response that had begun."""
        logger.error("the response of the WSGI app to %s: %s", self.describe(), error)

    def finish(self) -> None:
        """The whole body is handed over: let an iterable run to its end, and close it."""
        self.sent = True
        self._context.run(self._finish)

    def _finish(self) -> None:
        try:
            whole = self.failure is None and self._iterator is not None and not self.is_silent()
            if whole and self.next_piece() is not None:
                self.complain(LocalProtocolError("the content is longer than its Content-Length"))
        except BaseException:  # the response is out: nobody else could be told
            logger.exception("the WSGI app failed behind its response to %s", self.describe())
        self._close()

    def close(self) -> None:
        """Close what the app returned, and the body of the request."""
        self._context.run(self._close)

    def _close(self) -> None:
        result = self._result
        self._closed = True
        self.open = False
        self._result = self._iterator = None
        if self.upload is not None:
            self.upload.close()
        try:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        except BaseException:  # the response is out: nobody else could be told
            logger.exception("close() failed behind the response to %s", self.describe())

    def describe(self) -> str:
        """The request, for the log."""
        text: str = self.stream.head.describe()
        return text


class _Closing:
    """The end of a call whose file the loop has sent."""

    __slots__ = ("_call",)

    def __init__(self, call: WsgiCall) -> None:
        self._call = call

    def run(self) -> None:
        """Close it."""
        self._call.close()

    def describe(self) -> str:
        """The request."""
        return self._call.describe()


def _describe(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
