"""Which kind an app is taken for, by what, and what is said where that cannot be told."""

import functools
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from vivace.errors import StartupError
from vivace.framework.app import Vivace
from vivace.interfaces.kind import classify


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    pass


async def other_names(a: Any, b: Any, c: Any) -> None:
    pass


def sync_asgi(scope: Any, receive: Any, send: Any) -> Awaitable[None]:
    return asgi(scope, receive, send)


async def anything(*args: Any) -> None:
    pass


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


def wsgi_other_names(env: Any, begin: Any) -> list[bytes]:
    return []


def wsgi_with_more(environ: Any, start_response: Any, more: Any = None) -> list[bytes]:
    return []


def asgi2(scope: Any) -> Callable[[Any, Any], Awaitable[None]]:
    return functools.partial(asgi, scope)


def configured(setting: Any, environ: Any, start_response: Any) -> list[bytes]:
    return []


class AsgiObject:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        pass


class WsgiObject:
    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        return []

    def method(self, environ: Any, start_response: Any) -> list[bytes]:
        return []


class Asgi2Class:
    def __init__(self, scope: Any) -> None:
        pass

    async def __call__(self, receive: Any, send: Any) -> None:
        pass


class AsgiEndpoint:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        pass

    def __await__(self) -> Iterator[None]:
        yield


class WsgiResponse:
    """The class of PEP 3333 that is an app, as its instances are what is iterated over."""

    def __init__(self, environ: Any, start_response: Any) -> None:
        pass

    def __iter__(self) -> Iterator[bytes]:
        yield b""


class SlotCall:
    """Chooses its call when it is made, as some middleware does."""

    __slots__ = ("__call__",)

    def __init__(self) -> None:
        self.__call__ = asgi


class Opaque:
    """Its call is written in C and tells no parameters."""

    __call__ = max


def transparent(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def to_wsgi(function: Callable[[Any], list[bytes]]) -> Callable[..., list[bytes]]:
    @functools.wraps(function)
    def wrapper(environ: Any, start_response: Any) -> list[bytes]:
        return function(environ)

    return wrapper


@transparent
def view(request: Any) -> list[bytes]:
    return []


@pytest.mark.parametrize(
    ("app", "kind"),
    [
        (Vivace("kinds"), "native"),
        (asgi, "asgi"),
        (other_names, "asgi"),
        (sync_asgi, "asgi"),
        (anything, "asgi"),
        (AsgiObject(), "asgi"),
        (AsgiEndpoint, "asgi"),
        (SlotCall(), "asgi"),
        (functools.partial(other_names), "asgi"),
        (functools.partial(anything), "asgi"),
        (transparent(asgi), "asgi"),
        (transparent(other_names), "asgi"),
        (asgi2, "asgi2"),
        (Asgi2Class, "asgi2"),
        (transparent(asgi2), "asgi2"),
        (wsgi, "wsgi"),
        (wsgi_other_names, "wsgi"),
        (wsgi_with_more, "wsgi"),
        (WsgiObject(), "wsgi"),
        (WsgiObject().method, "wsgi"),
        (WsgiResponse, "wsgi"),
        (functools.partial(configured, 1), "wsgi"),
        (transparent(wsgi), "wsgi"),
        (to_wsgi(view), "wsgi"),
        (view, "wsgi"),
    ],
)
def test_an_app_is_known_by_how_it_is_called(app: object, kind: str) -> None:
    assert classify(app)[0] == kind


def test_what_told_the_kind_is_said() -> None:
    assert classify(asgi)[1] == "the function asgi called with scope, receive, send"
    assert classify(WsgiObject())[1] == "an object of type WsgiObject called with environ, start_response"
    assert classify(Asgi2Class)[1] == "the class Asgi2Class called with scope"
    assert classify(anything)[1] == "the function anything called with any arguments"
    assert "a wrapper that takes any arguments, around a plain function of request" in classify(view)[1]


async def asgi_instance(receive: Any, send: Any) -> None:
    pass


def plain_instance(receive: Any, send: Any) -> None:
    pass


def keyword_only(*, environ: Any, start_response: Any) -> None:
    pass


def open_ended(*args: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (sys, "the module sys"),
        (3, "an object of type int"),
        (None, "NoneType"),
        (print, "builtin_function_or_method print that takes any arguments"),
        (open_ended, "does not tell whether it is ASGI or WSGI: .*--interface asgi, asgi2 or wsgi"),
        (lambda: 0, "function <lambda> is no app: it is a call without arguments"),
        (lambda request: 0, "a call with request"),
        (asgi_instance, "an async call with receive, send"),
        (plain_instance, "a call with receive, send"),
        (keyword_only, "keywords without a default"),
        (Opaque(), "does not tell its parameters; .*--interface"),
        (WsgiObject, "the class WsgiObject: an app is an instance of it"),
        (dict.fromkeys, "does not tell|is no app"),
        (type, "type"),
    ],
)
def test_what_is_no_app_or_cannot_be_told_is_refused(value: object, words: str) -> None:
    with pytest.raises(StartupError, match=words) as caught:
        classify(value, "here:app")
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith("here:app")


@pytest.mark.parametrize("kind", ["asgi", "asgi2", "wsgi"])
def test_a_kind_that_was_given_is_not_questioned(kind: str) -> None:
    assert classify(open_ended, "here:app", kind) == (kind, "as it was declared")
    assert classify(Vivace("given"), "here:app", "native")[0] == "native"
    with pytest.raises(StartupError, match="cannot be called"):
        classify(3, "here:app", kind)
    with pytest.raises(StartupError, match="no Vivace app"):
        classify(asgi, "here:app", "native")
