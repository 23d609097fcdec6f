"""Which interface an app of a kind is served by.

Rules of this file:

- The only place that maps kinds to interfaces; each is imported when an app of its kind is served.
"""

from typing import Any

from vivace.config import Config
from vivace.errors import ConfigError
from vivace.framework.forwarded import trusts_proxies
from vivace.server import Interface

__all__ = ["make_interface"]


def make_interface(app: Any, kind: str, config: Config, root_path: str = "") -> Interface:
    """The interface of an app.

    Args:
        app: The app.
        kind: ``native``, ``asgi``, ``asgi2`` or ``wsgi``.
        config: The settings to serve with.
        root_path: The path under which the app is mounted; empty or with a leading slash and no trailing one.

    Raises:
        ConfigError: There is no such kind.
    """
    if kind == "native":
        from vivace.interfaces.native import NativeInterface

        return NativeInterface(app, root_path)
    hosted = _host(app, kind, config, root_path)
    if trusts_proxies(config):
        from vivace.interfaces.forwarded import ForwardedInterface

        return ForwardedInterface(hosted, config)
    return hosted


def _host(app: Any, kind: str, config: Config, root_path: str) -> Interface:
    if kind in ("asgi", "asgi2"):
        from vivace.interfaces.asgi import AsgiInterface

        return AsgiInterface(app, config, root_path, version=2 if kind == "asgi2" else 3)
    if kind == "wsgi":
        from vivace.interfaces.wsgi import WsgiInterface

        return WsgiInterface(app, config, root_path)
    raise ConfigError(f"no interface for apps of kind {kind!r}", allowed=("native", "asgi", "asgi2", "wsgi"))
