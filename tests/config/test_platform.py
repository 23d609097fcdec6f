"""What the platform makes of the settings of a stop."""

import pytest

from vivace.config import Config
from vivace.config.platform import fit_platform

KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("environ", "pid", "delay", "graceful"),
    [({}, 100, None, 15.0), ({}, 1, None, 8.0), (KUBERNETES, 1, 5.0, 15.0), (KUBERNETES, 100, 5.0, 15.0)],
)
def test_the_platform_decides_what_nobody_set(
    environ: dict[str, str], pid: int, delay: float | None, graceful: float
) -> None:
    config = Config()
    fit_platform(config, environ, pid)
    assert delay == config.SHUTDOWN_DELAY
    assert graceful == config.GRACEFUL_SHUTDOWN_TIMEOUT


def test_what_was_set_stays() -> None:
    config = Config(SHUTDOWN_DELAY=0, GRACEFUL_SHUTDOWN_TIMEOUT=20)
    fit_platform(config, KUBERNETES, 1)
    fit_platform(config, {}, 1)
    assert (config.SHUTDOWN_DELAY, config.GRACEFUL_SHUTDOWN_TIMEOUT) == (0, 20)


def test_it_is_said_where_a_value_came_from() -> None:
    config = Config()
    fit_platform(config, KUBERNETES, 1)
    assert config.sources["SHUTDOWN_DELAY"] == "Kubernetes"
