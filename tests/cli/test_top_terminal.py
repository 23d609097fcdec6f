"""`vivace top` as people see it: in a terminal, by its keys."""

import sys
from pathlib import Path

import pytest

from tests.services.terminal import open_terminal
from tests.supervisor.serving import APP, Serving, ask, until

pytest.importorskip("textual", reason="vivace top draws with textual, which is not installed")

RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--workers", "2", "--no-access-log")


@pytest.mark.once
def test_keys_lead_to_a_request_to_its_stack_and_back(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)
    with Serving([*RUN, "--control", str(tmp_path / "c")], tmp_path) as server:
        server.wait_for("Listening on")
        with open_terminal(tmp_path) as terminal, server.connect() as client:
            terminal.run(f"cd {tmp_path}; {sys.executable} -m vivace top --socket c")
            until(lambda: "sample: serving, 2 of 2 workers ready" in terminal.screen)
            ask(client, "/slow")
            until(lambda: "GET /slow" in terminal.screen)
            terminal.send("a")
            until(lambda: "by active" in terminal.screen)
            terminal.send("Enter")
            until(lambda: "in slow" in terminal.screen)
            terminal.send("d")
            until(lambda: "1 requests, " in terminal.screen)
            terminal.send("q")
            until(lambda: "1 requests, " not in terminal.screen)
            terminal.send("q")
            until(lambda: "workers ready" in terminal.screen)
            (tmp_path / "go").touch()
