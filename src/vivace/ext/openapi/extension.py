"""The extension: a blueprint with the pages, and the document behind them.

Rules of this file: the document is built when it is asked for, and again when routes have changed.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivace.ext.errors import InitError
from vivace.ext.extension import Extension
from vivace.ext.openapi.pages import REDIRECT_PAGE, redoc_page, swagger_page
from vivace.ext.openapi.said import EXCLUDED_BLUEPRINTS
from vivace.ext.openapi.specification import SpecificationBuilder
from vivace.framework.blueprint import Blueprint
from vivace.framework.request import Request
from vivace.framework.response import HTTPResponse, html, json
from vivace.framework.route import Route

if TYPE_CHECKING:
    from vivace.ext.extend import Extend

__all__ = ["OpenAPIExtension"]


class OpenAPIExtension(Extension):
    """Describes the routes of an app; ``app.ext.openapi`` says what they do not."""

    name = "openapi"
    provides = ("openapi",)

    def __init__(self) -> None:
        self._builder: SpecificationBuilder | None = None
        self._routes: list[Route] = []
        self._document: dict[str, Any] | None = None

    @property
    def openapi(self) -> SpecificationBuilder:
        """What the program says of its API."""
        self._document = None  # it is about to say more
        if self._builder is None:
            self._builder = SpecificationBuilder(self.app, self.config)
        return self._builder

    def included(self) -> bool:
        """Whether OAS is set."""
        return bool(self.config.OAS)

    def label(self) -> str:
        """Where the pages are."""
        state = self.app.state
        scheme = "https" if self.app.config.get("TLS_CERT") else "http"
        return f"{scheme}://{state.host}:{state.port}{self._prefix}"

    @property
    def _prefix(self) -> str:
        return "/" + str(self.config.OAS_URL_PREFIX).strip("/")

    def startup(self, bootstrap: "Extend") -> None:
        """Declare the pages.

        Args:
            bootstrap: The extensions of the app.

        Raises:
            InitError: A file that a setting names cannot be read.
        """
        self.app.amend_routes(self._keep)
        pages = self._pages()
        EXCLUDED_BLUEPRINTS.add(pages)
        self.app.blueprint(pages)

    def _keep(self, routes: list[Route]) -> list[Route]:
        self._routes, self._document = routes, None
        return routes

    def document(self) -> dict[str, Any]:
        """The document of the app's API."""
        if self._document is None:
            self._document = self.openapi.build(self._routes)
        return self._document

    def _pages(self) -> Blueprint:
        config = self.config
        pages = Blueprint("openapi", url_prefix=config.OAS_URL_PREFIX)
        shows = {"redoc": (config.OAS_UI_REDOC, config.OAS_URI_TO_REDOC, self._redoc)}
        shows["swagger"] = (config.OAS_UI_SWAGGER, config.OAS_URI_TO_SWAGGER, self._swagger)
        for name, (is_on, uri, usual) in shows.items():
            if is_on:
                own = self._read(f"OAS_PATH_TO_{name.upper()}_HTML")
                make = usual if own is None else partial(str, own)
                pages.add_route(partial(_show, make), uri, name=name)
                if name == config.OAS_UI_DEFAULT:
                    pages.add_route(partial(_show, make), "", name="index")
        if config.OAS_UI_SWAGGER:
            pages.add_route(self._settings, config.OAS_URI_TO_CONFIG, name="openapi_config")
            pages.add_route(_redirect, config.OAS_UI_SWAGGER_OAUTH2_REDIRECT, name="oauth2-redirect")
        pages.add_route(self._spec_handler(), config.OAS_URI_TO_JSON, name="spec")
        return pages

    def _redoc(self) -> str:
        return redoc_page(self.config, self.app.url_for("openapi.spec"))

    def _swagger(self) -> str:
        url_for = self.app.url_for
        return swagger_page(
            self.config,
            url_for("openapi.spec"),
            url_for("openapi.openapi_config"),
            url_for("openapi.oauth2-redirect"),
        )

    def _spec_handler(self) -> Callable[[Request], Awaitable[HTTPResponse]]:
        own = self._read("OAS_CUSTOM_FILE")
        if own is None:
            return self._spec
        kind = (
            "application/json" if str(self.config.OAS_CUSTOM_FILE).endswith(".json") else "application/yaml"
        )
        return partial(_show_own, own, kind)

    def _read(self, setting: str) -> str | None:
        """What is in the file that a setting names; None if it names none."""
        path = self.config[setting]
        if not path:
            return None
        try:
            return Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InitError(f"{setting}: {str(path)!r} cannot be read: {error}") from None

    async def _spec(self, _request: Request) -> HTTPResponse:
        return json(self.document())

    async def _settings(self, _request: Request) -> HTTPResponse:
        return json(self.config.SWAGGER_UI_CONFIGURATION or {})


async def _show(make: Any, _request: Request) -> HTTPResponse:
    return html(make())


async def _show_own(content: str, kind: str, _request: Request) -> HTTPResponse:
    return HTTPResponse(content, content_type=kind)


async def _redirect(_request: Request) -> HTTPResponse:
    return html(REDIRECT_PAGE)
