"""What a function is, found out once at registration: how to call it and whether it can be called so.

Rules of this file:

- Nothing here runs per request; whatever is decided ends up as a plain attribute.
- A function that cannot be called as it will be is a `ConfigError` that names it and its file and line.
- A wrapper that says what it wraps (functools.wraps) counts as what it wraps: it returns a coroutine.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final

from vivace.errors import DeclarationError
from vivace.framework.route import ASYNC, BLOCKING, INLINE

__all__ = [
    "call_kind",
    "check_handler",
    "check_positional",
    "function_name",
    "is_async",
    "positional_count",
    "required_count",
    "second_handler",
    "source_of",
]


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling `function` gives a coroutine, as far as can be seen from outside."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.iscoroutinefunction(function):
        return True
    call = getattr(type(function), "__call__", None)  # noqa: B004  # the method itself is wanted
    return not inspect.isroutine(function) and inspect.iscoroutinefunction(call)


def call_kind(handler: Callable[..., Any], inline: bool) -> int:
    """How the dispatcher calls `handler`: awaited, on the loop, or in the pool of threads.

    Args:
        handler: The handler of a route.
        inline: The registration promises that a plain function does not block.
    """
    if is_async(handler):
        return ASYNC
    wrapped = inspect.unwrap(handler)
    return INLINE if inline or (wrapped is not handler and is_async(wrapped)) else BLOCKING


SECOND: Final = {"WebSocket": "ws", "event stream": "stream"}
"""What handlers get beside the request, and how examples call it."""


def check_handler(
    handler: Callable[..., Any], names: tuple[str, ...], path: str, *, second: str = ""
) -> None:
    """Refuse a handler that cannot be called with the request, what comes second, and the path parameters.

    Raises:
        ConfigError: It is not callable, takes no request, not every path parameter, or needs something else.
    """
    if not callable(handler):
        raise DeclarationError(f"handler for {path!r} is {handler!r}, expected a function", key=path)
    where = f"handler {function_name(handler)} ({source_of(handler)}) for {path!r}"
    signature = _signature(handler)
    if signature is None:
        return
    if positional_count(handler) == 0:
        raise DeclarationError(
            f"{where} needs a first parameter for the request: write (request, ...)", key=path
        )
    if second and positional_count(handler) == 1:
        name = SECOND[second]
        raise DeclarationError(
            f"{where} needs a second parameter for the {second}: write (request, {name}, ...)", key=path
        )
    accepts_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    missing = [name for name in names if name not in signature.parameters]
    if missing and not accepts_any:
        raise DeclarationError(
            f"{where} does not accept the path parameter {missing[0]!r}; add it to the function or take it "
            "out of the path",
            key=path,
        )
    try:
        signature.bind(*[None] * (2 if second else 1), **dict.fromkeys(names))
    except TypeError as error:
        given = ", ".join(["request", *([SECOND[second]] if second else []), *(f"{name}=" for name in names)])
        raise DeclarationError(f"{where} cannot be called with ({given}): {error}", key=path) from None


def check_positional(function: Callable[..., Any], count: int, what: str, example: str) -> None:
    """Refuse a middleware, listener or exception handler that cannot be called with `count` arguments."""
    if not callable(function):
        raise DeclarationError(f"{what} is {function!r}, expected a function {example}")
    signature = _signature(function)
    try:
        if signature is not None:
            signature.bind(*[None] * count)
    except TypeError:
        raise DeclarationError(
            f"{what} {function_name(function)} ({source_of(function)}) has the parameters {signature}, "
            f"expected {example}"
        ) from None


def second_handler(
    kind: type[BaseException], route: str | None, first: Callable[..., Any], second: Callable[..., Any]
) -> DeclarationError:
    """What to raise when `second` is to answer an exception that `first` answers already."""
    return DeclarationError(
        f"Duplicate exception handler definition on: route={route or '__ALL_ROUTES__'} and exception={kind}: "
        f"{function_name(first)} ({source_of(first)}) and {function_name(second)} ({source_of(second)})"
    )


def positional_count(function: Callable[..., Any]) -> int:
    """How many positional arguments `function` takes; many for ``*args`` or where it cannot be seen."""
    signature = _signature(function)
    if signature is None:
        return 99
    kinds = [p.kind for p in signature.parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return 99
    return sum(
        k in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for k in kinds
    )


def required_count(function: Callable[..., Any]) -> int:
    """How many positional arguments `function` cannot do without."""
    signature = _signature(function)
    if signature is None:
        return 0
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is p.empty for p in signature.parameters.values())


def function_name(function: Callable[..., Any]) -> str:
    """The name by which messages and routes call `function`."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", None) or type(function).__name__


def source_of(function: Callable[..., Any]) -> str:
    """``file:line`` of the definition, or the type of a callable that has none."""
    found: Any = function
    while isinstance(found, functools.partial):
        found = found.func
    found = inspect.unwrap(found)
    code = getattr(found, "__code__", None) or getattr(getattr(found, "__func__", None), "__code__", None)
    if code is None:
        return type(function).__qualname__
    return f"{code.co_filename}:{code.co_firstlineno}"


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # a builtin without one
        return None
