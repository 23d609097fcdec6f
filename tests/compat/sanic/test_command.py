"""The command `sanic`, and what is logged when an app is run by it."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vivace.compat.sanic import response
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.command import main
from vivace.errors import SanicException

PROGRAM = """
from vivace.compat.sanic.app import Sanic

app = Sanic("named")
nothing = 5


@app.command
async def hello(name: str = "world", n: int = 1):
    print(f"hello {name} {n!r}")


def create_app():
    return Sanic("made")


def create_app_for(options):
    return Sanic(options.target.partition(":")[2])
"""

Ran = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ran]:
    """What was run, from a folder with the program."""
    found: Ran = []
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "web.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(Sanic, "run", lambda self, **given: found.append((self.name, given)))
    yield found
    for name in [name for name in sys.modules if name.partition(".")[0] == "pkg"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["pkg.web:app"], "named"),
        (["pkg.web.app"], "named"),
        (["pkg.web"], "named"),
        (["pkg/web.py"], "named"),
        (["pkg.web:create_app", "--factory"], "made"),
        (["pkg.web:create_app"], "made"),
        (["pkg.web.create_app()"], "made"),
        (["pkg.web:create_app_for"], "create_app_for"),
    ],
)
def test_a_target_names_an_app_or_what_makes_one(ran: Ran, arguments: list[str], name: str) -> None:
    main(arguments)
    assert ran == [(name, {})]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (["-H", "localhost", "-p", "9999"], {"host": "localhost", "port": 9999}),
        (["--unix=/s", "-w", "3"], {"unix": "/s", "workers": 3}),
        (["--fast"], {"fast": True}),
        (["--single-process", "--debug"], {"single_process": True, "debug": True}),
        (["-d"], {"dev": True}),
        (["-r", "-R", "a", "-R", "b"], {"auto_reload": True, "reload_dir": ["a", "b"]}),
        (["--access-logs"], {"access_log": True}),
        (["--no-access-logs", "--no-motd"], {"access_log": False, "motd": False}),
        (["--noisy-exceptions", "-vv"], {"noisy_exceptions": True, "verbosity": 2}),
        (["--cert", "c", "--key", "k"], {"ssl": [{"cert": "c", "key": "k"}]}),
        (["--tls", "a", "--tls", "b", "--tls-strict-host"], {"ssl": [None, "a", "b"]}),
        (["-1"], {}),
        (["-3"], {"version": 3}),
    ],
)
def test_options_are_arguments_of_run(ran: Ran, arguments: list[str], given: dict[str, Any]) -> None:
    main(["pkg.web:app", *arguments])
    assert ran == [("named", given)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nope.web:app"], 1, "No module named nope.web found."),
        (["pkg.web:nothing"], 1, "Module is not a Sanic app, it is a int"),
        (["pkg.web:nope"], 1, "Perhaps you meant pkg.web:nope:app?"),
        (["pkg.web:app", "--cert", "c"], 1, "TLS certificates must be specified by either of"),
    ],
)
def test_what_cannot_be_loaded_is_logged(
    ran: Ran, caplog: pytest.LogCaptureFixture, arguments: list[str], code: int, said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert (caught.value.code, ran) == (code, [])
    assert said in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [[], ["pkg.web:app", "--bogus"], ["pkg.web:app", "-p", "x"], ["pkg.web:app", "--fast", "-w", "2"]],
)
def test_wrong_options_are_refused(ran: Ran, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert (caught.value.code, ran) == (2, [])


@pytest.mark.parametrize("option", ["-v", "--version"])
def test_the_version_is_that_of_the_api(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([option])
    assert (caught.value.code, capsys.readouterr().out) == (0, "Sanic 25.12.1; Routing 23.12.0\n")


def test_commands_of_the_app(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    main(["pkg.web:app", "exec", "hello", "--name=bob", "--n=3"])
    main(["pkg.web:app", "exec"])
    assert (capsys.readouterr().out, ran) == ("hello bob 3\nhello\n", [])
    with pytest.raises(SystemExit):
        main(["pkg.web:app", "exec", "nope"])


def test_a_folder_is_served(ran: Ran, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("here")
    main([str(tmp_path), "--simple"])
    assert [name for name, _ in ran] == ["SimpleServer"]
    assert Sanic.get_app("SimpleServer").test_client.get("/")[1].text == "here"
    with pytest.raises(SanicException, match="without a path to a directory"):
        main([str(tmp_path / "none"), "--simple"])


def test_who_looks_at_the_log_sees_what_sanic_says(caplog: pytest.LogCaptureFixture) -> None:
    app = Sanic("greeting")

    @app.get("/")
    async def index(request: Any) -> Any:
        return response.text("")

    with caplog.at_level(logging.INFO):
        app.test_client.get("/")
    said = [one.getMessage() for one in caplog.records if one.name in ("sanic.root", "sanic.server")]
    assert said[0] == "Sanic v25.12.1"
    assert said[1].startswith("Goin' Fast @ http://127.0.0.1:")
    assert {"app: greeting", "mode: production, single worker", "server: sanic, HTTP/1.1"} <= set(said)
    words = [one.partition(" [")[0] for one in said if "Worker" in one or "worker [" in one]
    assert words == ["Starting worker", "Worker ready", "Stopping worker", "Worker complete"]
    assert said[-1] == "Server Stopped"


def test_the_greeting_can_be_left_out(caplog: pytest.LogCaptureFixture) -> None:
    app = Sanic("silent")
    app.config.MOTD = False
    with caplog.at_level(logging.INFO):
        app.test_client.get("/")
    assert "Goin' Fast" not in caplog.text
