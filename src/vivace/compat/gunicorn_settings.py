"""What gunicorn's options mean in our settings.

Rules of this file:

- An option that differs from gunicorn's default was asked for: it beats files, environment and the app's
  code. One at its default says nothing, and ours holds; only the time of a graceful stop is never longer
  than gunicorn's, since its arbiter kills what is left by then.
- An option that means something else here is not bent: what has no effect is named in a warning.
- gunicorn is not imported: any object with its settings will do.
- Follows gunicorn's documentation of its settings.
"""

import ssl
from typing import Any, Final

from vivace.config import Config
from vivace.errors import ConfigError
from vivace.interfaces.hosted import explicit
from vivace.server import Tls, read_ssl

__all__ = ["graceful_seconds", "ignored_options", "settings_of", "tls_of", "wants_access_log"]

STOP_MARGIN: Final = 1.0
"""Seconds before the arbiter kills: requests that are left are cut, and the app is told of the stop."""
MIN_LINE: Final = 64
"""REQUEST_MAX_LINE_SIZE takes no less."""
NO_LIMIT: Final = 1 << 20
"""Octets of a line where gunicorn is told to take any."""

_SAME: Final = {
    "asgi_lifespan": "LIFESPAN",
    "asgi_loop": "LOOP",
    "limit_request_fields": "REQUEST_MAX_FIELDS",
    "root_path": "ROOT_PATH",
    "threads": "THREADS",
    "worker_connections": "MAX_CONNECTIONS",
}
"""Options that say the same in the same unit."""
_NO_EFFECT: Final = (
    "forwarder_headers",
    "http_parser",
    "http_protocols",
    "post_request",
    "pre_request",
    "secure_scheme_headers",
    "sendfile",
)
"""Options that a user may count on and that do nothing here."""


def settings_of(cfg: Any, kind: str, config: Config) -> dict[str, object]:
    """The settings that gunicorn's options give.

    Args:
        cfg: gunicorn's configuration.
        kind: Of the app: ``native``, ``asgi``, ``asgi2`` or ``wsgi``. A WSGI app that gunicorn would run in
            one thread gets no more here, unless THREADS says so.
        config: What is known already.
    """
    found: dict[str, object] = {ours: _given(cfg, theirs) for theirs, ours in _SAME.items()}
    found = {name: value for name, value in found.items() if value is not None}
    found["WORKERS"] = max(int(cfg.workers), 1)
    if kind == "wsgi" and not explicit(config, "THREADS"):
        found["THREADS"] = int(cfg.threads)
    keepalive = _given(cfg, "keepalive")
    if keepalive is not None:
        found["KEEP_ALIVE"] = keepalive > 0
        found["KEEP_ALIVE_TIMEOUT"] = float(keepalive)
    if _given(cfg, "limit_request_line") is not None or _given(cfg, "limit_request_field_size") is not None:
        found["REQUEST_MAX_LINE_SIZE"] = _longest_line(cfg)
    return {**found, **_proxies(cfg)}


def _proxies(cfg: Any) -> dict[str, object]:
    """Whom gunicorn was told to believe; peers on Unix sockets it always believes."""
    names = {"forwarded_allow_ips": "TRUSTED_PROXIES", "proxy_allow_ips": "PROXY_PROTOCOL_FROM"}
    given = {ours: _given(cfg, theirs) for theirs, ours in names.items()}
    found: dict[str, object] = {
        name: [*map(str, value), "unix"] for name, value in given.items() if value is not None
    }
    if _given(cfg, "proxy_protocol") is not None:
        found["PROXY_PROTOCOL"] = "on"
    return found


def graceful_seconds(cfg: Any, config: Config) -> float:
    """How long a graceful stop may take, so that it is over when the arbiter would kill."""
    theirs = float(cfg.graceful_timeout)
    most = max(theirs - STOP_MARGIN, theirs / 2)
    if _given(cfg, "graceful_timeout") is not None:
        return most
    return min(float(config.GRACEFUL_SHUTDOWN_TIMEOUT), most)


def ignored_options(cfg: Any) -> list[str]:
    """The options that were given and have no effect."""
    return [name for name in _NO_EFFECT if _given(cfg, name) is not None]


def wants_access_log(cfg: Any) -> bool:
    """Whether any option gives the access log a place to go."""
    to_syslog = cfg.syslog and not cfg.disable_redirect_access_to_syslog
    return bool(
        to_syslog
        or cfg.accesslog
        or cfg.logconfig
        or cfg.logconfig_dict
        or cfg.logconfig_json
        or cfg.statsd_host
    )


def _given(cfg: Any, name: str) -> Any:
    """The value of an option that differs from its default; None if it does not, or gunicorn knows none."""
    setting = cfg.settings.get(name)
    if setting is None:
        return None
    default = setting.default
    usual = setting.validator(default) if default is not None else None  # as the value was
    value = setting.get()
    return value if value != usual else None


def _longest_line(cfg: Any) -> int:
    """One number stands for both of gunicorn's here; nothing that gunicorn takes is refused."""
    sizes = (int(cfg.limit_request_line), int(cfg.limit_request_field_size))
    return NO_LIMIT if 0 in sizes else max(*sizes, MIN_LINE)


def tls_of(cfg: Any) -> Tls | None:
    """The certificates; None if there are none.

    Raises:
        ConfigError: They cannot be used, or are to be verified in a way that is not there.
    """
    if not cfg.is_ssl:
        return None
    if cfg.cert_reqs == ssl.CERT_OPTIONAL:
        raise ConfigError("cert_reqs: clients may be asked for a certificate (2) or not (0)", key="cert_reqs")
    given = {"cert": cfg.certfile, "key": cfg.keyfile or cfg.certfile, "ciphers": cfg.ciphers or ""}
    if cfg.cert_reqs == ssl.CERT_REQUIRED:
        given["ca_certs"] = cfg.ca_certs or ""
    return read_ssl(given)
