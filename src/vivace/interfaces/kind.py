"""What kind of app an object is: native, ASGI 3, ASGI 2 or WSGI.

Rules of this file:

- An app is known by how it is called: PEP 3333 calls with environ and start_response, ASGI 3 with scope,
  receive and send, ASGI 2 with scope and then with receive and send. No framework is imported for it.
- The names of the parameters count first, then their number. What cannot be told is not guessed.
- A wrapper is what is called: only if it takes ``*args`` does the wrapped function tell how.
- Whatever is found, `why` says by what; it is shown at the start.
"""

import functools
import inspect
import sys
from types import ModuleType
from typing import Any, Final, NamedTuple

from vivace.errors import StartupError

__all__ = ["KINDS", "classify", "is_native", "only_defaults", "protocol_by_names"]

KINDS: Final = ("native", "asgi", "asgi2", "wsgi")
"""Every kind of app."""

_BY_NAMES: Final = {("scope", "receive", "send"): "asgi", ("environ", "start_response"): "wsgi"}
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_OVERRIDE: Final = "if it is an app all the same, say which kind with --interface asgi, asgi2 or wsgi"


class _Call(NamedTuple):
    """How something is called.

    Attributes:
        names: Its positional parameters.
        required: How many of them have no default.
        open_ended: It takes ``*args``: their number says nothing.
        fixed: It has parameters that only keywords can give.
        adapts: A wrapper that is open-ended itself, around a plain function of one argument: decorators that
            make WSGI apps of functions of a request look like this. Those for ASGI do not, they are async.
    """

    names: tuple[str, ...]
    required: int
    open_ended: bool
    fixed: bool
    adapts: bool = False


def classify(app: Any, target: str = "the app", wanted: str = "auto") -> tuple[str, str]:
    """The kind of an app and what told it.

    Args:
        app: Anything.
        target: How it was named, for the message.
        wanted: ``auto``, or a kind that was declared (INTERFACE, a mount) and is not questioned.

    Returns:
        One of `KINDS`, and a short phrase.

    Raises:
        StartupError: It is no app at all, or its kind cannot be told; exit code 3.
    """
    if wanted != "auto":
        return _take_at_word(app, target, wanted)
    if is_native(app):
        return "native", f"an instance of {type(app).__name__}"
    if not callable(app):
        raise _failure(f"{target} is no app: it is {_what(app)}; expected a Vivace, ASGI or WSGI app")
    call = _read_call(app)
    if call is None:
        raise _failure(f"{target} is {_what(app)} that does not tell its parameters; {_OVERRIDE}")
    kind = _kind_of_class(app, call, target) if inspect.isclass(app) else _kind_of_call(app, call)
    names = ", ".join(call.names) or "any arguments"
    if kind:
        return kind, f"{_what(app)} called with {names}"
    if call.adapts:
        return "wsgi", f"{_what(app)}, a wrapper that takes any arguments, around a plain function of {names}"
    raise _failure(f"{target}: {_doubt(app, call)}")


def is_native(value: object) -> bool:
    """Whether it is a Vivace app; without importing the framework, which such an app has done."""
    framework = sys.modules.get("vivace.framework.app")
    return framework is not None and isinstance(value, framework.Vivace)


def protocol_by_names(value: object) -> str:
    """``asgi`` or ``wsgi`` if the parameters of a call have the names of the specification; else empty."""
    call = _read_call(value) if callable(value) else None
    return _by_names(call) if call is not None else ""


def only_defaults(function: object) -> bool:
    """Whether a function can be called with nothing, and is not open to being called with anything."""
    call = _read_call(function)
    return call is not None and not call.required and not call.open_ended and not call.fixed


def _take_at_word(app: object, target: str, wanted: str) -> tuple[str, str]:
    if wanted == "native" and not is_native(app):
        raise _failure(f"{target} is no Vivace app, as was declared: it is {_what(app)}")
    if not callable(app) and wanted != "native":
        raise _failure(f"{target} is no app: {_what(app)} cannot be called, though declared as {wanted}")
    return wanted, "as it was declared"


def _kind_of_call(app: object, call: _Call) -> str:
    """The kind of a function or of an object with ``__call__``; empty if it is none or cannot be told."""
    named = _by_names(call)
    if named or call.fixed:
        return named
    if call.open_ended:
        return "asgi" if _is_async(app) and call.required <= 3 else ""
    if call.required == 3:
        return "asgi"
    if _is_async(app):
        return ""
    if call.required == 2:
        return "" if call.names[:2] == ("receive", "send") else "wsgi"
    return "asgi2" if call.required == 1 and call.names[0].strip("_") == "scope" else ""


def _kind_of_class(app: Any, call: _Call, target: str) -> str:
    """A class is an app if making an instance is the call: ASGI 2, or what is iterated or awaited then."""
    if call.required == 1 and _is_async(app.__call__) and _read_method(app.__call__) == 2:
        return "asgi2"
    if call.required == 3 and hasattr(app, "__await__"):
        return "asgi"
    if call.required == 2 and hasattr(app, "__iter__"):
        return "wsgi"
    raise _failure(f"{target} is the class {app.__name__}: an app is an instance of it; {_OVERRIDE}")


def _by_names(call: _Call) -> str:
    for names, kind in _BY_NAMES.items():
        if tuple(name.strip("_") for name in call.names[: len(names)]) == names and call.required <= len(
            names
        ):
            return kind
    return ""


def _read_call(function: Any) -> _Call | None:
    """How `function` is called; None if it does not tell, as much that is written in C."""
    own = _read_signature(function, follow=False)
    if own is None or not own.open_ended:
        return own
    inner = _read_signature(function, follow=True)
    if inner is None or inner == own:
        return own
    adapts = not (_is_async(function) or inner.open_ended or _by_names(inner)) and inner.required == 1
    return inner._replace(adapts=adapts and inner.names[0].strip("_") != "scope")


def _read_signature(function: Any, *, follow: bool) -> _Call | None:
    candidates: tuple[Any, ...] = (function, getattr(function, "__call__", None))  # noqa: B004
    for candidate in candidates:
        try:
            parameters = inspect.signature(candidate, follow_wrapped=follow).parameters.values()
        except (TypeError, ValueError):
            continue
        positional = [p for p in parameters if p.kind in _POSITIONAL]
        return _Call(
            tuple(p.name for p in positional),
            sum(p.default is p.empty for p in positional),
            any(p.kind is p.VAR_POSITIONAL for p in parameters),
            any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters),
        )
    return None


def _read_method(function: Any) -> int:
    """How many arguments a method takes beside the instance."""
    call = _read_call(function)
    return call.required - 1 if call is not None else -1


def _is_async(function: Any) -> bool:
    """Whether calling it gives a coroutine; wrappers are followed as `inspect.signature` follows them."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    return inspect.iscoroutinefunction(function) or (
        not inspect.isclass(function) and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
    )


def _doubt(app: object, call: _Call) -> str:
    """Why it is not taken for an app."""
    what = _what(app)
    if call.open_ended:
        return f"{what} that takes any arguments does not tell whether it is ASGI or WSGI: {_OVERRIDE}"
    if call.fixed:
        return f"{what} has parameters that a server does not give (keywords without a default)"
    taken = f"with {', '.join(call.names)}" if call.names else "without arguments"
    how = "an async call" if _is_async(app) else "a call"
    return (
        f"{what} is no app: it is {how} {taken}; an ASGI app is called with scope, receive, send, a WSGI app"
        f" with environ, start_response; {_OVERRIDE}"
    )


def _what(app: object) -> str:
    if isinstance(app, ModuleType):
        return f"the module {app.__name__}"
    if inspect.isclass(app):
        return f"the class {app.__name__}"
    if inspect.isroutine(app):
        return f"the {type(app).__name__} {getattr(app, '__name__', '')}".rstrip()
    return f"an object of type {type(app).__name__}"


def _failure(message: str) -> StartupError:
    return StartupError(message, stage="import", exit_code=3)
