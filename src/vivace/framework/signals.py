"""Signals: named events of the program and of the framework, and the functions that hear them.

Rules of this file:

- A name has three parts, ``area.thing.happened``, or one. The last part may be a parameter, ``<name>`` or
  ``<name:type>``, which becomes an argument, or ``*`` for anything.
- ``server``, ``http`` and ``websocket`` are the framework's own areas: there only those of `Event` exist.
- Of a dispatch the functions run one after another, higher priority first, else in order of declaration; the
  first that returns something true ends it, and that is its result.
- Nothing here runs for a request unless somebody listens: see `vivace.framework.announce`.
"""

import asyncio
import inspect
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, StrEnum
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from vivace.errors import DeclarationError, InvalidSignal, SignalNotFound
from vivace.framework.pattern import NO_MATCH, TypeTable

__all__ = [
    "GENERIC_SIGNAL_FORMAT",
    "RESERVED_NAMESPACES",
    "Event",
    "SignalGroup",
    "SignalRouter",
    "SignalSpec",
    "event_name",
    "make_signal",
]

logger = logging.getLogger("vivace.error")


class Event(StrEnum):
    """The events that the framework itself dispatches."""

    SERVER_EXCEPTION_REPORT = "server.exception.report"
    SERVER_INIT_AFTER = "server.init.after"
    SERVER_INIT_BEFORE = "server.init.before"
    SERVER_SHUTDOWN_AFTER = "server.shutdown.after"
    SERVER_SHUTDOWN_BEFORE = "server.shutdown.before"
    HTTP_LIFECYCLE_BEGIN = "http.lifecycle.begin"
    HTTP_LIFECYCLE_COMPLETE = "http.lifecycle.complete"
    HTTP_LIFECYCLE_EXCEPTION = "http.lifecycle.exception"
    HTTP_LIFECYCLE_HANDLE = "http.lifecycle.handle"
    HTTP_LIFECYCLE_READ_BODY = "http.lifecycle.read_body"
    HTTP_LIFECYCLE_READ_HEAD = "http.lifecycle.read_head"
    HTTP_LIFECYCLE_REQUEST = "http.lifecycle.request"
    HTTP_LIFECYCLE_RESPONSE = "http.lifecycle.response"
    HTTP_ROUTING_AFTER = "http.routing.after"
    HTTP_ROUTING_BEFORE = "http.routing.before"
    HTTP_HANDLER_AFTER = "http.handler.after"
    HTTP_HANDLER_BEFORE = "http.handler.before"
    HTTP_LIFECYCLE_SEND = "http.lifecycle.send"
    HTTP_MIDDLEWARE_AFTER = "http.middleware.after"
    HTTP_MIDDLEWARE_BEFORE = "http.middleware.before"
    WEBSOCKET_HANDLER_AFTER = "websocket.handler.after"
    WEBSOCKET_HANDLER_BEFORE = "websocket.handler.before"
    WEBSOCKET_HANDLER_EXCEPTION = "websocket.handler.exception"


_OWN: Final = frozenset(event.value for event in Event)
RESERVED_NAMESPACES: Final[dict[str, tuple[str, ...]]] = {
    area: tuple(sorted(name for name in _OWN if name.startswith(area + ".")))
    for area in ("server", "http", "websocket")
}
"""Area -> the events that exist in it."""
GENERIC_SIGNAL_FORMAT: Final = "__generic__.__signal__.%s"
"""How Sanic writes a name of one part in three; kept for its name."""

_PART: Final = re.compile(r"[^.<>*]+")
_LAST: Final = re.compile(r"\*|<([A-Za-z_][A-Za-z0-9_]*)(?::([a-z]+))?>")
_TYPES: Final = TypeTable()

Condition = Mapping[str, Any] | None
Heard = tuple["SignalSpec", dict[str, Any]]


class SignalSpec(NamedTuple):
    """A declared signal.

    Attributes:
        handler: Called with the context of a dispatch as keyword arguments.
        event: The name as declared.
        condition: What the condition of a dispatch must equal.
        exclusive: Without it a dispatch that has no condition is heard too.
        priority: Higher runs first.
    """

    handler: Callable[..., Any]
    event: str
    condition: Condition = None
    exclusive: bool = True
    priority: int = 0

    @property
    def name(self) -> str:
        """The name as declared."""
        return self.event

    @property
    def parts(self) -> tuple[str, ...]:
        """The name in its parts, the last one as a parameter."""
        *before, last = self.event.split(".")
        return (*before, last if _LAST.fullmatch(last) else "<__trigger__:str>")

    @property
    def path(self) -> str:
        """The parts in one."""
        return ".".join(self.parts)

    @property
    def requirements(self) -> dict[str, Any]:
        """The condition."""
        return dict(self.condition or {})

    @property
    def ctx(self) -> SimpleNamespace:
        """The rest of what was declared."""
        trigger = "" if self.parts[-1] == "<__trigger__:str>" else self.parts[-1]
        return SimpleNamespace(definition=self.event, trigger=trigger, exclusive=self.exclusive)

    def hears(self, condition: Condition) -> bool:
        """Whether a dispatch under `condition` is meant for it."""
        if condition is None and not self.exclusive:
            return True
        return (condition or None) == (self.condition or None)


class SignalGroup(NamedTuple):
    """The signals that hear one event, in the order in which they do.

    Attributes:
        name: The event.
        routes: The signals.
    """

    name: str
    routes: tuple[SignalSpec, ...]

    @property
    def path(self) -> str:
        """That of the first signal."""
        return self.routes[0].path


class _Waiter(NamedTuple):
    """Somebody who awaits an event once."""

    future: "asyncio.Future[dict[str, Any]]"
    event: str
    condition: Condition
    exclusive: bool


def event_name(event: str | Enum) -> str:
    """The name of an event, also where a member of an enumeration was given."""
    return str(event.value) if isinstance(event, Enum) else event


def make_signal(
    handler: Callable[..., Any] | None,
    event: str | Enum,
    condition: Condition = None,
    exclusive: bool = True,
    priority: int = 0,
) -> SignalSpec:
    """Check a signal.

    Raises:
        InvalidSignal: The name is malformed or reserved.
        ConfigError: The handler is no function.
    """
    name = event_name(event)
    check_event(name)
    if handler is None:
        handler = _ignore
    elif not callable(handler):
        raise DeclarationError(
            f"signal {name!r}: the handler is {handler!r}, expected a function (**context)"
        )
    return SignalSpec(handler, name, condition, exclusive, priority)


def check_event(name: str) -> None:
    """Refuse a name that no signal can have.

    Raises:
        InvalidSignal: It is malformed, or reserved.
    """
    if not isinstance(name, str):
        raise TypeError(f"the event of a signal is {name!r}; expected text or a member of an enumeration")
    parts = name.split(".")
    plain = parts[:-1] if len(parts) == 3 and _LAST.fullmatch(parts[-1]) else parts
    if len(parts) not in (1, 3) or not all(_PART.fullmatch(part) for part in plain):
        raise InvalidSignal(
            f"Invalid signal event: {name}; expected a.b.c, a.b.<parameter>, a.b.* or one word"
        )
    if len(parts) > 1 and parts[0] in RESERVED_NAMESPACES and name not in _OWN:
        own = ", ".join(RESERVED_NAMESPACES[parts[0]])
        raise InvalidSignal(f"Cannot declare reserved signal event: {name}; in {parts[0]} there are {own}")


async def _ignore(**_context: Any) -> None:
    """The handler of a signal that is declared only to be awaited."""


def match_event(declared: str, event: str) -> dict[str, Any] | None:
    """The values of the parameters of `declared` if `event` is one of it, else None."""
    if declared == event:
        return {}
    before, _, last = declared.rpartition(".")
    area, _, word = event.rpartition(".")
    found = _LAST.fullmatch(last)
    if found is None or before != area or not word:
        return None
    if found[1] is None:
        return {}
    kind = _TYPES.get(found[2] or "str")
    value = kind.convert(word) if kind is not None else NO_MATCH
    return None if value is NO_MATCH else {found[1]: value}


class SignalRouter:
    """The signals of one app."""

    __slots__ = ("_found", "_signals", "_waiters", "awaited", "finalized")

    delimiter: Final = "."
    """What is between the parts of a name."""
    allow_fail_builtin: Final = True
    """The framework's own events may be dispatched where nobody hears them."""

    def __init__(self) -> None:
        self.finalized = False
        self._signals: list[SignalSpec] = []
        self._found: dict[str, list[Heard]] = {}
        self._waiters: list[_Waiter] = []
        self.awaited: set[str] = set()
        """Events of the framework that somebody waits for, though nobody declared a signal of them."""

    @property
    def routes(self) -> tuple[SignalSpec, ...]:
        """Every declared signal."""
        return tuple(self._signals)

    @property
    def name_index(self) -> dict[str, SignalSpec]:
        """The declared signals by the name of their event."""
        return {spec.event: spec for spec in self._signals}

    def update(self, signals: Iterable[SignalSpec]) -> None:
        """Take over what is declared by now."""
        self._signals = sorted(signals, key=lambda spec: -spec.priority)
        self._found.clear()

    def get(
        self, event: str | Enum, condition: Condition = None
    ) -> tuple[SignalGroup, list[Callable[..., Any]], dict[str, Any]]:
        """Who hears an event: the signals, their handlers, and the values of the parameters.

        Raises:
            SignalNotFound: Nobody.
        """
        name = event_name(event)
        found = [(spec, values) for spec, values in self.find(name) if spec.hears(condition)]
        if not found:
            raise SignalNotFound(f"Could not find signal {name}")
        specs = tuple(spec for spec, _values in found)
        values = {key: value for _spec, values in found for key, value in values.items()}
        values = values or {"__trigger__": name.rpartition(".")[2]}
        return SignalGroup(name, specs), [spec.handler for spec in specs], values

    def finalize(self, do_compile: bool = True, do_optimize: bool = False) -> None:
        """Note that a program is done; nothing is left to do, and late signals are heard as well."""
        del do_compile, do_optimize
        self.finalized = True

    def find(self, event: str) -> list[Heard]:
        """The signals that hear `event`, each with the values of its parameters."""
        found = self._found.get(event)
        if found is None:
            pairs = ((spec, match_event(spec.event, event)) for spec in self._signals)
            found = [(spec, values) for spec, values in pairs if values is not None]
            if len(self._found) < 1024:
                self._found[event] = found
        return found

    def is_heard(self, event: str) -> bool:
        """Whether a dispatch of `event` would reach anybody."""
        return event in self.awaited or bool(self.find(event))

    async def dispatch(
        self,
        event: str | Enum,
        *,
        context: Mapping[str, Any] | None = None,
        condition: Condition = None,
        fail_not_found: bool = True,
        inline: bool = False,
        reverse: bool = False,
    ) -> Any:
        """Run the functions that hear `event`; see `Vivace.dispatch`."""
        name = event_name(event)
        heard = self.find(name)
        if not heard and fail_not_found and name.partition(".")[0] not in RESERVED_NAMESPACES:
            self.refuse_unheard(name, inline)
        work = self._run(name, heard, dict(context or {}), condition, reverse)
        if inline:
            return await work
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(_log_failure)
        return task

    def refuse_unheard(self, name: str, inline: bool) -> None:
        """Complain of a dispatch that nobody hears.

        Args:
            name: The event.
            inline: The program waits for what its handlers do.

        Raises:
            SignalNotFound: Nobody hears it.
        """
        raise SignalNotFound(f"Could not find signal {name}")

    async def _run(
        self, name: str, heard: list[Heard], context: dict[str, Any], condition: Condition, reverse: bool
    ) -> Any:
        for waiter in list(self._waiters):
            values = match_event(waiter.event, name)
            if values is not None and _meant(waiter, condition):
                self._waiters.remove(waiter)
                if not waiter.future.done():
                    waiter.future.set_result({**values, **context})
        for spec, values in reversed(heard) if reverse else heard:
            if spec.hears(condition):
                result = spec.handler(**{**values, **context})
                if inspect.isawaitable(result):
                    result = await result
                if result:
                    return result
        return None

    async def wait(
        self,
        event: str | Enum,
        timeout: float | None,
        condition: Condition,
        exclusive: bool,
        autoregister: bool,
    ) -> dict[str, Any]:
        """Wait for the next dispatch of `event`; see `Vivace.event`."""
        name = event_name(event)
        check_event(name)
        known = any(spec.event == name for spec in self._signals) or self.find(name)
        if not known and name not in _OWN and not autoregister:
            raise SignalNotFound(f"Could not find signal {name}")
        if not known and name not in _OWN:
            self.update([*self._signals, make_signal(None, name)])
        waiter = _Waiter(asyncio.get_running_loop().create_future(), name, condition, exclusive)
        self._waiters.append(waiter)
        try:
            return await asyncio.wait_for(waiter.future, timeout)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def reset(self) -> None:
        """Forget who waits; what is declared stays."""
        self._waiters.clear()
        self.finalized = False


def _meant(waiter: _Waiter, condition: Condition) -> bool:
    if condition is None and not waiter.exclusive:
        return True
    return condition == waiter.condition


def _log_failure(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("a handler of the signal %s failed", task.get_name(), exc_info=task.exception())
