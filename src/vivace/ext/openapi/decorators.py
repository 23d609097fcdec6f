"""The decorators that describe handlers: ``@openapi.summary("...")``, ``@openapi.body(Person)`` ...

Rules of this file: a decorator gives back the function that it was given; only `validate=True` wraps it.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from vivace.ext.errors import InitError
from vivace.ext.models import is_model
from vivace.ext.openapi.definitions import ExternalDocumentation, Response, Tag
from vivace.ext.openapi.said import (
    EXCLUDED_BLUEPRINTS,
    OperationBuilder,
    add_body,
    add_parameter,
    add_response,
    models_in,
    operation_of,
)
from vivace.ext.validation import validate as validate_
from vivace.framework.blueprint import Blueprint

__all__ = [
    "COMPONENTS",
    "body",
    "component",
    "definition",
    "deprecated",
    "description",
    "document",
    "exclude",
    "no_autodoc",
    "operation",
    "parameter",
    "response",
    "secured",
    "summary",
    "tag",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Validate = Callable[..., Callable[[Any], Any]]

COMPONENTS: Final[dict[tuple[str, str], Any]] = {}
"""What `component` declared: by kind and name."""


def _saying(say: Callable[[OperationBuilder], object]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        say(operation_of(function))
        return function

    return decorate


def exclude(flag: bool = True, *, bp: Blueprint | None = None) -> Callable[[F], F]:
    """Leave an operation out of the document, or with `bp` all of a blueprint."""
    if bp is not None:
        (EXCLUDED_BLUEPRINTS.add if flag else EXCLUDED_BLUEPRINTS.discard)(bp)
        return _saying(lambda _said: None)
    return _saying(lambda said: said.exclude(flag))


def operation(name: str) -> Callable[[F], F]:
    """Set the id of an operation."""
    return _saying(lambda said: said.name(name))


def summary(text: str) -> Callable[[F], F]:
    """Say in a line what it does."""
    return _saying(lambda said: said.describe(summary=text))


def description(text: str) -> Callable[[F], F]:
    """Say in full what it does."""
    return _saying(lambda said: said.describe(description=text))


def document(url: str | ExternalDocumentation, description: str | None = None) -> Callable[[F], F]:
    """Say where more is written."""
    if isinstance(url, ExternalDocumentation):
        return document(url.fields["url"], url.fields.get("description"))
    return _saying(lambda said: said.document(url, description))


def tag(*args: str | Tag) -> Callable[[F], F]:
    """Group it with others."""
    return _saying(lambda said: said.tag(*args))


def deprecated(maybe_func: Any = None) -> Any:
    """Say that it should not be used any more; with or without parentheses."""
    decorate: Callable[[Any], Any] = _saying(lambda said: said.deprecate())
    return decorate if maybe_func is None else decorate(maybe_func)


def no_autodoc(maybe_func: Any = None) -> Any:
    """Do not read the docstring; with or without parentheses."""
    decorate: Callable[[Any], Any] = _saying(lambda said: said.disable_autodoc())
    return decorate if maybe_func is None else decorate(maybe_func)


def body(
    content: Any, *, validate: bool | Validate = False, body_argument: str = "body", **values: Any
) -> Callable[[F], F]:
    """Say what clients send.

    Args:
        content: A type, a mapping of media types to types, or a `RequestBody`.
        validate: Give the handler an object of the type, by `vivace.ext.validation.validate` or another
            function with its arguments.
        body_argument: The parameter that gets it.
        values: ``required``, ``description``.

    Raises:
        InitError: It shall be validated, and there is no model.
    """

    def decorate(function: F) -> F:
        add_body(operation_of(function), content, **values)
        return _validated(function, content, body_argument, validate) if validate else function

    return decorate


def _validated(function: F, content: Any, body_argument: str, validate: bool | Validate) -> F:
    check: Validate = validate_ if isinstance(validate, bool) else validate
    for kind, model in models_in(content):
        if is_model(model):
            place = "form" if "form" in kind else "json"
            given: dict[str, Any] = {place: model}
            decorated: F = check(**given, body_argument=body_argument)(function)
            return decorated
    raise InitError(f"{content!r} has no model that could be validated")


def parameter(
    name: Any = None,
    schema: Any = None,
    location: str | None = None,
    parameter: Any = None,
    **values: Any,
) -> Callable[[F], F]:
    """Add a parameter.

    Args:
        name: Its name; or a `Parameter`.
        schema: Its type or schema; default: text.
        location: ``query`` (the default), ``path``, ``header`` or ``cookie``.
        parameter: A `Parameter` instead of the others.
        values: ``required``, ``description``, ``deprecated``, ``allowEmptyValue`` ...

    Raises:
        InitError: There is no name and no `Parameter`.
    """
    given = parameter if parameter is not None else name if not isinstance(name, str) else None
    if given is not None:
        return _saying(lambda said: add_parameter(said, given))
    if name is None:
        raise InitError("openapi.parameter() needs a name or a Parameter")
    return _saying(
        lambda said: said.parameter(name, str if schema is None else schema, location or "query", **values)
    )


def response(
    status: Any = "default",
    content: Any = str,
    description: str | None = None,
    *,
    response: Response | None = None,
    **values: Any,
) -> Callable[[F], F]:
    """Say what clients get.

    Args:
        status: When; or a `Response`.
        content: A type, or a mapping of media types to types.
        description: What it means.
        response: A `Response` instead of the others.
        values: ``headers``, ``links``.
    """
    given = response if response is not None else status
    if isinstance(given, Response):
        return _saying(lambda said: add_response(said, given))
    return _saying(lambda said: said.response(given, content, description, **values))


def secured(*args: Any, **values: Any) -> Callable[[F], F]:
    """Say which security schemes must be used, by name, or by name and scopes."""
    return _saying(lambda said: said.secured(*args, **values))


def component(model: Any = None, *, name: str | None = None, field: str = "schemas") -> Any:
    """Let documents have a class as a component; with or without parentheses.

    Args:
        model: The class.
        name: Its name there; default: that of the class.
        field: ``schemas``, ``parameters``, ``responses`` ...
    """

    def decorate(target: T) -> T:
        COMPONENTS[field, name or str(getattr(target, "__name__", type(target).__name__))] = target
        return target

    return decorate if model is None else decorate(model)


def definition(
    *,
    exclude: bool | None = None,
    operation: str | None = None,
    summary: str | None = None,
    description: str | None = None,
    document: str | ExternalDocumentation | None = None,
    tag: Any = None,
    deprecated: bool = False,
    body: Any = None,
    parameter: Any = None,
    response: Any = None,
    secured: Any = None,
    validate: bool | Validate = False,
    body_argument: str = "body",
) -> Callable[[F], F]:
    """Say everything at once; the arguments are those of the other decorators, one or a list of them."""

    def decorate(function: F) -> F:
        said = operation_of(function)
        said.describe(summary, description)
        if exclude is not None:
            said.exclude(exclude)
        if operation:
            said.name(operation)
        if isinstance(document, ExternalDocumentation):
            said.values["externalDocs"] = document
        elif document:
            said.document(document)
        if deprecated:
            said.deprecate()
        said.tag(*_several(tag))
        _say_messages(said, body, parameter, response, secured)
        if not validate or body is None:
            return function
        return _validated(function, body, body_argument, validate)

    return decorate


def _say_messages(said: OperationBuilder, body: Any, parameter: Any, response: Any, secured: Any) -> None:
    if body is not None:
        add_body(said, body)
    for item in _several(parameter):
        add_parameter(said, item)
    for item in _several(response):
        add_response(said, item)
    for item in _several(secured):
        said.secured(item)


def _several(given: Any) -> Iterable[Any]:
    if given is None:
        return ()
    return given if isinstance(given, list | tuple | set) else (given,)
