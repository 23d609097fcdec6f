"""What gunicorn's options mean in our settings.

Rules of this file:

- An option that differs from gunicorn's default was asked for: it beats files, environment and the app's
  code. One at its default says nothing, and ours holds; only the time of a graceful stop is never longer
  than gunicorn's, since its arbiter kills what is left by then.
- An option that means something else here is not bent: what has no effect is named in a warning.
- gunicorn is not imported: any object with its settings will do.
- Follows gunicorn's documentation of its settings.
"""

from collections.abc import Mapping
from typing import Any, Final

from vivace.config import Config

__all__ = ["graceful_seconds", "ignored_options", "settings_of"]

STOP_MARGIN: Final = 1.0
"""Seconds before the arbiter kills: requests that are left are cut, and the app is told of the stop."""
MIN_LINE: Final = 64
"""REQUEST_MAX_LINE_SIZE takes no less."""

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
    "forwarded_allow_ips",
    "forwarder_headers",
    "http_parser",
    "http_protocols",
    "proxy_allow_ips",
    "proxy_protocol",
    "secure_scheme_headers",
    "sendfile",
)
"""Options that a user may count on and that do nothing here."""


def settings_of(cfg: Any, kind: str) -> dict[str, object]:
    """The settings that gunicorn's options give.

    Args:
        cfg: gunicorn's configuration.
        kind: Of the app: ``native``, ``asgi``, ``asgi2`` or ``wsgi``. A WSGI app that gunicorn would run in
            one thread gets no more here.
    """
    given = _given(cfg)
    found: dict[str, object] = {ours: given[theirs] for theirs, ours in _SAME.items() if theirs in given}
    found["WORKERS"] = max(int(cfg.workers), 1)
    if kind == "wsgi":
        found["THREADS"] = int(cfg.threads)
    if "keepalive" in given:
        found["KEEP_ALIVE"] = given["keepalive"] > 0
        found["KEEP_ALIVE_TIMEOUT"] = float(given["keepalive"])
    if "limit_request_line" in given or "limit_request_field_size" in given:
        found["REQUEST_MAX_LINE_SIZE"] = _longest_line(cfg)
    return found


def graceful_seconds(cfg: Any, config: Config) -> float:
    """How long a graceful stop may take, so that it is over when the arbiter would kill."""
    theirs = float(cfg.graceful_timeout)
    most = max(theirs - STOP_MARGIN, theirs / 2)
    if "graceful_timeout" in _given(cfg):
        return most
    return min(float(config.GRACEFUL_SHUTDOWN_TIMEOUT), most)


def ignored_options(cfg: Any) -> list[str]:
    """The options that were given and have no effect."""
    given = _given(cfg)
    return [name for name in _NO_EFFECT if name in given]


def _given(cfg: Any) -> Mapping[str, Any]:
    """The options that differ from their defaults."""
    given = {}
    for name, setting in cfg.settings.items():
        default = setting.default
        if callable(setting.validator) and isinstance(default, str | list | tuple):
            default = setting.validator(default)  # as the value was
        value = setting.get()
        if value != default:
            given[name] = value
    return given


def _longest_line(cfg: Any) -> int:
    """One number stands for both of gunicorn's here; nothing that gunicorn takes is refused."""
    sizes = (int(cfg.limit_request_line), int(cfg.limit_request_field_size))
    return 1 << 20 if 0 in sizes else max(*sizes, MIN_LINE)
