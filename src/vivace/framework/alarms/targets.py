"""How an alarm is told: a function of the app, a command, a webhook, or a service that apprise knows.

Rules of this file:

- Every attempt has an end; whoever fails is tried again a few times, then the log says so.
- Each target that may block has a thread of its own, at most one at a time: one that hangs holds up no other,
  and no stop.
- A webhook is signed: ``vivace-signature: t=SECONDS,v1=HEX``, the HMAC-SHA256 (RFC 2104) of ``SECONDS.BODY``.
  Whoever checks it refuses times that are long past. It is followed nowhere else: a redirect is a refusal.
- Secrets are in targets: messages name a target by its kind and host alone.
"""

import asyncio
import contextlib
import hashlib
import hmac
import http.client
import inspect
import os
import shlex
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

import msgspec

from vivace.config.alarms import Alarm, AlarmRule
from vivace.errors import ConfigError

__all__ = ["Target", "signature", "targets_of"]

TIMEOUT: Final = 10.0
"""Seconds that a webhook may be silent."""
LONG: Final = 30.0
"""Seconds that an attempt may take."""
KEPT: Final = 500
"""Octets of what a command said that the log tells, if it fails."""


class Tell(Protocol):
    """Tells of an alarm; raises OSError if that may go well another time."""

    async def __call__(self, alarm: Alarm, /) -> None: ...


class Target(NamedTuple):
    """Who is told of what.

    Attributes:
        name: For messages.
        on: Patterns of events.
        tell: See `Tell`.
    """

    name: str
    on: tuple[str, ...]
    tell: Tell


def targets_of(rule: AlarmRule) -> list[Target]:
    """The targets of a rule.

    Raises:
        ConfigError: One needs apprise, which is not there or does not know it.
    """
    return [Target(*_named(target, rule.secret, tuple(rule.on))) for target in rule.to]


def _named(target: str, secret: str, on: tuple[str, ...]) -> tuple[str, tuple[str, ...], Tell]:
    kind, _, rest = target.partition(":")
    if kind == "exec":
        argv = shlex.split(rest)
        return f"command {argv[0]}", on, _Command(argv)
    host = urlsplit(target).hostname or ""
    if kind in ("http", "https"):
        return f"webhook {host}", on, _Webhook(target, secret)
    return f"{kind} {host}".strip(), on, _Apprise(target, kind)


def signature(secret: str, body: bytes, seconds: int) -> str:
    """The value of ``vivace-signature``.

    Args:
        secret: That both sides know.
        body: Of the request.
        seconds: Since the epoch.
    """
    made = hmac.new(secret.encode(), b"%d." % seconds + body, hashlib.sha256)
    return f"t={seconds},v1={made.hexdigest()}"


class _Lane:
    """Calls functions in a thread, one at a time; a process ends without waiting for it."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[[Any], object], argument: Any) -> None:
        """Raises OSError while the call before still runs, else what `function` raises."""
        if self._thread is not None and self._thread.is_alive():
            raise OSError("the attempt before has not come to an end")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def run() -> None:
            found: BaseException | None = None
            try:
                function(argument)
            except Exception as error:  # noqa: BLE001 - the caller gets it
                found = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, found)

        self._thread = threading.Thread(target=run, name="vivace-alarm", daemon=True)
        self._thread.start()
        await done


class Function:
    """A function of the app."""

    def __init__(self, function: Callable[[Alarm], Any]) -> None:
        self._function = function
        self._lane = _Lane()

    async def __call__(self, alarm: Alarm, /) -> None:
        async with asyncio.timeout(LONG):
            if inspect.iscoroutinefunction(self._function):
                await self._function(alarm)
            else:
                await self._lane.call(self._function, alarm)


class _Command:
    def __init__(self, argv: list[str]) -> None:
        self._argv = argv

    async def __call__(self, alarm: Alarm, /) -> None:
        told = {
            "ALARM_EVENT": alarm.event,
            "ALARM_SUBJECT": alarm.subject,
            "ALARM_MESSAGE": alarm.message,
            "ALARM_STATE": "resolved" if alarm.resolved else "firing",
        }
        environ = {**os.environ, **{name: value.replace("\0", "") for name, value in told.items()}}
        with _Said() as said:
            code = await self._run(msgspec.json.encode(alarm) + b"\n", environ, said.file)
        if code:
            text = said.end.decode("utf-8", "replace").strip()
            raise OSError(f"it ended with exit code {code}{f'; it said {text!r}' if text else ''}")

    async def _run(self, given: bytes, environ: dict[str, str], output: int) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environ,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(LONG):
                await process.communicate(given)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return process.returncode or 0


class _Said:
    """What a command says: it is read, for it must not wait, and the end of it is kept, for the log.

    It is no pipe of asyncio's: those are waited for as long as a child of the command has them.
    """

    def __init__(self) -> None:
        self._file, self.file = os.pipe()
        os.set_blocking(self._file, False)
        self.end = b""

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._file, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        self._read()
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)
        os.close(self.file)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.end = (self.end + os.read(self._file, 65_536))[-KEPT:]


class _Webhook:
    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret
        self._lane = _Lane()
        self._opener = urllib.request.build_opener(_NoRedirect)

    async def __call__(self, alarm: Alarm, /) -> None:
        async with asyncio.timeout(LONG):
            await self._lane.call(self._post, msgspec.json.encode(alarm))

    def _post(self, body: bytes) -> None:
        fields = {"content-type": "application/json", "user-agent": "vivace-alarms"}
        if self._secret:
            fields["vivace-signature"] = signature(self._secret, body, int(time.time()))
        request = urllib.request.Request(self._url, body, fields)  # noqa: S310 - http and https only
        try:
            self._opener.open(request, timeout=TIMEOUT).close()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 and error.code != 429:
                raise ValueError(f"it answered {error.code}") from None
            raise OSError(f"it answered {error.code}") from None
        except http.client.HTTPException as error:  # its text may hold the URL
            raise OSError(f"that was no HTTP: {type(error).__name__}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is sent is meant for whom it is signed; and a POST that is redirected loses its body."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> None:
        """Nobody has handled it: it is an error."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Apprise:
    def __init__(self, url: str, kind: str) -> None:
        try:
            import apprise
        except ImportError:
            text = f"ALARM: {kind}://... needs apprise: pip install 'vivace[alarms]'"
            raise ConfigError(text, key="ALARM") from None
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            raise ConfigError(f"ALARM: apprise does not know the URL {kind}://...", key="ALARM")

    async def __call__(self, alarm: Alarm, /) -> None:
        state = "resolved: " if alarm.resolved else ""
        about = f" ({alarm.subject})" if alarm.subject else ""
        title = f"{state}{alarm.event}{about} on {alarm.host}"
        kind = "success" if alarm.resolved else "failure"
        async with asyncio.timeout(LONG):
            good = await self._apprise.async_notify(
                body=alarm.message or title, title=title, notify_type=kind
            )
        if not good:
            raise OSError("apprise could not deliver it")
