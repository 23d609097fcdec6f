"""``@serializer(json)``: a handler returns a value, and a function makes the response of it."""

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

from vivace.ext.arguments import extract_request
from vivace.framework.handler import is_async

__all__ = ["serializer"]


def serializer(function: Callable[..., Any], *, status: int = 200) -> Callable[[Callable[..., Any]], Any]:
    """Let `function` make the response of what a handler returns.

    Args:
        function: Called with the value, and by their names with as many as it declares of ``status``,
            ``request`` and the values of the path; `json` and `text` fit, a coroutine function too.
        status: Of the response.
    """
    parameters = inspect.signature(function).parameters
    wanted = set(list(parameters)[1:])
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        wanted.add("status")

    def decorate(handler: Callable[..., Any]) -> Any:
        asynchronous = is_async(handler)

        @functools.wraps(handler)
        async def view(*args: Any, **kwargs: Any) -> Any:
            if asynchronous:
                value = await handler(*args, **kwargs)
            else:
                value = await asyncio.to_thread(handler, *args, **kwargs)
            known = {**kwargs, "status": status}
            if "request" in wanted:
                known["request"] = extract_request(*args)
            response = function(value, **{name: known[name] for name in wanted if name in known})
            return await response if inspect.isawaitable(response) else response

        return view

    return decorate
