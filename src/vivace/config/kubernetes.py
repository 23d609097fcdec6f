"""What Kubernetes puts into the environment for a service named ``vivace``: these are no settings.

Rules of this file:

- Follows the documentation of Kubernetes, "Environment variables" of services: ``VIVACE_SERVICE_HOST``,
  ``VIVACE_PORT=tcp://10.0.0.11:80``, ``VIVACE_PORT_80_TCP_ADDR`` and their like.
"""

import re
from collections.abc import Mapping
from typing import Final

from vivace.config.setting import PREFIX

__all__ = ["without_service_links"]

_LINK: Final = re.compile(
    PREFIX + r"(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://\S+")


def without_service_links(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without those variables."""
    return {name: value for name, value in environ.items() if not _is_link(name, value)}


def _is_link(name: str, value: str) -> bool:
    if not name.startswith(PREFIX):
        return False
    return bool(_LINK.fullmatch(name) or (name == f"{PREFIX}PORT" and _ADDRESS.fullmatch(value)))
