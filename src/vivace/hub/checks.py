"""Whether the hub can be as its settings say, found out before anything is started.

Rules of this file:

- What a setting asks for and cannot be had is refused, not left out: nobody reads a warning of last week.
- Nothing is connected to, and nothing is made.
"""

import os
from typing import Any

from vivace.errors import ConfigError

__all__ = ["check_settings"]


def check_settings(config: Any) -> list[str]:
    """Look at HUB_URL and HUB_JOURNAL.

    Args:
        config: The settings.

    Returns:
        What is of no use, in words.

    Raises:
        ConfigError: One of them cannot be used.
    """
    if config.HUB_URL:
        from vivace.hub.engines import check_url

        check_url(config.HUB_URL)
        if config.HUB_JOURNAL:
            return ["HUB_JOURNAL is of no use with HUB_URL: the engine keeps the histories"]
    elif config.HUB_JOURNAL:
        try:
            _look_at(config.HUB_JOURNAL)
        except OSError as error:
            told = f"HUB_JOURNAL {config.HUB_JOURNAL} cannot be used: {error.strerror or error}"
            raise ConfigError(told, key="HUB_JOURNAL") from error
    return []


def _look_at(path: str) -> None:
    """Whether there can be a journal.

    Raises:
        OSError: There cannot.
    """
    from vivace.hub.journal import open_file

    if os.path.lexists(path):
        os.close(open_file(path, os.O_RDWR))
        return
    folder = os.path.dirname(path) or "."
    os.stat(folder)
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)):
        raise OSError(f"no file can be made in {folder}")
