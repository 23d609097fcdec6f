"""A service of Kubernetes named vivace: its variables are no settings, and stop nothing."""

from pathlib import Path

import pytest

from vivace.config import Config
from vivace.errors import ConfigError

LINKS = {
    "VIVACE_SERVICE_HOST": "10.0.0.11",
    "VIVACE_SERVICE_PORT": "80",
    "VIVACE_SERVICE_PORT_HTTP": "80",
    "VIVACE_PORT": "tcp://10.0.0.11:80",
    "VIVACE_PORT_80_TCP": "tcp://10.0.0.11:80",
    "VIVACE_PORT_80_TCP_PROTO": "tcp",
    "VIVACE_PORT_80_TCP_PORT": "80",
    "VIVACE_PORT_80_TCP_ADDR": "10.0.0.11",
}


def test_links_to_a_service_of_our_name_are_no_settings(tmp_path: Path) -> None:
    config = Config.load({**LINKS, "VIVACE_WORKERS": "2"}, tmp_path)
    assert (config.PORT, config.WORKERS, config.warnings) == (8000, 2, [])
    assert Config.load({**LINKS, "PORT": "5000"}, tmp_path).PORT == 5000


@pytest.mark.parametrize(
    "variables",
    [{"VIVACE_PORT": "80tcp"}, {"VIVACE_SERVICE": "1"}, {"VIVACE_PORT_80": "1"}, {"VIVACE_HOST_PORT": "1"}],
)
def test_what_only_looks_alike_is_still_an_error(tmp_path: Path, variables: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        Config.load(variables, tmp_path)
