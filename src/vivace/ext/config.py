"""The settings of the extensions: one declaration for all of them.

Rules of this file:

- The names and defaults are those that Sanic's programs know.
- What the app's configuration says wins over what `Extend` is given, and that over the default.
- A value is checked where it comes in; unknown upper-case names are the program's own and take any value.
"""

import os
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from vivace.config import Config as AppConfig
from vivace.errors import ConfigError
from vivace.framework.signals import Event

if TYPE_CHECKING:
    from vivace.framework.app import Vivace

__all__ = ["OPTIONS", "Config", "Option", "take_over"]


class Option(NamedTuple):
    """The declaration of one setting.

    Attributes:
        name: Upper case.
        kinds: What a value may be.
        default: The value when nothing is given; `ABSENT`: there is none, and the name is not there.
    """

    name: str
    kinds: tuple[type, ...]
    default: Any

    def check(self, value: object) -> Any:
        """The value, if it is of a kind that the setting takes.

        Raises:
            ConfigError: It is not.
        """
        wrong_bool = isinstance(value, bool) and bool not in self.kinds
        if value is not self.default and (wrong_bool or not isinstance(value, self.kinds)):
            words = ", ".join(_WORDS.get(kind, kind.__name__) for kind in self.kinds)
            raise ConfigError(f"{self.name}: {value!r} cannot be used; expected {words}", key=self.name)
        return value


class _Absent:
    """The type of a default that there is not."""

    def __repr__(self) -> str:
        return "<absent>"


ABSENT: Final = _Absent()
_WORDS: Final[dict[type, str]] = {
    bool: "yes or no",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    tuple: "a tuple",
    dict: "a mapping",
    type(None): "None",
    os.PathLike: "a path",
    re.Pattern: "a compiled regular expression",
    timedelta: "a time span",
}
_NONE: Final = type(None)
_FLAG: Final = (bool,)
_COUNT: Final = (int,)
_TEXT: Final = (str,)
_TEXTS: Final = (str, list, tuple, set, frozenset, _NONE)
_MAYBE: Final = (str, _NONE)
_PATH: Final = (str, os.PathLike)
_LOGGERS: Final = ("sanic.access", "sanic.error", "sanic.root", "sanic.server", "sanic.websockets")
_SWAGGER: Final = {"apisSorter": "alpha", "operationsSorter": "alpha", "docExpansion": "full"}

OPTIONS: Final = tuple(
    Option(*declared)
    for declared in (
        ("CORS", _FLAG, True),
        ("CORS_ALLOW_HEADERS", _TEXTS, "*"),
        ("CORS_ALWAYS_SEND", _FLAG, True),
        ("CORS_AUTOMATIC_OPTIONS", _FLAG, True),
        ("CORS_EXPOSE_HEADERS", _TEXTS, ""),
        ("CORS_MAX_AGE", (int, float, str, timedelta, _NONE), 5),
        ("CORS_METHODS", _TEXTS, ""),
        ("CORS_ORIGINS", (*_TEXTS, re.Pattern), ""),
        ("CORS_SEND_WILDCARD", _FLAG, False),
        ("CORS_SUPPORTS_CREDENTIALS", _FLAG, False),
        ("CORS_VARY_HEADER", _FLAG, True),
        ("HEALTH", _FLAG, False),
        ("HEALTH_ENDPOINT", _FLAG, False),
        ("HEALTH_MAX_MISSES", _COUNT, 3),
        ("HEALTH_MISSED_THRESHHOLD", _COUNT, 10),
        ("HEALTH_MONITOR", _FLAG, True),
        ("HEALTH_REPORT_INTERVAL", _COUNT, 5),
        ("HEALTH_URI_TO_INFO", _TEXT, ""),
        ("HEALTH_URL_PREFIX", _TEXT, "/__health__"),
        ("HTTP_ALL_METHODS", _FLAG, True),
        ("HTTP_AUTO_HEAD", _FLAG, True),
        ("HTTP_AUTO_OPTIONS", _FLAG, True),
        ("HTTP_AUTO_TRACE", _FLAG, False),
        ("INJECTION_LOAD_CUSTOM_CONSTANTS", _FLAG, False),
        ("INJECTION_PRIORITY", _COUNT, -1000),
        ("INJECTION_SIGNAL", _TEXT, Event.HTTP_ROUTING_AFTER),
        ("LOGGERS", _TEXTS, list(_LOGGERS)),
        ("LOGGING", _FLAG, False),
        ("LOGGING_QUEUE_MAX_SIZE", _COUNT, 4096),
        ("OAS", _FLAG, True),
        ("OAS_AUTODOC", _FLAG, True),
        ("OAS_CUSTOM_FILE", (*_PATH, _NONE), None),
        ("OAS_IGNORE_HEAD", _FLAG, True),
        ("OAS_IGNORE_OPTIONS", _FLAG, True),
        ("OAS_PATH_TO_REDOC_HTML", (*_PATH, _NONE), None),
        ("OAS_PATH_TO_SWAGGER_HTML", (*_PATH, _NONE), None),
        ("OAS_UI_DEFAULT", _MAYBE, "redoc"),
        ("OAS_UI_REDOC", _FLAG, True),
        ("OAS_UI_REDOC_CDN_URL", _TEXT, "https://cdn.redoc.ly/redoc/latest/bundles/redoc.standalone.js"),
        ("OAS_UI_REDOC_CUSTOM_CSS", _TEXT, ""),
        ("OAS_UI_REDOC_HTML_TITLE", _TEXT, "ReDoc"),
        ("OAS_UI_SWAGGER", _FLAG, True),
        ("OAS_UI_SWAGGER_CDN_URL", _TEXT, "https://cdnjs.cloudflare.com/ajax/libs/swagger-ui"),
        ("OAS_UI_SWAGGER_CUSTOM_CSS", _TEXT, ""),
        ("OAS_UI_SWAGGER_HTML_TITLE", _TEXT, "OpenAPI Swagger"),
        ("OAS_UI_SWAGGER_OAUTH2_REDIRECT", _TEXT, "/oauth2-redirect.html"),
        ("OAS_UI_SWAGGER_VERSION", _TEXT, "4.10.3"),
        ("OAS_URI_TO_CONFIG", _TEXT, "/swagger-config"),
        ("OAS_URI_TO_JSON", _TEXT, "/openapi.json"),
        ("OAS_URI_TO_REDOC", _TEXT, "/redoc"),
        ("OAS_URI_TO_SWAGGER", _TEXT, "/swagger"),
        ("OAS_URL_PREFIX", _TEXT, "/docs"),
        ("SWAGGER_UI_CONFIGURATION", (dict, _NONE), _SWAGGER),
        ("TEMPLATING_ENABLE_ASYNC", _FLAG, True),
        ("TEMPLATING_PATH_TO_TEMPLATES", (*_PATH, list, tuple), "templates"),
        ("TRACE_EXCLUDED_HEADERS", _TEXTS, ("authorization", "cookie")),
        ("API_BASEPATH", _TEXT, ABSENT),
        ("API_CONTACT_EMAIL", _TEXT, ABSENT),
        ("API_CONTACT_NAME", _TEXT, ABSENT),
        ("API_CONTACT_URL", _TEXT, ABSENT),
        ("API_DESCRIPTION", _TEXT, ABSENT),
        ("API_HOST", _TEXT, ABSENT),
        ("API_LICENSE_NAME", _TEXT, ABSENT),
        ("API_LICENSE_URL", _TEXT, ABSENT),
        ("API_SCHEMES", _TEXTS, ABSENT),
        ("API_TERMS_OF_SERVICE", _TEXT, ABSENT),
        ("API_TITLE", _TEXT, ABSENT),
        ("API_VERSION", (str, int, float), ABSENT),
    )
)
"""Every setting."""

_BY_NAME: Final = {option.name: option for option in OPTIONS}


class Config(dict[str, Any]):
    """The settings of the extensions, as upper-case items and attributes.

    Args:
        values: By the names of the settings, in upper or lower case.

    Raises:
        ConfigError: A value is not what its setting takes.
    """

    def __init__(self, **values: Any) -> None:
        super().__init__(
            {option.name: _copy(option.default) for option in OPTIONS if option.default is not ABSENT}
        )
        self.given: set[str] = set()
        self.update(values)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Self:
        """The settings of a mapping; the names may be in lower case."""
        return cls(**mapping)

    def update(self, *others: Any, **values: Any) -> None:
        """Set several values."""
        for other in (*others, values):
            pairs: Iterable[Any] = other.items() if isinstance(other, Mapping) else other
            for name, value in pairs:
                self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        key = name.upper()
        option = _BY_NAME.get(key)
        super().__setitem__(key, value if option is None else option.check(value))
        self.given.add(key)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no setting of an extension is called {name}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name.isupper():
            self[name] = value
        else:
            object.__setattr__(self, name, value)


def take_over(app: "Vivace[Any, Any]", given: Any, values: Mapping[str, Any]) -> Config:
    """The settings for an app; its configuration gets the names that it lacks.

    Args:
        app: What it says goes first.
        given: A `Config` or a mapping, or None.
        values: More of them.

    Raises:
        ConfigError: `given` is something else, or a value is not what its setting takes.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"config={given!r}: expected a Config of the extensions or a mapping")
    config = given if isinstance(given, Config) else Config(**(given or {}))
    config.update(values)
    known: AppConfig = app.config
    for name in config:
        if name in known:
            config[name] = known[name]
    app.config.update({name: value for name, value in config.items() if name not in known})
    return config


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, list | dict) else value
