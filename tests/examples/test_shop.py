"""The shop: what it does beside its requests, in its own processes."""

import contextlib
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import ROOT, ServerProcess, clean_environment, find_free_port

pytestmark = pytest.mark.once
EXAMPLE = ROOT / "examples" / "shop"


def until(check: Callable[[], Any], what: str) -> Any:
    """What `check` gives once that is true."""
    deadline = time.monotonic() + 15
    while not (found := check()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[ServerProcess]:
    port = find_free_port()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = clean_environment(
        PATH=path, PORT=str(port), SHOP_DATA=str(tmp_path / "data"), SHOP_MAIL_PORT=str(find_free_port())
    )
    argv = [sys.executable, "-m", "vivace", "run", "--control", str(tmp_path / "ctl")]
    server = ServerProcess(argv, port, environment, EXAMPLE, tmp_path / "log")
    try:
        server.wait_until_serving()
        until(lambda: "the shop is open" in server.output, server.output)
        yield server
        assert server.stop() == 0, server.output
    finally:
        server.remove()


def buy(server: ServerProcess, email: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("POST", "/orders", json.dumps({"article": "pear", "count": 2, "email": email}))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 201, server.output
    return json.loads(body)


def letters(folder: Path) -> str:
    return "".join(path.read_text() for path in (folder / "data" / "mail").glob("*.eml"))


def daemon_of(server: ServerProcess) -> psutil.Process:
    for one in psutil.Process(server.process.pid).children():
        with contextlib.suppress(psutil.Error):  # one that has just ended
            if "mailbox.py" in one.cmdline():
                return one
    raise AssertionError(server.output)


def test_everything_beside_the_requests_is_done(shop: ServerProcess, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert shop.output.index("the tables are there") < shop.output.index("the shop is open")
    assert buy(shop, "ada@example.org")["order"] == 1
    text = until(lambda: "1.20 euros" in letters(tmp_path) and letters(tmp_path), shop.output)
    assert "To: ada@example.org" in text
    for _ in range(3):
        assert json.loads(shop.get("/articles/plum")[2]) == {"article": "plum", "cents": 15}
    until(lambda: (data / "popular.json").exists() and b'"plum":3' in (data / "popular.json").read_bytes(),
          "nobody counted")  # fmt: skip
    assert len(json.loads(shop.get("/vouchers/ada")[2])["voucher"]) == 12
    until(lambda: (data / "report.json").exists() and json.loads(shop.get("/report")[2])["cents"] == 120,
          shop.output)  # fmt: skip
    (data / "prices.json").write_text("{}")
    until((data / "repriced").exists, shop.output)
    assert b"/static/shop.css" in shop.get("/")[2]
    assert shop.get("/static/shop.css")[:1] == (200,)


def test_a_letter_waits_until_the_mail_server_is_back(shop: ServerProcess, tmp_path: Path) -> None:
    daemon_of(shop).send_signal(signal.SIGKILL)
    buy(shop, "bob@example.org")
    until(lambda: "bob@example.org" in letters(tmp_path), shop.output)
    told = tmp_path / "data" / "alarms.txt"
    until(lambda: told.exists() and "new daemon.down" in told.read_text(), shop.output)
