"""The folders of STATIC: files below a path, for an app of any kind.

Rules of this file:

- The files are those of a small Vivace app of its own, mounted at the prefix: the app that is served knows
  nothing of it, and no thread or callable of it is used.
"""

from vivace.config import Config
from vivace.errors import ConfigError
from vivace.framework.mount import Mount, check_prefix

__all__ = ["static_mounts"]


def static_mounts(config: Config) -> list[Mount]:
    """What STATIC wants mounted.

    Raises:
        ConfigError: A prefix cannot be, or there is no such folder.
    """
    return [_mount(*item.partition("=")[::2]) for item in config.STATIC.split()]


def _mount(prefix: str, folder: str) -> Mount:
    from vivace.framework.app import Vivace  # a server of other apps has not loaded it yet

    bare = check_prefix(prefix)
    app: Vivace[Config, object] = Vivace(f"files{bare.replace('/', '-') or '-'}")
    try:
        app.static("/", folder, resource_type="dir")
    except ConfigError as error:
        raise ConfigError(f"STATIC: {prefix}={folder}: {error}", key="STATIC") from None
    return Mount(bare, app, "native")
