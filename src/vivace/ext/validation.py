"""Validation: a handler gets what the client sent as an object of a model, or the client an answer 400.

``@validate(json=Person)`` gives the handler a parameter ``body``, ``@validate(query=Search)`` one ``query``.

Rules of this file:

- The decorator works on any function that gets a request: handlers, methods of views, other decorators.
- What is known of a model is found out once, when the decorator is used.
- The answer says what was expected and where; the decorated function says what it validates (`models_of`).
"""

import asyncio
import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar

from vivace.ext.errors import InitError, ValidationError
from vivace.ext.models import InvalidData, convert, fields_of, is_model, single_values
from vivace.framework.handler import is_async
from vivace.framework.request import Request

__all__ = ["Check", "Validated", "models_of", "validate", "validator"]

F = TypeVar("F", bound=Callable[..., Any])
Wording = Callable[["Check", Any, InvalidData], str]


class Validated(NamedTuple):
    """What a function has validated before it is called.

    Attributes:
        json: The model of its JSON body.
        form: The model of its form.
        query: The model of its query string.
    """

    json: Any = None
    form: Any = None
    query: Any = None


class Check(NamedTuple):
    """One thing that is validated.

    Attributes:
        place: ``json``, ``form`` or ``query``.
        model: What it must be: a model, or a function that is asked.
        argument: The parameter that gets it.
        strict: As given to `validate`.
    """

    place: str
    model: Any
    argument: str
    strict: bool | None

    @property
    def name(self) -> str:
        """The name of the model."""
        return str(getattr(self.model, "__name__", self.model))

    def read(self, request: Request) -> Any:
        """What the client sent there.

        Raises:
            BadRequest: It is not of the kind at all, such as JSON that breaks off.
        """
        if self.place == "json":
            return request.json
        values = request.form if self.place == "form" else request.args
        return single_values(values or {}, fields_of(self.model) if is_model(self.model) else {})

    async def run(self, request: Request, values: dict[str, Any], wording: Wording) -> None:
        """Validate, and add the argument to `values`.

        Raises:
            ValidationError: What the client sent is not what the model says.
        """
        data = self.read(request)
        if not is_model(self.model):
            await self._ask(request, data, values)
            return
        try:
            values[self.argument] = convert(self.model, data, strict=self.strict, text=self.place != "json")
        except InvalidData as error:
            said = wording(self, data, error)
            raise ValidationError(
                f"Invalid {self.place_name()}: {self.name}. Error: {said}", extra={"exception": said}
            ) from error.cause

    def place_name(self) -> str:
        """The place as messages call it."""
        return "query string" if self.place == "query" else "request body"

    async def _ask(self, request: Request, data: Any, values: dict[str, Any]) -> None:
        """Let a function say whether the data is right: by raising, or by returning False."""
        given = {"request": request, "data": data, "handler_kwargs": values}
        try:
            result = self.model(**_taken(self.model, given))
            if inspect.isawaitable(result):
                result = await result
        except (TypeError, ValueError) as error:
            raise ValidationError(str(error)) from error
        if result is False:
            raise ValidationError(f"Invalid {self.place_name()}: {self.name} refused it")


def validate(
    json: Any = None,
    form: Any = None,
    query: Any = None,
    body_argument: str = "body",
    query_argument: str = "query",
    strict: bool | None = None,
) -> Callable[[F], F]:
    """Validate what the client sends, and give it to the decorated function as an object.

    Args:
        json: The model of a JSON body: a dataclass, an attrs class, a `msgspec.Struct`, a TypedDict, a
            model of pydantic; or a function with some of the parameters ``request``, ``data``
            and ``handler_kwargs`` that returns False or raises a ValueError or TypeError.
        form: The model of a form.
        query: The model of the query string.
        body_argument: The parameter that gets the JSON body or the form.
        query_argument: The parameter that gets the query string.
        strict: True: ``"1"`` is no number for pydantic either; False: it is one for all of them.

    Raises:
        InitError: `json` and `form` are given, or something is no model.
    """
    return validator(json, form, query, body_argument, query_argument, strict, _said)


def validator(
    json: Any,
    form: Any,
    query: Any,
    body_argument: str,
    query_argument: str,
    strict: bool | None,
    wording: Wording,
    check: type[Check] = Check,
) -> Callable[[F], F]:
    """As `validate`, with other words for what is wrong."""
    if json and form:
        raise InitError("Cannot define both a form and json route validator")
    given = (
        ("json", json, body_argument),
        ("form", form, body_argument),
        ("query", query, query_argument),
    )
    checks = tuple(check(place, _checked(m), argument, strict) for place, m, argument in given if m)

    def decorate(function: F) -> F:
        inner = models_of(function)
        is_coroutine = is_async(inspect.unwrap(function)) or is_async(function)
        call: Callable[..., Any] = function if is_coroutine else partial(asyncio.to_thread, function)

        @wraps(function)
        async def validated(*args: Any, **values: Any) -> Any:
            request = args[0] if isinstance(args[0], Request) else args[1]
            for item in checks:
                await item.run(request, values, wording)
            result = await call(*args, **values)
            return await result if inspect.isawaitable(result) else result

        models = {item.place: item.model for item in checks if is_model(item.model)}
        validated.__validated__ = inner._replace(**models)  # type: ignore[attr-defined]
        return validated  # type: ignore[return-value]

    return decorate


def models_of(function: Any) -> Validated:
    """What is validated before a function is called."""
    found = getattr(function, "__validated__", None)
    return found if found is not None else Validated()


def _checked(model: Any) -> Any:
    if is_model(model) or (callable(model) and not isinstance(model, type)):
        return model
    raise InitError(
        f"{model!r} is no model: expected a dataclass, an attrs class, a msgspec.Struct, a TypedDict, a "
        "model of pydantic, or a function"
    )


def _taken(function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Of the arguments those that a function has parameters for."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # a builtin without one
        return given
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return given
    return {name: value for name, value in given.items() if name in parameters}


def _said(check: Check, data: Any, error: InvalidData) -> str:
    """The words of the library that found the error."""
    del check, data
    return str(error)
