"""Where the names of Sanic live with us: one declaration for the whole alias.

A line of the declaration reads: their name, or ``theirs=ours``, several of them, for a module of ours.

Rules of this file:

- A name is here when a program that uses it gets what it expects; a name that is not is better missing.
- Why a well-known name is missing is said in `MISSING`, in a sentence that names the nearest thing.
"""

from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["MISSING", "MODULES"]

_EXCEPTIONS: Final = """
SanicException HTTPException BadRequest BadURL=BadRequest ContentRangeError=RangeNotSatisfiable
ExpectationFailed FileNotFound Forbidden HeaderExpectationFailed HeaderNotFound
InternalServerError InvalidHeader InvalidRangeType InvalidSignal InvalidUsage LoadFileException
MethodNotAllowed MethodNotSupported NotFound PayloadTooLarge PyFileError RangeNotSatisfiable
RequestCancelled=ClientDisconnected RequestTimeout ServerError ServerKilled=StartupError ServiceUnavailable
URITooLong URLBuildError Unauthorized WebsocketClosed
"""
_TOP_EXCEPTIONS: Final = """
SanicException BadRequest ExpectationFailed FileNotFound Forbidden HeaderNotFound
InternalServerError InvalidHeader MethodNotAllowed NotFound RangeNotSatisfiable ServerError
ServiceUnavailable Unauthorized
"""
_CONSTANTS: Final = (
    "HTTPMethod HTTP_METHODS SAFE_HTTP_METHODS IDEMPOTENT_HTTP_METHODS CACHEABLE_HTTP_METHODS"
    " DEFAULT_HTTP_CONTENT_TYPE DEFAULT_LOCAL_TLS_CERT DEFAULT_LOCAL_TLS_KEY LocalCertCreator UpperStrEnum"
)
_LOG: Final = (
    "Colors LOGGING_CONFIG_DEFAULTS VerbosityFilter access_logger deprecation error_logger logger"
    " server_logger websockets_logger"
)
_FORMATTERS: Final = (
    "AutoFormatter AutoAccessFormatter DebugFormatter DebugAccessFormatter ProdFormatter ProdAccessFormatter"
    " LegacyFormatter LegacyAccessFormatter JSONFormatter JSONAccessFormatter"
)
_CLIENTS: Final = (
    "SanicTestClient SanicASGITestClient TestingResponse HOST PORT ASGI_HOST ASGI_PORT ASGI_BASE_URL"
)
_OURS: Final = "vivace.compat.sanic."
_OPENAPI: Final = {
    "vivace.ext.openapi": (
        "component deprecated description document exclude no_autodoc operation parameter response secured"
        " summary tag"
    ),
    _OURS + "validation": "body definition",
}
_DEFINITIONS: Final = (
    "Component Components Contact Example ExternalDocumentation Flow Flows Header Info License MediaType"
    " Operation Parameter PathItem Reference RequestBody Response SecurityRequirement SecurityScheme Server"
    " ServerVariable Tag"
)
_TYPES: Final = (
    "AnyValue Array Binary Boolean Byte Date DateTime Definition Double Email Float Integer Long Object"
    " Password Schema String Time UUID"
)

_DECLARED: Final[dict[str, dict[str, str]]] = {
    "sanic": {
        _OURS + "app": "Sanic DefaultSanic=Sanic",
        _OURS + "blueprint": "Blueprint",
        "vivace.framework.websocket": "Websocket",
        _OURS + "constants": "HTTPMethod __version__=VERSION",
        _OURS + "config": "Config",
        _OURS + "request": "Request DefaultRequest=Request",
        _OURS + "response": "HTTPResponse empty file html json raw redirect text",
        "vivace.errors": _TOP_EXCEPTIONS,
    },
    "sanic.__main__": {_OURS + "command": "main"},
    "sanic.__version__": {_OURS + "constants": "__version__=VERSION"},
    "sanic.app": {_OURS + "app": "Sanic"},
    "sanic.application": {},
    "sanic.asgi": {_OURS + "later": "ASGIApp"},
    "sanic.application.state": {
        "vivace.framework.state": "ApplicationState=AppState Mode Server ServerStage",
        _OURS + "preparing": "ApplicationServerInfo",
    },
    "sanic.application.constants": {
        "vivace.framework.state": "Mode Server ServerStage",
        "enum": "StrEnum",
    },
    "sanic.base": {},
    "sanic.base.root": {"vivace.framework.registry": "BaseSanic=Registry"},
    "sanic.blueprint_group": {"vivace.framework.blueprint": "BlueprintGroup"},
    "sanic.blueprints": {
        _OURS + "blueprint": "Blueprint",
        "vivace.framework.blueprint": "BlueprintGroup",
    },
    "sanic.cli": {},
    "sanic.compat": {
        _OURS + "header": "Header",
        _OURS + "constants": "UpperStrEnum",
        _OURS + "helpers": "OS_IS_WINDOWS ctrlc_workaround_for_windows open_async use_context",
        _OURS + "pieces": (
            "CancelledErrors=CANCELLED_ERRORS PYPY_IMPLEMENTATION=IS_PYPY PYTHON_314_OR_LATER=IS_PYTHON_314"
        ),
    },
    "sanic.config": {
        "vivace.config.convert": "DetailedConverter",
        _OURS + "config": "Config DEFAULT_CONFIG DEFAULT_FORMAT SANIC_PREFIX",
        _OURS + "errorpages": "check_error_format",
    },
    "sanic.constants": {_OURS + "constants": _CONSTANTS},
    "sanic.cookies": {_OURS + "cookies": "Cookie CookieJar"},
    "sanic.cookies.request": {
        "vivace.http.cookies": "CookieRequestParameters parse_cookie",
        "vivace.http.url": "RequestParameters",
    },
    "sanic.cookies.response": {_OURS + "cookies": "Cookie CookieJar"},
    "sanic.errorpages": {
        _OURS + "errorpages": (
            "BaseRenderer HTMLRenderer JSONRenderer TextRenderer CONFIG_BY_MIME DEFAULT_FORMAT"
            " FALLBACK_STATUS FALLBACK_TEXT JSON MIME_BY_CONFIG RENDERERS_BY_CONTENT_TYPE RESPONSE_MAPPING"
            " STATUS_CODES check_error_format exception_response guess_mime"
        ),
        _OURS + "pieces": "escape",
    },
    "sanic.exceptions": {
        "vivace.errors": _EXCEPTIONS,
        _OURS + "helpers": "STATUS_CODES",
    },
    "sanic.handlers": {
        _OURS + "handlers": "ErrorHandler",
        _OURS + "static": "DirectoryHandler",
        _OURS + "content_range": "ContentRangeHandler",
    },
    "sanic.handlers.content_range": {_OURS + "content_range": "ContentRangeHandler"},
    "sanic.handlers.directory": {_OURS + "static": "DirectoryHandler"},
    "sanic.handlers.error": {_OURS + "handlers": "ErrorHandler"},
    "sanic.headers": {
        _OURS + "accept": "AcceptList Matched MediaType parse_accept",
        _OURS + "headers": (
            "format_http1_response fwd_normalize fwd_normalize_address parse_content_header parse_credentials"
            " parse_forwarded parse_host parse_xforwarded"
        ),
    },
    "sanic.helpers": {
        _OURS + "helpers": (
            "Default _default=default STATUS_CODES has_message_body import_string is_entity_header"
            " is_hop_by_hop_header"
        ),
        _OURS + "pieces": "is_atty",
    },
    "sanic.http": {_OURS + "later": "Http"},
    "sanic.http.http1": {_OURS + "later": "Http", _OURS + "log": "access_logger error_logger logger"},
    "sanic.http.constants": {_OURS + "constants": "HTTP"},
    "sanic.http.tls": {_OURS + "tls": "get_ssl_context process_to_context"},
    "sanic.http.tls.context": {
        _OURS + "tls": (
            "CIPHERS_TLS12 CertSelector CertSimple SanicSSLContext create_context find_cert load_cert_dir"
            " match_hostname process_to_context shorthand_to_ctx"
        )
    },
    "sanic.http.tls.creators": {
        _OURS + "tls": "CIPHERS_TLS12 get_ssl_context",
        _OURS + "constants": "DEFAULT_LOCAL_TLS_CERT DEFAULT_LOCAL_TLS_KEY LocalCertCreator",
    },
    "sanic.log": {_OURS + "log": _LOG},
    "sanic.logging": {},
    "sanic.logging.color": {_OURS + "log": "Colors"},
    "sanic.logging.default": {_OURS + "log": "LOGGING_CONFIG_DEFAULTS"},
    "sanic.logging.deprecation": {_OURS + "log": "deprecation"},
    "sanic.logging.filter": {_OURS + "log": "VerbosityFilter"},
    "sanic.logging.formatter": {_OURS + "formatter": _FORMATTERS},
    "sanic.logging.loggers": {_OURS + "log": _LOG},
    "sanic.middleware": {_OURS + "middleware": "Middleware MiddlewareLocation"},
    "sanic.mixins": {},
    "sanic.mixins.commands": {"vivace.framework.commands": "CommandMixin=Commands"},
    "sanic.mixins.exceptions": {"vivace.framework.hooks": "ExceptionMixin=Hooks"},
    "sanic.mixins.listeners": {"vivace.framework.hooks": "ListenerMixin=Hooks"},
    "sanic.mixins.middleware": {"vivace.framework.hooks": "MiddlewareMixin=Hooks"},
    "sanic.mixins.routes": {"vivace.framework.registry": "RouteMixin=Registry"},
    "sanic.mixins.signals": {"vivace.framework.signal_hooks": "SignalMixin=SignalHooks"},
    "sanic.mixins.startup": {"vivace.framework.running": "StartupMixin=Runnable"},
    "sanic.mixins.static": {"vivace.framework.registry": "StaticMixin=Registry"},
    "sanic.models": {},
    "sanic.models.ctx_types": {_OURS + "serving": "REPLContext"},
    "sanic.models.protocol_types": {_OURS + "content_range": "HTMLProtocol Range"},
    "sanic.models.handler_types": {
        _OURS + "handler_types": (
            "ErrorMiddlewareType ListenerType MiddlewareResponse MiddlewareType RequestMiddlewareType"
            " ResponseMiddlewareType RouteHandler SignalHandler"
        )
    },
    "sanic.models.http_types": {_OURS + "request": "Credentials"},
    "sanic.models.server_types": {
        "vivace.framework.conn_info": "ConnInfo=ConnectionInfo",
        _OURS + "pieces": "Signal",
    },
    "sanic.request": {
        _OURS + "request": "Request",
        _OURS + "form": "File parse_multipart_form",
        "vivace.http.url": "RequestParameters",
    },
    "sanic.request.form": {_OURS + "form": "File parse_multipart_form"},
    "sanic.request.parameters": {"vivace.http.url": "RequestParameters"},
    "sanic.request.types": {
        _OURS + "request": "Request",
        _OURS + "constants": (
            "CACHEABLE_HTTP_METHODS DEFAULT_HTTP_CONTENT_TYPE IDEMPOTENT_HTTP_METHODS SAFE_HTTP_METHODS"
        ),
    },
    "sanic.response": {
        _OURS + "response": (
            "BaseHTTPResponse HTTPResponse JSONResponse ResponseStream empty file file_stream"
            " guess_content_type html json json_dumps raw redirect text validate_file"
        ),
    },
    "sanic.response.convenience": {
        _OURS + "response": (
            "HTTPResponse JSONResponse ResponseStream empty file file_stream guess_content_type html json raw"
            " redirect text validate_file"
        ),
    },
    "sanic.response.types": {
        _OURS + "response": "BaseHTTPResponse HTTPResponse JSONResponse ResponseStream json_dumps",
    },
    "sanic.router": {
        _OURS + "router": "Router",
        "vivace.framework.route": "Route",
        _OURS + "constants": "ALLOWED_LABELS HTTP_METHODS",
    },
    "sanic.server": {
        "vivace.framework.conn_info": "ConnInfo=ConnectionInfo",
        "vivace.framework.protocol": "HttpProtocol",
        "vivace.compat.sanic.async_server": "AsyncioServer",
        _OURS + "pieces": "Signal",
    },
    "sanic.server.async_server": {"vivace.compat.sanic.async_server": "AsyncioServer"},
    "sanic.server.protocols": {},
    "sanic.server.protocols.base_protocol": {"vivace.framework.protocol": "SanicProtocol=HttpProtocol"},
    "sanic.server.protocols.http_protocol": {"vivace.framework.protocol": "HttpProtocol"},
    "sanic.server.protocols.websocket_protocol": {"vivace.framework.protocol": "WebSocketProtocol"},
    "sanic.server.websockets": {},
    "sanic.server.websockets.connection": {"vivace.framework.websocket": "WebSocketConnection=Websocket"},
    "sanic.server.websockets.impl": {"vivace.framework.websocket": "WebsocketImplProtocol=Websocket"},
    "sanic.signals": {
        "vivace.framework.signals": (
            "Event GENERIC_SIGNAL_FORMAT RESERVED_NAMESPACES Signal=SignalSpec SignalGroup"
        ),
        _OURS + "signals": "SignalRouter",
    },
    "sanic.types": {_OURS + "shared": "SharedContext", _OURS + "pieces": "HashableDict"},
    "sanic.types.hashable_dict": {_OURS + "pieces": "HashableDict"},
    "sanic.types.shared_ctx": {_OURS + "shared": "SharedContext"},
    "sanic.utils": {_OURS + "helpers": "import_string load_module_from_file_location str_to_bool"},
    "sanic.views": {_OURS + "views": "HTTPMethodView", "vivace.framework.views": "stream"},
    "sanic.worker": {"vivace.compat.gunicorn": "GunicornWorker"},
    "sanic.worker.constants": {_OURS + "constants": "ProcessState RestartOrder"},
    "sanic.worker.inspector": {_OURS + "later": "Inspector"},
    "sanic.worker.loader": {
        _OURS + "worker": "AppLoader",
        _OURS + "tls": "CertLoader",
        _OURS + "constants": "DEFAULT_APP_NAME",
    },
    "sanic.worker.manager": {_OURS + "later": "WorkerManager"},
    "sanic.worker.state": {_OURS + "multiplexer": "WorkerState"},
    "sanic.worker.multiplexer": {_OURS + "multiplexer": "WorkerMultiplexer"},
    "sanic.worker.process": {_OURS + "later": "Worker WorkerProcess"},
    "sanic.worker.reloader": {_OURS + "later": "Reloader"},
    "sanic_ext": {
        "vivace.ext.config": "Config",
        "vivace.ext.cors": "cors",
        "vivace.ext.counted": "CountedRequest",
        "vivace.ext.extend": "Extend",
        "vivace.ext.extension": "Extension",
        "vivace.ext.serializer": "serializer",
        "vivace.ext.templating": "render",
        _OURS + "constants": "__version__=EXT_VERSION",
        _OURS + "validation": "validate",
    },
    "sanic_ext.bootstrap": {"vivace.ext.extend": "Extend"},
    "sanic_ext.config": {"vivace.ext.config": "Config"},
    "sanic_ext.exceptions": {"vivace.ext.errors": "ExtensionNotFound InitError ValidationError"},
    "sanic_ext.extensions": {},
    "sanic_ext.openapi": _OPENAPI,
    "sanic_ext.extensions.base": {"vivace.ext.extension": "Extension"},
    "sanic_ext.extensions.injection": {},
    "sanic_ext.extensions.injection.extension": {"vivace.ext.injection": "InjectionExtension"},
    "sanic_ext.extensions.injection.constructor": {"vivace.ext.dependencies": "Constructor"},
    "sanic_ext.extensions.health": {"vivace.ext.health": "HealthExtension"},
    "sanic_ext.extensions.health.extension": {"vivace.ext.health": "HealthExtension"},
    "sanic_ext.extensions.logging": {"vivace.ext.logging": "LoggingExtension"},
    "sanic_ext.extensions.logging.extension": {"vivace.ext.logging": "LoggingExtension"},
    "sanic_ext.extensions.http": {"vivace.ext.http": "HTTPExtension"},
    "sanic_ext.extensions.http.cors": {"vivace.ext.cors": "cors"},
    "sanic_ext.extensions.http.extension": {"vivace.ext.http": "HTTPExtension"},
    "sanic_ext.extensions.templating": {"vivace.ext.templating": "render"},
    "sanic_ext.extensions.templating.engine": {"vivace.ext.templating": "Templating"},
    "sanic_ext.extensions.templating.extension": {"vivace.ext.templating": "TemplatingExtension"},
    "sanic_ext.extensions.templating.render": {
        "vivace.ext.templating": "LazyResponse TemplateResponse render"
    },
    "sanic_ext.extensions.openapi": {"vivace.ext.openapi.extension": "OpenAPIExtension"},
    "sanic_ext.extensions.openapi.autodoc": {},
    "sanic_ext.extensions.openapi.builders": {
        "vivace.ext.openapi.specification": "SpecificationBuilder",
        "vivace.ext.openapi.said": "OperationBuilder",
    },
    "sanic_ext.extensions.openapi.constants": {
        "vivace.ext.openapi.definitions": (
            "SecuritySchemeAuthorization SecuritySchemeLocation SecuritySchemeType"
        )
    },
    "sanic_ext.extensions.openapi.definitions": {"vivace.ext.openapi.definitions": _DEFINITIONS},
    "sanic_ext.extensions.openapi.extension": {"vivace.ext.openapi.extension": "OpenAPIExtension"},
    "sanic_ext.extensions.openapi.openapi": _OPENAPI,
    "sanic_ext.extensions.openapi.types": {"vivace.ext.openapi.types": _TYPES},
    "sanic_ext.extras": {},
    "sanic_ext.extras.request": {"vivace.ext.counted": "CountedRequest"},
    "sanic_ext.extras.serializer": {},
    "sanic_ext.utils": {},
    "sanic_ext.utils.extraction": {"vivace.ext.arguments": "extract_request"},
    "sanic_ext.extras.serializer.decorator": {"vivace.ext.serializer": "serializer"},
    "sanic_ext.extras.validation": {},
    "sanic_ext.extras.validation.decorator": {_OURS + "validation": "validate"},
    "sanic_routing": {
        _OURS + "router": "BaseRouter=Router RouteGroup",
        "vivace.framework.route": "Route",
        _OURS + "constants": "__version__=ROUTING_VERSION",
    },
    "sanic_routing.exceptions": {
        "vivace.errors": (
            "BadMethod BaseException=RoutingError FinalizationError InvalidUsage=InvalidRoute"
            " NoMethod=MethodNotAllowed NotFound ParameterNameConflicts RouteExists"
        )
    },
    "sanic_routing.group": {_OURS + "router": "RouteGroup"},
    "sanic_routing.patterns": {
        _OURS + "patterns": (
            "ExtParamInfo ParamInfo REGEX_TYPES REGEX_TYPES_ANNOTATION alpha ext nonemptystr parse_date slug"
        )
    },
    "sanic_routing.route": {"vivace.framework.route": "Route", _OURS + "router": "Requirements"},
    "sanic_routing.router": {_OURS + "router": "BaseRouter=Router"},
    "sanic_testing": {
        "vivace.testing.manager": "TestManager",
        _OURS + "constants": "__version__=TESTING_VERSION",
    },
    "sanic_testing.manager": {"vivace.testing.manager": "TestManager"},
    "sanic_testing.reusable": {"vivace.testing.pairs": "ReusableClient HOST PORT"},
    "sanic_testing.testing": {"vivace.testing.pairs": _CLIENTS},
    "sanic_testing.websocket": {"vivace.testing.mimic": "WebsocketProxy websocket_proxy"},
}


def _expand(homes: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for home, names in homes.items():
        for entry in names.split():
            theirs, _, ours = entry.partition("=")
            yield theirs, f"{home}:{ours or theirs}"


MODULES: Final[dict[str, dict[str, str]]] = {
    module: dict(_expand(homes)) for module, homes in _DECLARED.items()
}
"""For each module of the alias its names, and for each name ``module:attribute`` of ours."""

_NO_HTTP3: Final = "HTTP/3 comes with a later version; a proxy in front can speak it"
_NO_STREAM: Final = "it left Sanic in 22.x; the nearest is ResponseStream, or `await request.respond()`"
_PROCESSES: Final = (
    "workers are kept by vivace.supervisor; app.restart(), app.scale() and `vivace ctl` command it"
)

_INSIDE: Final = "it is a part of Sanic's inside; the nearest is "
_LOOP: Final = "the event loop is the one that Python has; the nearest is asyncio.set_event_loop_policy()"
_EXT_INSIDE: Final = "it is a part of sanic-ext's inside; the nearest is "

MISSING: Final[dict[str, str]] = {
    "sanic.http.http3": _NO_HTTP3,
    "sanic.http.Http3": _NO_HTTP3,
    "sanic.worker.restarter": _PROCESSES,
    "sanic.worker.daemon": "systemd or a container keeps it in the background; see docs/deploy-systemd.md",
    "sanic.worker.serve": _INSIDE + "app.run() or Sanic.serve()",
    "sanic.application.ext": _INSIDE + "app.extend()",
    "sanic.application.logo": _INSIDE + "the setting LOGO",
    "sanic.application.motd": _INSIDE + "app.motd() and the settings MOTD and MOTD_DISPLAY",
    "sanic.application.spinner": _INSIDE + "the logger sanic.root",
    "sanic.asgi.Lifespan": _INSIDE + "app.listener()",
    "sanic.base.meta": _INSIDE + "sanic.Sanic",
    "sanic.cli.app": _INSIDE + "the command `vivace run --sanic module:app`",
    "sanic.cli.arguments": _INSIDE + "the command `vivace run --help`",
    "sanic.cli.console": "there is no interactive session yet; the nearest is `python -i`",
    "sanic.cli.executor": _INSIDE + "the command `vivace exec module:app NAME`",
    "sanic.cli.inspector": "there is no inspector; the nearest are signals to the process",
    "sanic.config.DescriptorMeta": _INSIDE + "sanic.config.Config",
    "sanic.http.stream": _INSIDE + "sanic.response.ResponseStream",
    "sanic.http.Stage": _INSIDE + "request.responded",
    "sanic.http.constants.Stage": _INSIDE + "request.responded",
    "sanic.http.tls.creators.CertCreator": _INSIDE + "sanic.http.tls.get_ssl_context",
    "sanic.http.tls.creators.MkcertCreator": _INSIDE + "sanic.http.tls.get_ssl_context",
    "sanic.http.tls.creators.TrustmeCreator": _INSIDE + "sanic.http.tls.get_ssl_context",
    "sanic.logging.setup": _INSIDE + "the argument log_config of Sanic()",
    "sanic.mixins.base": _INSIDE + "sanic.Sanic",
    "sanic.mixins.listeners.ListenerEvent": _INSIDE + "app.before_server_start and its like",
    "sanic.models.asgi": _INSIDE + "app.asgi_client",
    "sanic.models.futures": "declarations are kept in app.route_specs, middleware_specs and listener_specs",
    "sanic.models.protocol_types.TransportProtocol": _INSIDE + "request.transport",
    "sanic.pages": _INSIDE + "sanic.errorpages",
    "sanic.server.events": _INSIDE + "app.run_listeners(stage)",
    "sanic.server.goodbye": "nothing is said at the end but that it is one",
    "sanic.server.loop": _LOOP,
    "sanic.server.try_use_uvloop": _LOOP,
    "sanic.server.runners": _INSIDE + "app.run(), app.create_server() or Sanic.serve()",
    "sanic.server.serve": _INSIDE + "app.run(), app.create_server() or Sanic.serve()",
    "sanic.server.socket": _INSIDE + "app.run(sock=...) or app.run(unix=...)",
    "sanic.server.protocols.http_protocol.Http3Protocol": _NO_HTTP3,
    "sanic.server.protocols.http_protocol.HttpProtocolMixin": _INSIDE + "sanic.server.HttpProtocol",
    "sanic.signals.SignalWaiter": _INSIDE + "app.event()",
    "sanic.simple": _INSIDE + "app.static('/', folder)",
    "sanic.startup": _INSIDE + "the exit code and the log",
    "sanic.worker.manager.MonitorCycle": _PROCESSES,
    "sanic_routing.line": _INSIDE + "app.router",
    "sanic_routing.tree": _INSIDE + "app.router",
    "sanic_routing.utils": _INSIDE + "app.router",
    "sanic.response.stream": _NO_STREAM,
    "sanic.response.StreamingHTTPResponse": _NO_STREAM,
    "sanic_ext.config.add_fallback_config": _EXT_INSIDE + "app.extend(config=...)",
    "sanic_ext.extensions.health.endpoint": _EXT_INSIDE + "vivace.ext.health.Health(app)",
    "sanic_ext.extensions.health.monitor": "the supervisor replaces workers that die, without a monitor",
    "sanic_ext.extensions.http.methods": _EXT_INSIDE + "the settings HTTP_AUTO_HEAD and HTTP_AUTO_OPTIONS",
    "sanic_ext.extensions.http.cors.CORSSettings": _EXT_INSIDE + "vivace.ext.cors.CORS",
    "sanic_ext.extensions.http.cors.add_cors": _EXT_INSIDE + "vivace.ext.cors.CORS(app, ...)",
    "sanic_ext.extensions.injection.injector": _EXT_INSIDE + "app.ext.add_dependency()",
    "sanic_ext.extensions.injection.registry": _EXT_INSIDE + "app.ext.add_dependency()",
    "sanic_ext.extensions.logging.logger": _EXT_INSIDE + "the setting LOGGING",
    "sanic_ext.extras.validation.check": _EXT_INSIDE + "sanic_ext.validate",
    "sanic_ext.extras.validation.validators": _EXT_INSIDE + "sanic_ext.validate",
    "sanic.touchup": "nothing is rewritten at the start: what nobody listens to costs nothing here",
}
