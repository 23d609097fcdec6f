"""What the platform that a server runs on has to do with its stop.

Rules of this file:

- Only what nobody set is filled in; `Config.sources` says then what was found.
- Kubernetes sends SIGTERM before its proxies have learned that the pod leaves: a server there goes on
  accepting for a moment. It waits 30 s in all.
- ``docker stop`` waits 10 s: the first process of a container has to be done before.
- Follows the documentation of Kubernetes, "Termination of Pods", and of ``docker stop``.
"""

from collections.abc import Mapping
from typing import Final

from vivace.config.config import Config

__all__ = ["fit_platform"]

DELAY: Final = 5.0
"""SHUTDOWN_DELAY in Kubernetes, in seconds."""
FIRST_PROCESS: Final = 8.0
"""GRACEFUL_SHUTDOWN_TIMEOUT of the first process of a container elsewhere, in seconds."""


def fit_platform(config: Config, environ: Mapping[str, str], pid: int) -> None:
    """Fill in what the platform makes of a setting that nobody set.

    Args:
        config: Of the process.
        environ: Its environment.
        pid: The process id of the server: of its supervisor, if it has one.
    """
    if environ.get("KUBERNETES_SERVICE_HOST"):
        _fill(config, "SHUTDOWN_DELAY", DELAY, "Kubernetes")
    elif pid == 1:
        _fill(config, "GRACEFUL_SHUTDOWN_TIMEOUT", FIRST_PROCESS, "first process of a container")


def _fill(config: Config, name: str, value: float, source: str) -> None:
    if name not in config.sources:
        config.override({name: value}, source)
