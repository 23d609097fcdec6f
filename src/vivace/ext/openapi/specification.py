"""The document of an app: what the program says of its API, and what its routes say themselves.

Rules of this file:

- A document is built from the compiled routes, whenever they have changed; nothing runs per request.
- What the program says goes before docstrings, docstrings before what can be guessed.
- Follows OpenAPI 3.0.3.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from vivace.ext.openapi.decorators import COMPONENTS
from vivace.ext.openapi.definitions import (
    ExternalDocumentation,
    MediaType,
    Parameter,
    SecurityScheme,
    SecuritySchemeLocation,
    SecuritySchemeType,
    Server,
    Tag,
    keep_component,
)
from vivace.ext.openapi.docstring import read_docstring
from vivace.ext.openapi.routes import document_path, handler_of, path_parameters
from vivace.ext.openapi.said import EXCLUDED_BLUEPRINTS, OperationBuilder, said_of
from vivace.ext.openapi.types import plain
from vivace.ext.schema import SchemaMaker
from vivace.ext.validation import models_of
from vivace.framework.route import Route

if TYPE_CHECKING:
    from vivace.ext.config import Config
    from vivace.framework.app import Vivace

__all__ = ["VERSION", "SpecificationBuilder"]

VERSION: Final = "3.0.3"
"""The version of OpenAPI that documents follow."""

_METHODS: Final = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE")


class SpecificationBuilder:
    """What the program says of its API: ``app.ext.openapi``.

    Args:
        app: The app.
        config: Settings: API_TITLE, OAS_AUTODOC ...
    """

    def __init__(self, app: "Vivace[Any, Any]", config: "Config") -> None:
        self._app = app
        self._config = config
        self._info: dict[str, Any] = {}
        self._contact: dict[str, Any] = {}
        self._license: dict[str, Any] = {}
        self._tags: dict[str, Tag] = {}
        self._security: list[dict[str, list[str]]] = []
        self._servers: list[Server] = []
        self._external: ExternalDocumentation | None = None
        self._components: dict[tuple[str, str], Any] = {}
        self._paths: dict[str, Any] = {}

    # What the program says

    def describe(
        self, title: str, version: str, description: str | None = None, terms: str | None = None
    ) -> None:
        """Say what the API is.

        Args:
            title: Its name.
            version: Of the API.
            description: In full; may be Markdown.
            terms: Where the terms of service are.
        """
        given = {"title": title, "version": version, "description": description, "termsOfService": terms}
        self._info = {name: value for name, value in given.items() if value is not None}

    def contact(self, name: str | None = None, url: str | None = None, email: str | None = None) -> None:
        """Say whom to ask."""
        given = {"name": name, "url": url, "email": email}
        self._contact = {key: value for key, value in given.items() if value is not None}

    def license(self, name: str | None = None, url: str | None = None) -> None:
        """Say under which terms the API may be used."""
        self._license = {k: v for k, v in {"name": name, "url": url}.items() if v is not None}

    def tag(self, name: str, description: str | None = None, **values: Any) -> None:
        """Describe a tag; ``externalDocs`` may be given too."""
        self._tags[name] = Tag(name, description=description, **values)

    def external(self, url: str, description: str | None = None, **_values: Any) -> None:
        """Say where more is written."""
        self._external = ExternalDocumentation(url, description)

    def url(self, value: str) -> None:
        """Add the URL of a server."""
        self._servers.append(Server(value))

    def secured(self, name: str | None = None, value: str | Sequence[str] | None = None) -> None:
        """Demand a security scheme of every operation.

        Args:
            name: The scheme; None: none is needed.
            value: Its scopes.
        """
        scopes = [value] if isinstance(value, str) else list(value or ())
        self._security.append({} if name is None else {name: scopes})

    def add_security_scheme(
        self,
        ident: str,
        type: str | SecuritySchemeType,  # noqa: A002  # its name in sanic-ext
        *,
        bearer_format: str | None = None,
        description: str | None = None,
        flows: Any = None,
        location: str | SecuritySchemeLocation = SecuritySchemeLocation.HEADER,
        name: str = "authorization",
        openid_connect_url: str | None = None,
        scheme: str = "Bearer",
    ) -> None:
        """Say how clients can show who they are.

        Args:
            ident: What the scheme is called in this document.
            type: ``http``, ``apiKey``, ``oauth2`` or ``openIdConnect``.
            bearer_format: What a bearer token looks like, such as JWT.
            description: In words.
            flows: The ways of OAuth 2.
            location: Where the key is sent: ``header``, ``query`` or ``cookie``.
            name: The field, parameter or cookie of the key.
            openid_connect_url: Where OpenID Connect is described.
            scheme: The scheme of HTTP: ``Bearer``, ``Basic`` ...

        Raises:
            ValueError: The type or the location is none of these.
        """
        kind, place = SecuritySchemeType(type), SecuritySchemeLocation(location)
        own: dict[SecuritySchemeType, dict[str, Any]] = {
            SecuritySchemeType.API_KEY: {"name": name, "location": place.value},
            SecuritySchemeType.HTTP: {"scheme": scheme, "bearer_format": bearer_format},
            SecuritySchemeType.OAUTH2: {"flows": flows},
            SecuritySchemeType.OPEN_ID_CONNECT: {"openid_connect_url": openid_connect_url},
        }
        self.add_component(
            "securitySchemes", ident, SecurityScheme(kind.value, description=description, **own[kind])
        )

    def add_component(self, location: str, name: str, obj: Any) -> None:
        """Add a component: a type, a part of a document, or a mapping."""
        self._components[location, name] = obj

    def has_component(self, location: str, name: str) -> bool:
        """Whether there is such a component."""
        return (location, name) in self._components

    def raw(self, data: dict[str, Any]) -> None:
        """Add parts of a document as they are: info, servers, tags, security, paths, components."""
        self._info |= data.get("info", {})
        self._servers += [Server(**server) for server in data.get("servers", ())]
        self._tags |= {tag["name"]: Tag(**tag) for tag in data.get("tags", ())}
        self._security += data.get("security", ())
        self._paths |= data.get("paths", {})
        for location, parts in data.get("components", {}).items():
            for name, part in parts.items():
                self._components[location, name] = part
        if "externalDocs" in data:
            self._external = ExternalDocumentation(**data["externalDocs"])

    # The document

    def build(self, routes: Iterable[Route]) -> dict[str, Any]:
        """The document of these routes as a mapping.

        Args:
            routes: Those of the app and its blueprints.
        """
        maker = SchemaMaker()
        paths = self._build_paths(list(routes), maker)
        tags = {name: plain(tag, maker) for name, tag in self._tags.items()}
        for operation in (o for path in paths.values() for o in path.values() if isinstance(o, dict)):
            for name in operation.get("tags", ()):
                tags.setdefault(name, {"name": name})
        found = {
            "openapi": VERSION,
            "info": self._build_info(),
            "paths": paths,
            "tags": list(tags.values()),
            "servers": plain([*self._servers, *self._configured_servers()], maker),
            "security": self._security,
        }
        components = self._build_components(maker)
        if components:
            found["components"] = components
        if self._external is not None:
            found["externalDocs"] = plain(self._external, maker)
        return found

    def _setting(self, name: str) -> Any:
        """A setting that has no default: that of the app goes first."""
        found = self._app.config.get(name)
        return self._config.get(name) if found is None else found

    def _build_info(self) -> dict[str, Any]:
        described = {
            "title": self._setting("API_TITLE"),
            "version": self._setting("API_VERSION"),
            "description": self._setting("API_DESCRIPTION"),
            "termsOfService": self._setting("API_TERMS_OF_SERVICE"),
        }
        info = {"title": "API", "version": "1.0.0"} | (self._info or _present(described))
        names = {part: self._setting(f"API_LICENSE_{part.upper()}") for part in ("name", "url")}
        license_ = self._license or _present(names)
        if "name" in license_:
            info.setdefault("license", license_)
        reach = {part: self._setting(f"API_CONTACT_{part.upper()}") for part in ("name", "url", "email")}
        info.setdefault("contact", self._contact or _present(reach))
        info["version"] = str(info["version"])
        return info

    def _configured_servers(self) -> list[Server]:
        host, base = self._setting("API_HOST"), str(self._setting("API_BASEPATH") or "")
        if not host:
            return []
        schemes = self._setting("API_SCHEMES") or ("http",)
        names = schemes.split(",") if isinstance(schemes, str) else schemes
        if "://" in host:
            return [Server(f"{host}/{base.strip('/')}")]
        return [Server(f"{name.strip()}://{host}/{base.strip('/')}") for name in names]

    def _build_components(self, maker: SchemaMaker) -> dict[str, Any]:
        for (field, name), target in {**COMPONENTS, **self._components}.items():
            if isinstance(target, dict):
                maker.components.setdefault(field, {})[name] = plain(target, maker)
            else:
                keep_component(maker, field, name, target)
        return {field: parts for field, parts in maker.components.items() if parts}

    def _build_paths(self, routes: list[Route], maker: SchemaMaker) -> dict[str, Any]:
        paths: dict[str, Any] = {}
        for route in routes:
            blueprint = self._app.blueprints.get(route.blueprint)
            if route.static or blueprint in EXCLUDED_BLUEPRINTS or route.path == "*":
                continue
            for method in _METHODS:
                if method not in route.methods or self._is_ignored(method):
                    continue
                operation = self._operation(route, method, maker)
                if operation is not None:
                    paths.setdefault(document_path(route), {})[method.lower()] = operation
        for path, item in self._paths.items():
            paths[path] = item | paths.get(path, {})
        return paths

    def _is_ignored(self, method: str) -> bool:
        config = self._config
        return (method == "HEAD" and config.OAS_IGNORE_HEAD) or (
            method == "OPTIONS" and config.OAS_IGNORE_OPTIONS
        )

    def _operation(self, route: Route, method: str, maker: SchemaMaker) -> dict[str, Any] | None:
        function = handler_of(route, method)
        said = said_of(function) or said_of(route.handler) or OperationBuilder()
        if said.excluded:
            return None
        reads = said.autodoc and self._config.OAS_AUTODOC
        documented = read_docstring(function.__doc__) if reads else {}
        name = route.name.removeprefix(f"{self._app.name}.")
        operation: dict[str, Any] = {
            "operationId": f"{method.lower()}~{name}",
            "summary": name.rpartition(".")[2].replace("_", " ").title(),
        }
        if route.hosts:
            operation["servers"] = [{"url": f"//{host}"} for host in route.hosts]
        operation |= said.merged(documented, maker)
        if route.blueprint and not said.tags:
            operation["tags"] = [route.blueprint]
        found = self._found_parameters(route, function, operation, maker)
        if found:
            operation["parameters"] = [*operation.get("parameters", ()), *found]
        body = _validated_body(function, maker)
        if body is not None:
            operation.setdefault("requestBody", body)
        operation.setdefault("responses", {"default": {"description": "OK"}})
        return operation

    def _found_parameters(
        self, route: Route, function: Any, operation: dict[str, Any], maker: SchemaMaker
    ) -> list[dict[str, Any]]:
        """The parameters that the path and the validation have, and nothing was said of."""
        known = {p.get("name") for p in operation.get("parameters", ()) if isinstance(p, dict)}
        found = [
            Parameter(name, schema, "path")
            for name, schema in path_parameters(route, function).items()
            if name not in known
        ]
        query = models_of(function).query
        if query is not None:
            schema = maker.make(query)
            required = schema.get("required", ())
            found += [
                Parameter(name, part, required=True if name in required else None)
                for name, part in schema.get("properties", {}).items()
                if name not in known
            ]
        return [plain(parameter, maker) for parameter in found]


def _validated_body(function: Any, maker: SchemaMaker) -> dict[str, Any] | None:
    """The body of an operation that validates it and says nothing more of it."""
    models = models_of(function)
    if models.json is not None:
        return {"content": {"application/json": plain(MediaType(models.json), maker)}, "required": True}
    if models.form is not None:
        part = plain(MediaType(models.form), maker)
        kinds = ("application/x-www-form-urlencoded", "multipart/form-data")
        return {"content": dict.fromkeys(kinds, part), "required": True}
    return None


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
