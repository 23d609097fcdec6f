"""Autobahn|Testsuite finds nothing to complain of; it is there where `scripts/autobahn` has installed it."""

import os
import sys
from pathlib import Path

import pytest

from tests.certificates import Authority
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


def hold(launch: Launch, port: int, folder: Path, target: str, url: str, *options: str) -> None:
    """Serve an echo, and have nothing to complain of found in it."""
    vivace = str(Path(sys.executable).with_name("vivace"))
    launch([vivace, "run", f"tests.peers.echo:{target}", "--port", str(port), *LIMITS, *options], port)
    found = verdicts(url, CASES, folder, 1700)
    assert {case: verdict for case, verdict in found.items() if verdict not in ("OK", "INFORMATIONAL")} == {}
    if CASES == PROTOCOL:
        assert list(found.values()).count("OK") == 244


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("target", "path"),
    [("app", "/for"), ("app", "/recv"), ("app", "/listen"), ("asgi", "/")],
    ids=["for", "recv", "listen", "asgi"],
)
def test_autobahn_is_content(launch: Launch, free_port: int, tmp_path: Path, target: str, path: str) -> None:
    hold(launch, free_port, tmp_path, target, f"ws://127.0.0.1:{free_port}{path}")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("target", "path"), [("app", "/for"), ("asgi", "/")], ids=["for", "asgi"])
def test_autobahn_is_content_over_tls(
    launch: Launch, free_port: int, tmp_path: Path, target: str, path: str
) -> None:
    pair = Authority(tmp_path).issue("localhost", "127.0.0.1")
    options = ("--cert", pair.cert, "--key", pair.key)
    hold(launch, free_port, tmp_path, target, f"wss://127.0.0.1:{free_port}{path}", *options)
