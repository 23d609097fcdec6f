"""All processes of a server write to the places of LOG_TO, each saying whose line it is."""

import json
import os
import signal
import socket
import time
from pathlib import Path

from tests.conftest import find_free_port
from tests.supervisor.serving import Serving, exchange

APP = """
import logging
from vivace import Vivace

app = Vivace("shop")
log = logging.getLogger("shop")


@app.get("/")
async def index(request):
    log.info("asked with authorization: Bearer abc")
    return {}


@app.service
async def mailer(service):
    log.info("mailer runs")
    await service.stopping.wait()
"""


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_file_has_the_lines_of_all_processes(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    path, port = tmp_path / "all.log", find_free_port()
    arguments = ["-m", "vivace", "run", "shop:app", "--port", str(port), "--workers", "2"]
    arguments += ["--log-to", f"file://{path}", "--access-log-id"]
    environ = {"VIVACE_LOG_FORMAT": "auto"}
    with Serving(arguments, tmp_path, environ) as server:
        until = time.monotonic() + 20
        while sum(line.get("role") == "mailer" for line in read(path)) < 1:
            assert time.monotonic() < until, server.log
            time.sleep(0.02)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            assert exchange(client, "/").startswith("HTTP/1.1 200")
        while not any(line.get("event") == "request" for line in read(path)):
            assert time.monotonic() < until, server.log
            time.sleep(0.02)
        before = read(path)
        path.rename(tmp_path / "all.log.1")
        os.kill(server.process.pid, signal.SIGUSR1)
        while not path.exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        server.process.terminate()
        server.process.wait(20)
        assert server.log == ""
    (record,) = (line for line in before if line["logger"] == "shop" and line["role"] == "worker")
    (access,) = (line for line in before if line["logger"] == "vivace.access")
    assert record["message"] == "asked with authorization: ***"
    assert record["worker"] in (1, 2)
    assert [access[name] for name in ("role", "worker", "pid", "request_id", "status")] == [
        *(record[name] for name in ("role", "worker", "pid", "request_id")),
        200,
    ]
    assert any(line["role"] == "supervisor" for line in [*before, *read(path)])
