"""sanic.errorpages: what makes the page of an error, in Sanic's shape, to be subclassed by programs.

Rules of this file:

- A renderer is made for one error; `BaseRenderer.render` gives the whole page in debug mode, else the short.
- A format that Accept refuses is not sent: then the base renderer answers. One that was chosen by the
  route or by FALLBACK_ERROR_FORMAT is the only one offered; all are while that is ``auto``.
- The HTML page is small and has no script; every word from outside is escaped.
"""

import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import thread
from functools import partial
from html import escape
from json import dumps as dump_json
from pathlib import Path
from typing import Any, Final

from vivace.compat.sanic.helpers import STATUS_CODES
from vivace.errors import InvalidHeader, SanicException, title_of
from vivace.framework.request import Request
from vivace.framework.response import HTTPResponse, html, json, text

__all__ = [
    "CONFIG_BY_MIME",
    "DEFAULT_FORMAT",
    "FALLBACK_STATUS",
    "FALLBACK_TEXT",
    "JSON",
    "MIME_BY_CONFIG",
    "RENDERERS_BY_CONTENT_TYPE",
    "RESPONSE_MAPPING",
    "STATUS_CODES",
    "BaseRenderer",
    "HTMLRenderer",
    "JSONRenderer",
    "TextRenderer",
    "check_error_format",
    "exception_response",
    "guess_mime",
]

_WAY: Final = (str(Path(__file__).parents[2]), thread.__file__)

DEFAULT_FORMAT: Final = "auto"
"""The form of error pages when nothing says which."""
FALLBACK_TEXT: Final = "The application encountered an unexpected error and could not continue."
FALLBACK_STATUS: Final = 500
JSON: Final = "application/json"
MIME_BY_CONFIG: Final = {"text": "text/plain", "json": JSON, "html": "text/html"}
CONFIG_BY_MIME: Final = {mime: name for name, mime in MIME_BY_CONFIG.items()}
RESPONSE_MAPPING: Final = {
    **{name: name for name in ("json", "text", "html")},
    "JSONResponse": "json",
    **CONFIG_BY_MIME,
}
"""What a handler returns, and the form of its errors that this speaks for."""


class BaseRenderer:
    """Makes the page of one error; subclass it and override `full` and `minimal`.

    Args:
        request: The request that failed.
        exception: Why.
        debug: Show the whole page.
    """

    dumps: Callable[..., str] = staticmethod(partial(dump_json, separators=(",", ":")))

    def __init__(self, request: Request, exception: Exception, debug: bool) -> None:
        self.request = request
        self.exception = exception
        self.debug = debug

    @property
    def headers(self) -> Any:
        """Those of the exception."""
        return self.exception.headers if isinstance(self.exception, SanicException) else {}

    @property
    def status(self) -> int:
        """That of the exception."""
        if isinstance(self.exception, SanicException):
            return getattr(self.exception, "status_code", FALLBACK_STATUS)
        return FALLBACK_STATUS

    @property
    def text(self) -> str:
        """What went wrong; nothing of an unknown exception unless in debug mode."""
        if self.debug or isinstance(self.exception, SanicException):
            return str(self.exception)
        return FALLBACK_TEXT

    @property
    def title(self) -> str:
        """The status and its phrase."""
        return f"{self.status} — {title_of(self.status)}"

    def render(self) -> HTTPResponse:
        """The page, with the status and the headers of the error."""
        whole = self.debug and not getattr(self.exception, "quiet", False)
        response = self.full() if whole else self.minimal()
        response.status = self.status
        response.headers.update(self.headers)
        return response

    def minimal(self) -> HTTPResponse:
        """The page for strangers."""
        raise NotImplementedError

    def full(self) -> HTTPResponse:
        """The page for developers."""
        raise NotImplementedError

    def shown(self, name: str) -> dict[str, Any]:
        """``context`` or ``extra`` of the exception."""
        return dict(getattr(self.exception, name, None) or {})

    def chain(self) -> list[BaseException]:
        """The exception and its causes, the first one first."""
        found: list[BaseException] = []
        error: BaseException | None = self.exception
        while error is not None and error not in found:
            found.append(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return found[::-1]


class TextRenderer(BaseRenderer):
    """Makes one of plain text."""

    OUTPUT_TEXT = "{title}\n{bar}\n{text}\n\n{body}"
    SPACER = "  "

    @property
    def title(self) -> str:
        """With a sign that warns."""
        return f"⚠️ {super().title}"

    def full(self) -> HTTPResponse:
        """With the traceback, ``context`` and ``extra``."""
        return self._output(self._traceback(), *self._list("context"), *self._list("extra"))

    def minimal(self) -> HTTPResponse:
        """With the ``context``."""
        shown = self._list("context")
        return self._output(*([""] if shown else []), *shown)

    def _output(self, *parts: str) -> HTTPResponse:
        page = self.OUTPUT_TEXT.format(
            title=self.title, text=self.text, bar="=" * len(self.title), body="\n".join(parts)
        )
        return text(page)

    def _list(self, name: str) -> list[str]:
        shown = self.shown(name)
        if not shown:
            return []
        lines = [f"{self.SPACER * 2}{key}: {self.dumps(value, default=str)}" for key, value in shown.items()]
        return [f"\n{name.title()}" if self.debug and not self._is_short() else name.title(), *lines]

    def _is_short(self) -> bool:
        return bool(getattr(self.exception, "quiet", False))

    def _traceback(self) -> str:
        error = self.exception
        lines = [
            f"{type(error).__name__}: {error} while handling path {self.request.path}",
            f"Traceback of {self.request.app.name} (most recent call last):\n",
        ]
        for one in self.chain():
            lines.append(f"{self.SPACER}{type(one).__name__}: {one}")
            frames = [
                f"{self.SPACER * 2}File {frame.filename}, line {frame.lineno}, in {frame.name}\n"
                f"{self.SPACER * 2}{frame.line}"
                for frame in _frames(one)
            ]
            lines.append("\n\n".join(frames))
        return "\n".join(lines)


class JSONRenderer(BaseRenderer):
    """Makes one of JSON."""

    @property
    def title(self) -> str:
        """The phrase of the status alone."""
        return title_of(self.status)

    def full(self) -> HTTPResponse:
        """With ``path``, ``args`` and ``exceptions``."""
        return json(self._generate_output(full=True), dumps=partial(self.dumps, default=str))

    def minimal(self) -> HTTPResponse:
        """With the ``context``."""
        return json(self._generate_output(full=False), dumps=partial(self.dumps, default=str))

    def _generate_output(self, *, full: bool) -> dict[str, Any]:
        output: dict[str, Any] = {"description": self.title, "status": self.status, "message": self.text}
        for name in ("context", "extra") if full else ("context",):
            shown = self.shown(name)
            if shown:
                output[name] = shown
        if full:
            output["path"] = self.request.path
            output["args"] = dict(self.request.args)
            output["exceptions"] = [_as_object(one) for one in self.chain()]
        return output


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Where it was raised, without the way through this package to the handler."""
    frames = list(traceback.extract_tb(error.__traceback__))
    while len(frames) > 1 and frames[0].filename.startswith(_WAY):
        frames.pop(0)
    return frames


def _as_object(error: BaseException) -> dict[str, Any]:
    frames = _frames(error)
    return {
        "type": type(error).__name__,
        "exception": str(error),
        "frames": [
            {"file": frame.filename, "line": frame.lineno, "name": frame.name, "src": frame.line}
            for frame in frames
        ],
    }


_PAGE: Final = """<!DOCTYPE html><html lang=en><meta charset="utf-8"><title>{title}</title>\
<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}}\
pre{{overflow:auto;padding:1rem;background:#8882}}</style>\
<header>{title}</header><main><h1>⚠️ {heading}</h1><p>{message}</p>
{rest}</main></html>
"""


class HTMLRenderer(BaseRenderer):
    """Makes a page of HTML."""

    def full(self) -> HTTPResponse:
        """With the traceback, ``context``, ``extra`` and the fields of the request."""
        return html(self._page(True))

    def minimal(self) -> HTTPResponse:
        """With the ``context``."""
        return html(self._page(False))

    def _page(self, whole: bool) -> str:
        title = f"Application {self.request.app.name.title()} cannot handle your request"
        rest = "".join(self._sections(whole))
        return _PAGE.format(
            title=escape(title), heading=escape(self.title), message=escape(self.text), rest=rest
        )

    def _sections(self, whole: bool) -> Iterator[str]:
        yield _table("Issue context", self.shown("context"))
        if not whole:
            return
        yield _table("Issue extra data", self.shown("extra"))
        error, request = self.exception, self.request
        yield f"<h2>{escape(type(error).__name__)}: {escape(str(error))}"
        yield f" while handling path {escape(request.path)}</h2>\n<pre>"
        yield escape("".join(traceback.format_exception(error))) + "</pre>\n"
        yield _table(f"{request.method} {request.path}", dict(request.headers))


def _table(title: str, rows: dict[str, Any]) -> str:
    if not rows:
        return ""
    shown = "".join(f"<dt>{escape(str(key))}: <dd>{escape(str(value))}" for key, value in rows.items())
    return f"<h2>{escape(title)}</h2><dl>{shown}</dl>\n"


RENDERERS_BY_CONTENT_TYPE: Final[dict[str, type[BaseRenderer]]] = {
    "text/plain": TextRenderer,
    JSON: JSONRenderer,
    "multipart/form-data": HTMLRenderer,
    "text/html": HTMLRenderer,
}
"""Which renderer makes which content."""


def check_error_format(format: str) -> None:  # noqa: A002  # its name in Sanic
    """Refuse a form of error pages that is not there.

    Raises:
        SanicException: It is none of text, json, html and auto.
    """
    if format not in (*MIME_BY_CONFIG, DEFAULT_FORMAT):
        raise SanicException(f"Unknown format: {format}")


def exception_response(
    request: Request,
    exception: Exception,
    debug: bool,
    fallback: str,
    base: type[BaseRenderer],
    renderer: type[BaseRenderer] | None = None,
) -> HTTPResponse:
    """The error page for an exception.

    Args:
        request: The request that failed.
        exception: Why.
        debug: Show the whole page.
        fallback: FALLBACK_ERROR_FORMAT.
        base: Makes the page if no form is wanted that there is.
        renderer: Makes it in any case.
    """
    if renderer is None:
        renderer = RENDERERS_BY_CONTENT_TYPE.get(guess_mime(request, fallback), base)
    return renderer(request, exception, debug).render()


def guess_mime(req: Request, fallback: str) -> str:
    """The media type of the error page for a request; empty if it takes none that could be offered."""
    chosen = getattr(req, "error_format", "") or ""
    offered = [name for name in (chosen,) if name in MIME_BY_CONFIG]
    if fallback != DEFAULT_FORMAT:
        offered = offered or [name for name in (fallback,) if name in MIME_BY_CONFIG]
    else:
        asked = req.headers.get("accept") or ""
        if JSON in asked or req.content_type.lower().startswith(JSON):
            offered.append("json")
        offered += ["text", "json", "html"]
    try:
        found = req.accept.match(*(MIME_BY_CONFIG[name] for name in dict.fromkeys(offered)))
    except InvalidHeader:
        return ""
    return found.mime or ""
