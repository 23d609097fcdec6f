"""Several apps of one program, each at a port of its own."""

import http.client
import os
import signal
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.supervisor.serving import Serving, change, until

PROGRAM = """
import os, sys
from vivace import Vivace, text

one, two = Vivace("one"), Vivace("two")
VALUE = 1


def declare(app):
    @app.get("/", name="index")
    async def index(request):
        return text(f"{app.name} {VALUE} {os.getppid()}")

    @app.get("/stop", name="stop")
    async def stop(request):
        app.stop()
        return text("")

    @app.before_server_start
    async def begin(app):
        print(f"{app.name} begins", file=sys.stderr, flush=True)

    @app.after_server_stop
    async def end(app):
        print(f"{app.name} ends", file=sys.stderr, flush=True)


declare(one)
declare(two)

if __name__ == "__main__":
    one.prepare(port=PORT1, workers=WORKERS, access_log=False)
    two.prepare(port=PORT2)
    Vivace.serve()
"""


def ask(port: int, path: str = "/") -> str:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        client.request("GET", path)
        return client.getresponse().read().decode()
    finally:
        client.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_each_answers_at_its_port_and_all_start_and_stop_together(tmp_path: Path, workers: int) -> None:
    ports = find_free_port(), find_free_port()
    code = PROGRAM.replace("WORKERS", str(workers))
    (tmp_path / "web.py").write_text(code.replace("PORT1", str(ports[0])).replace("PORT2", str(ports[1])))
    with Serving(["web.py"], tmp_path) as server:
        server.wait_for(f"Listening on http://127.0.0.1:{ports[0]}, http://127.0.0.1:{ports[1]}")
        for _ in range(4):
            assert ask(ports[0]).startswith("one 1 ")
            assert ask(ports[1]).startswith("two 1 ")
        if workers > 1:
            change(tmp_path / "web.py", "VALUE = 1", "VALUE = 2")
            os.kill(server.process.pid, signal.SIGHUP)
            server.wait_for("restarted: generation 2 serves")
            until(lambda: ask(ports[1]).startswith("two 2 ") and ask(ports[0]).startswith("one 2 "))
        ask(ports[1], "/stop")
        assert server.wait() == 0
        assert server.log.count("one begins") == server.log.count("two ends")
        assert server.log.count("two ends") == workers * (2 if workers > 1 else 1)
