"""The cases of the benchmark are complete, and each server gets the app that it shall run."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bench import duties
from bench.cases import HERE, Case, Launcher, cases_of
from tests.conftest import ROOT

CASES: dict[str, Any] = tomllib.loads((HERE / "cases.toml").read_text())
GROUPS = [*CASES["requests"].items(), *CASES["transfers"].items()]
TABLES = [*(group for _, group in GROUPS), CASES["idle"], CASES["start"]]

GREETER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())


HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_every_case_names_a_server_that_is_described_and_each_is_used() -> None:
    assert {case.server for group in TABLES for case in cases_of(group)} == set(CASES["servers"])


def test_rows_of_a_table_have_different_names() -> None:
    for group in TABLES:
        names = [case.name for case in cases_of(group)]
        assert len(names) == len(set(names))


def test_every_table_has_its_place_on_the_page() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    names = [name for name, _ in GROUPS]
    for name in [*names, "idle", "start"]:
        assert f"<!-- {name} -->" in page
        assert f"<!-- /{name} -->" in page
    assert len(names) == len(set(names))


def test_every_gate_is_one_that_there_is_and_every_app_too() -> None:
    for _, group in GROUPS:
        assert group.get("gate", "asgi") in duties.DUTIES
        for case in cases_of(group):
            app = case.app or CASES["servers"][case.server].get("app", "")
            found = re.fullmatch(r"(?:\{here\}/apps/(\w+)\.py|(\w+):\w+|)", app)
            assert found, app
            if app:
                assert (HERE / "apps" / f"{found[1] or found[2]}.py").is_file()


def test_the_app_of_a_case_is_its_own_else_that_of_its_group() -> None:
    group = {"app": "a:b", "cases": [{"name": "x"}, {"name": "y z", "server": "y", "app": "c:d"}]}
    assert cases_of(group) == [Case("x", "x", "a:b"), Case("y z", "y", "c:d")]
    assert cases_of(group, ["y"]) == [Case("y z", "y", "c:d")]


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    (tmp_path / "greeter.py").write_text(GREETER)
    greeter = f"{sys.executable} {{tmp}}/greeter.py {{port}} {{app}}"
    servers = {
        "greeter": {"command": greeter, "app": "default"},
        "fixed": {"command": f"{sys.executable} {{tmp}}/greeter.py {{port}} x"},
        "broken": {"command": f"{sys.executable} {{tmp}}/missing.py {{app}}"},
    }
    return Launcher(servers, tmp_path, tmp_path)


def test_servers_run_and_those_that_cannot_are_left_out(
    launcher: Launcher, capsys: pytest.CaptureFixture[str]
) -> None:
    with launcher.serving([Case("a", "greeter"), Case("b", "broken"), Case("c", "greeter", "e:f")]) as up:
        assert list(up) == ["a", "c"]
        assert up["a"].port != up["c"].port
    told = capsys.readouterr().err
    assert "left out: b does not answer" in told
    assert "missing.py" in told


def test_a_server_is_tried_once_and_one_without_an_app_never(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(duties, "SECONDS", 0.2)
    asked: list[str] = []

    def skipped(port: int, interface: str) -> list[str]:
        asked.append(interface)
        return ["Date"]

    monkeypatch.setattr(duties, "skipped", skipped)
    for name in ("one", "two"):
        assert launcher.skipped(Case(name, "greeter"), "asgi") == ["Date"]
    assert launcher.skipped(Case("one", "greeter"), "wsgi") == ["Date"]
    assert launcher.skipped(Case("x", "fixed"), "asgi") is None
    assert launcher.skipped(Case("x", "broken"), "asgi") == list(duties.DUTIES["asgi"])
    assert asked == ["asgi", "wsgi"]
