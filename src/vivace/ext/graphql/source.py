"""``@topics``: what a subscription listens to, who may, and what becomes of each event.

    @topics(lambda room: f"message-room:{room}", allow=can_see_room, recheck=30)
    async def subscribe_message_created(root, info, event, room):
        return event.data

The function is called for each message that is published on the topics; what it gives is the value of the
field. What is left is the source of a subscription as graphql-core has it, and as graphene, ariadne and
strawberry take it.

Rules of this file:

- Topics are known when a subscription begins: a machine gets what its own clients follow, and nothing else.
- The functions that are given take what they name: ``root``, ``info``, ``context``, ``user``, ``topic``, and
  the arguments of the field.
- A resolver takes the root, info and the event by place, and the arguments of the field by name.
"""

import inspect
import typing
from collections.abc import AsyncGenerator, Callable, Mapping
from inspect import Parameter, isawaitable
from typing import Any, Final

from vivace.errors import DeclarationError
from vivace.ext.graphql.feed import RUNNING, Feed

__all__ = ["SKIP", "topics"]

SKIP: Final = type("SKIP", (), {"__repr__": lambda _self: "SKIP"})()
"""What a resolver gives for an event of which the client shall get nothing."""

Name = str | Callable[..., Any]


def topics(
    *names: Name,
    allow: Callable[..., Any] | None = None,
    recheck: float | None = None,
    gaps: bool = False,
    max_queue: int | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., AsyncGenerator[Any, None]]]:
    """Make a resolver of events the source of a subscription.

    Args:
        names: Topics, or functions that give one or several; functions may be coroutine functions.
        allow: Whether who asks may follow a topic. What is not true, or an exception with a status below 500,
            ends the operation with an error. What it says holds for a user and a topic: it is shared.
        recheck: Seconds after which it is asked again, a little less by chance; 0: before each event; None:
            only when `Hub.recheck` says so.
        gaps: Call the resolver with a `Gap` where messages were lost: it can give what makes up for it.
        max_queue: Events that may wait for the client; default GRAPHQL_MAX_QUEUE.

    Raises:
        DeclarationError: There is no topic, or the resolver does not take root, info and an event.
    """
    if not names:
        raise DeclarationError("@topics needs a topic: a name, or a function that gives one")
    declared = _Declared(names, allow, recheck, gaps, max_queue)

    def decorate(resolver: Callable[..., Any]) -> Callable[..., AsyncGenerator[Any, None]]:
        signature = _without_event(resolver)

        async def source(*given: Any, **arguments: Any) -> AsyncGenerator[Any, None]:
            root, info, arguments = _take_apart(given, arguments)
            async with await declared.open(root, info, arguments) as feed:
                while True:
                    event = await feed.next()
                    if declared.recheck == 0:
                        await feed.check()
                    value = resolver(root, info, event, **arguments)
                    value = await value if isawaitable(value) else value
                    if value is not SKIP:
                        yield value

        _dress(source, resolver, signature)
        return source

    return decorate


class _Declared:
    """What stands in the parentheses of one ``@topics``."""

    def __init__(
        self,
        names: tuple[Name, ...],
        allow: Callable[..., Any] | None,
        recheck: float | None,
        gaps: bool,
        max_queue: int | None,
    ) -> None:
        if recheck is not None and not recheck >= 0:
            raise DeclarationError(f"recheck={recheck!r}: expected seconds, 0 for each event, or None")
        if recheck is not None and allow is None:
            raise DeclarationError(f"recheck={recheck!r} asks allow= again, and there is none")
        if max_queue is not None and max_queue < 1:
            raise DeclarationError(f"max_queue={max_queue!r}: expected at least 1")
        self.recheck = recheck
        self._names = names
        self._allow = allow
        self._gaps = gaps
        self._max_queue = max_queue

    async def open(self, root: Any, info: Any, arguments: dict[str, Any]) -> Feed:
        """The feed of one operation."""
        running = RUNNING.get(None)
        if running is None:
            raise RuntimeError("@topics works in operations that app.graphql() runs")
        known = {
            **arguments,
            "root": root,
            "info": info,
            "context": running.context,
            "user": running.user,
        }
        found: dict[str, None] = {}
        for name in self._names:
            given = name if isinstance(name, str) else await _ask(name, known)
            found.update(dict.fromkeys([given] if isinstance(given, str) else given))
        queue = running.max_queue if self._max_queue is None else self._max_queue
        judge = None if self._allow is None else self._judge
        return Feed(
            running, list(found), judge, known, recheck=self.recheck or 0.0, gaps=self._gaps, max_queue=queue
        )

    async def _judge(self, known: Mapping[str, Any], topic: str) -> Any:
        """Ask whether who runs an operation may follow a topic."""
        assert self._allow is not None
        return await _ask(self._allow, {**known, "topic": topic})


async def _ask(function: Callable[..., Any], known: Mapping[str, Any]) -> Any:
    """Call a function with what it names, and wait if need be."""
    parameters = inspect.signature(function).parameters.values()
    if any(one.kind is Parameter.VAR_KEYWORD for one in parameters):
        result = function(**known)
    else:
        result = function(**{one.name: known[one.name] for one in parameters if one.name in known})
    return await result if isawaitable(result) else result


def _take_apart(given: tuple[Any, ...], arguments: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Root, info and arguments, as graphql-core gives them by place or strawberry by name."""
    root = given[0] if given else arguments.pop("root", None)
    info = given[1] if len(given) > 1 else arguments.pop("info", None)
    return root, info, arguments


def _without_event(resolver: Callable[..., Any]) -> inspect.Signature:
    """The signature of the source: that of the resolver without the event, and it gives many."""
    signature = inspect.signature(resolver)
    parameters = list(signature.parameters.values())
    placed = [one for one in parameters if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]
    if len(placed) < 3:
        raise DeclarationError(
            f"{resolver.__qualname__} under @topics takes {len(placed)} parameters by place: expected (root,"
            " info, event, ...), the arguments of the field behind them"
        )
    event = placed[2]
    result = signature.return_annotation
    if result is not inspect.Signature.empty:
        many: Any = typing.AsyncGenerator  # it takes names of types, too
        result = many[result, None]
    return signature.replace(
        parameters=[one for one in parameters if one is not event], return_annotation=result
    )


def _dress(source: Any, resolver: Callable[..., Any], signature: inspect.Signature) -> None:
    """Let the source look like the resolver for whoever reads its signature."""
    source.__name__, source.__qualname__ = resolver.__name__, resolver.__qualname__
    source.__module__, source.__doc__ = resolver.__module__, resolver.__doc__
    source.__signature__ = signature
    annotations = {
        name: one.annotation
        for name, one in signature.parameters.items()
        if one.annotation is not Parameter.empty
    }
    if signature.return_annotation is not inspect.Signature.empty:
        annotations["return"] = signature.return_annotation
    source.__annotations__ = annotations
