"""The shop: what it does beside its requests, in its own processes."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import ROOT, ServerProcess, clean_environment, find_free_port
from tests.services.postgres import postgres
from tests.services.redis import redis_server, start_redis
from tests.tasks.conftest import spool_url

__all__ = ["postgres", "redis_server", "start_redis"]

pytestmark = pytest.mark.once
EXAMPLE = ROOT / "examples" / "shop"


def until(check: Callable[[], Any], what: str) -> Any:
    """What `check` gives once that is true."""
    deadline = time.monotonic() + 40
    while not (found := check()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


@pytest.fixture
def log_server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        yield receiver


@pytest.fixture
def shop(
    request: pytest.FixtureRequest, tmp_path: Path, log_server: socket.socket
) -> Iterator[ServerProcess]:
    port = find_free_port()
    data = tmp_path / "data"
    data.mkdir()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = clean_environment(
        PATH=path, PORT=str(port), SHOP_DATA=str(data), SHOP_MAIL_PORT=str(find_free_port())
    )
    syslog = f"syslog+udp://127.0.0.1:{log_server.getsockname()[1]}?app=shop"
    logs = ["--log-to", "stderr", "--log-to", f"file:{data}/shop.log", "--log-to", syslog]
    places = ["--control", str(tmp_path / "ctl"), "--admin-bind", f"unix:{tmp_path}/admin"]
    tasks = ["--tasks-url", spool_of(request, data)]
    argv = [sys.executable, "-m", "vivace", "run", *places, *logs, *tasks]
    server = ServerProcess(argv, port, environment, EXAMPLE, tmp_path / "log")
    try:
        server.wait_until_serving()
        until(lambda: "the shop is open" in server.output, server.output)
        yield server
        assert server.stop() == 0, server.output
    finally:
        server.remove()


def spool_of(request: pytest.FixtureRequest, data: Path) -> str:
    return spool_url(request, data) if hasattr(request, "param") else f"sqlite:///{data}/tasks.sqlite3"


def vivace(*arguments: str) -> str:
    argv = [sys.executable, "-m", "vivace", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=EXAMPLE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def buy(server: ServerProcess, email: str, count: int = 2) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/orders", json.dumps({"article": "pear", "count": count, "email": email}))
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


def test_what_is_logged_and_measured_arrives_and_alarms_are_told(
    shop: ServerProcess, tmp_path: Path, log_server: socket.socket
) -> None:
    data = tmp_path / "data"
    task = buy(shop, "ada@example.org", 100)["task"]
    while b"order 1: 100 x pear" not in (line := log_server.recv(65536)):
        pass
    priority, _, record = line.partition(b" - - ")
    assert priority.startswith(b"<14>1 ")
    assert json.loads(record)["extra"] == {"task": task, "email": "***"}
    until(lambda: "order 1: 100 x pear" in (data / "shop.log").read_text(), shop.output)
    alarms = data / "alarms.json"
    until(lambda: alarms.exists() and "100 in one order" in alarms.read_text(), shop.output)
    alarm = json.loads(alarms.read_text().splitlines()[0])
    assert (alarm["event"], alarm["subject"], alarm["resolved"]) == ("order.large", "pear", False)
    until(lambda: metrics(tmp_path)["vivace_requests_total"] >= 1, shop.output)
    assert metrics(tmp_path)["vivace_workers", "ready"] == 2


def metrics(folder: Path) -> dict[Any, float]:
    """What Prometheus would read: values by the name of the metric, and by the state."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / "admin"))
        connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    samples = [s for f in text_string_to_metric_families(answer.partition("\r\n\r\n")[2]) for s in f.samples]
    return {(s.name, s.labels["state"]) if "state" in s.labels else s.name: s.value for s in samples}


def test_a_restart_in_the_middle_loses_no_order_and_no_letter(shop: ServerProcess, tmp_path: Path) -> None:
    orders: list[int] = []
    done = threading.Event()

    def customer() -> None:
        while not done.is_set() and len(orders) < 500:
            orders.append(buy(shop, "eve@example.org")["order"])

    thread = threading.Thread(target=customer)
    thread.start()
    said = vivace("ctl", "restart", "--wait", "--socket", str(tmp_path / "ctl"))
    before = len(orders)
    until(lambda: len(orders) > before or not thread.is_alive(), shop.output)
    done.set()
    thread.join(30)
    assert said == "restarted: generation 2 serves\n"
    assert orders == list(range(1, len(orders) + 1))
    wanted = {f"Subject: Your order {number}\n" for number in orders}
    until(lambda: all(subject in letters(tmp_path) for subject in wanted), shop.output)
    slots = slots_of("shop.report", f"sqlite:///{tmp_path}/data/tasks.sqlite3")
    assert len(slots) > 1
    assert len(set(slots)) == len(slots), "a second that was run twice"


def slots_of(name: str, url: str) -> list[str]:
    told = json.loads(vivace("tasks", "list", "--json", "--name", name, "--limit", "500", "--url", url))
    return [task["payload"]["slot"] for task in told["tasks"]]


@pytest.mark.parametrize("shop", ["postgres", "redis"], indirect=True)
def test_tasks_may_be_kept_where_several_machines_share_them(shop: ServerProcess, tmp_path: Path) -> None:
    buy(shop, "zoe@example.org")
    until(lambda: "zoe@example.org" in letters(tmp_path), shop.output)
    assert not (tmp_path / "data" / "tasks.sqlite3").exists()
    until((tmp_path / "data" / "report.json").exists, shop.output)
