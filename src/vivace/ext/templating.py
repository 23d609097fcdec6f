"""Pages from jinja2's templates: ``@app.ext.template("page.html")`` on a handler, ``render(...)`` in one.

Rules of this file:

- jinja2 is imported when the first template is asked for; without it the extension is not there.
- A template that a decorator names is loaded at once: what is wrong with it is an error at the start.
- A template always knows ``request``, if there is one, and `url_for`.
- Text of HTML and XML templates is escaped.
"""

import asyncio
import functools
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from vivace.errors import DeclarationError, ServerError
from vivace.ext.arguments import extract_request
from vivace.ext.extension import Extension
from vivace.framework.handler import function_name, is_async
from vivace.framework.request import current_request
from vivace.framework.response import HTTPResponse

if TYPE_CHECKING:
    from jinja2 import Environment, Template

    from vivace.ext.extend import Extend
    from vivace.framework.app import Vivace

__all__ = ["LazyResponse", "TemplateResponse", "Templating", "TemplatingExtension", "render"]

F = TypeVar("F", bound=Callable[..., Any])

_HTML = "text/html; charset=utf-8"
_AMBIGUOUS = "Cannot render template: which app is meant is ambiguous. Please return render(..., app=app)"


class TemplateResponse(HTTPResponse):
    """A page that was made of a template."""

    __slots__ = ()


class LazyResponse(TemplateResponse):
    """What `render` gives without a template: the template of the handler's decorator is still to be filled.

    Attributes:
        context: The values for it.
    """

    __slots__ = ("context",)

    def __init__(self, context: dict[str, Any], status: int, headers: Any, content_type: str | None) -> None:
        super().__init__(b"", status, headers, content_type)
        self.context = context


class Templating:
    """The templates of an app.

    Args:
        environment: Of jinja2.

    Attributes:
        environment: The same.
    """

    def __init__(self, environment: "Environment") -> None:
        self.environment = environment

    def template(
        self,
        file_name: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_type: str = _HTML,
        **values: Any,
    ) -> Callable[[F], F]:
        """Let a handler return the values for a template: a mapping, or ``render(context=..., status=...)``.

        Args:
            file_name: The template, below TEMPLATING_PATH_TO_TEMPLATES.
            status: Of the response.
            headers: Its fields.
            content_type: Its media type.
            values: No meaning; kept for callers that pass more.

        Raises:
            jinja2.TemplateNotFound: There is no such template.
            jinja2.TemplateSyntaxError: It cannot be read.
        """
        del values
        template = self.environment.get_template(file_name)

        def decorate(handler: F) -> F:
            asynchronous = is_async(handler)

            @functools.wraps(handler)
            async def view(*args: Any, **kwargs: Any) -> HTTPResponse:
                if asynchronous:
                    result = await handler(*args, **kwargs)
                else:
                    result = await asyncio.to_thread(handler, *args, **kwargs)
                    if asyncio.iscoroutine(result):
                        result = await result
                if isinstance(result, LazyResponse):
                    body = await _fill(template, _add_request(result.context, extract_request(*args)))
                    return TemplateResponse(body, result.status, result.headers, result.content_type)
                if isinstance(result, HTTPResponse):
                    return result
                if not isinstance(result, Mapping):
                    raise TypeError(
                        "A templated view must return a dict or HTTPResponse. "
                        f"{function_name(handler)} returned {result!r:.80}"
                    )
                body = await _fill(template, _add_request(result, extract_request(*args)))
                return TemplateResponse(body, status, headers, content_type)

            return view  # type: ignore[return-value]

        return decorate


async def render(
    template_name: str = "",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = _HTML,
    app: "Vivace[Any, Any] | None" = None,
    environment: "Environment | None" = None,
    context: Mapping[str, Any] | None = None,
    *,
    template_source: str = "",
) -> TemplateResponse:
    """Make a page of a template.

    Args:
        template_name: The template; without one, that of the handler's decorator is meant.
        status: Of the response.
        headers: Its fields.
        content_type: Its media type.
        app: Whose templates; the app of the current request if it is known, or the only app there is.
        environment: Of jinja2, instead of the app's.
        context: The values for the template; ``request`` is added if the current one is known.
        template_source: A template itself, instead of its name.

    Raises:
        ServerError: Both name and source are given, or it is not clear whose templates are meant.
        jinja2.TemplateNotFound: There is no such template.
    """
    if template_name and template_source:
        raise ServerError("You must provide template_name OR template_source, not both.")
    request = current_request.get(None)
    values = _add_request(context or {}, request)
    if not template_name and not template_source:
        return LazyResponse(values, status, headers, content_type)
    found: Environment = environment or _find_app(app, request).ext.environment
    make = found.from_string if template_source else found.get_template
    page = await _fill(make(template_source or template_name), values)
    return TemplateResponse(page, status, headers, content_type)


def _find_app(app: Any, request: Any) -> Any:
    from vivace.framework.app import Vivace

    if app is not None:
        return app
    if request is not None:
        return request.app
    try:
        return Vivace.get_app()
    except DeclarationError as error:
        raise ServerError(_AMBIGUOUS) from error


def _add_request(context: Mapping[str, Any], request: Any) -> dict[str, Any]:
    return dict(context) if request is None else {**context, "request": request}


async def _fill(template: "Template", values: Mapping[str, Any]) -> str:
    if template.environment.is_async:
        return await template.render_async(values)
    return template.render(values)


class TemplatingExtension(Extension):
    """``app.ext.template``, ``app.ext.environment`` and `render`."""

    name = "templating"
    provides: ClassVar[tuple[str, ...]] = ("environment", "template", "templating")

    _templating: Templating | None = None

    def included(self) -> bool:
        """Whether jinja2 is installed."""
        return find_spec("jinja2") is not None

    def label(self) -> str:
        """Which jinja2."""
        from importlib.metadata import version

        return f"jinja2=={version('jinja2')}"

    def startup(self, bootstrap: "Extend") -> None:
        """Nothing: the environment is made when it is asked for."""

    @property
    def templating(self) -> Templating:
        """The templates.

        Raises:
            DeclarationError: jinja2 is not installed.
        """
        if self._templating is None:
            self._templating = Templating(self._make_environment())
        return self._templating

    @property
    def environment(self) -> "Environment":
        """That of jinja2: filters, globals and tests may be added to it."""
        return self.templating.environment

    @property
    def template(self) -> Callable[..., Callable[[F], F]]:
        """`Templating.template`."""
        return self.templating.template

    def _make_environment(self) -> "Environment":
        try:
            from jinja2 import Environment, FileSystemLoader, select_autoescape
        except ImportError as error:
            raise DeclarationError(
                "templates need jinja2, which is not installed: pip install 'vivace[templates]'"
            ) from error
        places = self.config.TEMPLATING_PATH_TO_TEMPLATES
        single = isinstance(places, str | os.PathLike)
        environment = Environment(
            loader=FileSystemLoader(places if single else list(places)),
            autoescape=select_autoescape(),
            enable_async=self.config.TEMPLATING_ENABLE_ASYNC,
        )
        environment.globals["url_for"] = self.app.url_for
        return environment
