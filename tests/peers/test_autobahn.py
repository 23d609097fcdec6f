"""Autobahn|Testsuite finds nothing to complain of; it is there where `scripts/autobahn` has installed it."""

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import Launch
from tests.peers.autobahn import WSTEST, verdicts

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not WSTEST.exists(), reason="Autobahn is not installed: run scripts/autobahn"),
]

PROTOCOL = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
CASES = os.environ.get("AUTOBAHN_CASES", "").split() or PROTOCOL
"""All of them take a quarter of an hour for each way: `AUTOBAHN_CASES="9.* 12.* 13.*"`."""
LIMITS = ["--websocket-max-size", str(1 << 25), "--websocket-max-fragments", "0", "--no-access-log"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("target", "path"),
    [("app", "/for"), ("app", "/recv"), ("app", "/listen"), ("asgi", "/")],
    ids=["for", "recv", "listen", "asgi"],
)
def test_autobahn_is_content(launch: Launch, free_port: int, tmp_path: Path, target: str, path: str) -> None:
    vivace = str(Path(sys.executable).with_name("vivace"))
    argv = [vivace, "run", f"tests.peers.echo:{target}", "--port", str(free_port), *LIMITS]
    launch(argv, free_port)
    found = verdicts(f"ws://127.0.0.1:{free_port}{path}", CASES, tmp_path, 1700)
    assert {case: verdict for case, verdict in found.items() if verdict not in ("OK", "INFORMATIONAL")} == {}
    if CASES == PROTOCOL:
        assert list(found.values()).count("OK") == 244
