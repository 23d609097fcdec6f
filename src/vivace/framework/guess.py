"""How the errors of a route should look, guessed from the helper by which its handler makes responses.

Rules of this file:

- It is a guess for clients that take anything: what Accept names goes before it.
- Read from the names in the compiled function: no source is needed, nothing is executed. A handler that uses
  two of the helpers says nothing.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType
from typing import Any, Final

from vivace.framework.response import html, json, text

__all__ = ["guess_format", "know_helper"]

_FORMATS: Final[dict[Any, str]] = {html: "html", json: "json", text: "text"}


def know_helper(helper: Callable[..., Any], name: str) -> None:
    """Let another function that makes responses say how errors look.

    Args:
        helper: The function.
        name: ``text``, ``json`` or ``html``.
    """
    _FORMATS[helper] = name


def guess_format(handler: Callable[..., Any]) -> str:
    """``text``, ``json``, ``html`` or empty.

    Args:
        handler: Of a route; of a wrapper (functools.wraps) the function inside is looked at.
    """
    while isinstance(handler, functools.partial):
        handler = handler.func
    function = inspect.unwrap(handler)
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return ""
    used = set(_helpers(code, function.__globals__))
    return used.pop() if len(used) == 1 else ""


def _helpers(code: CodeType, known: dict[str, Any]) -> Iterator[str]:
    for name in code.co_names:
        value = known.get(name)
        if isinstance(value, ModuleType):
            for other in code.co_names:
                yield from _format_of(getattr(value, other, None))
        else:
            yield from _format_of(value)


def _format_of(value: Any) -> Iterator[str]:
    for helper, name in _FORMATS.items():
        if value is helper:
            yield name
