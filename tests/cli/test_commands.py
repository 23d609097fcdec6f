"""The commands that answer and end: config, routes, check, help, and what a mistake gets."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import vivace
from vivace.cli.group import vivace as group
from vivace.config import SETTINGS

APP = """
from vivace import Vivace

app = Vivace("commands")


@app.get("/items/<item:int>")
async def one_item(request, item):
    return {}


@app.post("/items")
async def add_item(request):
    return {}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder and environment; modules and path entries of a test vanish with it."""
    path = list(sys.path)
    monkeypatch.chdir(tmp_path)
    for setting in SETTINGS:
        for variable in (setting.variable, *setting.env):
            monkeypatch.delenv(variable, raising=False)
    yield tmp_path
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def call(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(group, arguments, env=environ, prog_name="vivace")


def test_version() -> None:
    result = call("--version")
    assert (result.exit_code, result.stdout) == (0, f"vivace {vivace.__version__}\n")


def test_help_lists_the_commands() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for name in ("run", "config", "routes", "check"):
        assert f"  {name} " in result.stdout


def test_help_of_run_shows_every_setting_under_its_heading() -> None:
    text = call("run", "-h").stdout
    for setting in SETTINGS:
        if setting.option:
            assert f"{setting.group}:" in text
            assert setting.option in text
    assert "--access-log / --no-access-log" in text


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("rnu",), "did you mean run?"),
        (("zzz",), "there are run, config, routes, check"),
        (("run", "--prot", "1"), "--port"),
        (("run", "--reload"), "Did you mean '--auto-reload'?"),
        (("run", "--limit-max-requests=9"), "Did you mean '--max-requests'?"),
        (("run", "--bind", "127.0.0.1"), "BIND: '127.0.0.1' (from command line --bind) cannot be used"),
        (("run", "--port"), "requires an argument"),
        (("run", "a", "b"), "unexpected extra argument"),
        (("run", "--port", "80x"), "'80x' (from command line --port)"),
        (("run", "--workers", "0"), "from 1 to 4096"),
        (("run", "--loop", "twisted"), "one of auto, uvloop, asyncio"),
        (("run", "--keep-alive-timeout", "-1"), "command line --keep-alive-timeout"),
        (("run",), "name a target such as module:app"),
    ],
)
def test_a_mistake_gets_a_hint_and_exit_code_2(arguments: tuple[str, ...], hint: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert hint in result.stderr
    assert "Traceback" not in result.output


def test_config_prints_value_and_source(folder: Path) -> None:
    (folder / "vivace.toml").write_text("threads = 9\nforwarded-secret = 'hush'\n")
    result = call("config", "--backlog", "77", "--no-motd", PORT="5000", WEB_CONCURRENCY="x")
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in result.stdout.splitlines()}
    assert result.exit_code == 0
    assert rows["THREADS"] == ["9", "vivace.toml"]
    assert rows["BACKLOG"] == ["77", "command line --backlog"]
    assert rows["MOTD"] == ["false", "command line --motd"]
    assert rows["PORT"] == ["5000", "environment PORT"]
    assert rows["HOST"] == ["*", "environment PORT"]
    assert rows["LOOP"] == ["auto", "default"]
    assert set(rows) == {setting.name for setting in SETTINGS}
    assert "hush" not in result.output
    assert "WEB_CONCURRENCY='x'" in result.stderr


def test_config_may_print_what_is_not_default_only() -> None:
    assert call("config", "--changed").stdout == ""
    assert call("config", "--changed", VIVACE_PORT="1").stdout.split() == [
        "PORT",
        "1",
        "environment",
        "VIVACE_PORT",
    ]


def test_config_of_an_app_has_what_its_code_sets(folder: Path) -> None:
    (folder / "shop.py").write_text(APP + "\napp.config.KEEP_ALIVE_TIMEOUT = 7\napp.config.BACKLOG = 9\n")
    (folder / "plain.py").write_text("def app(environ, start_response): ...")
    rows = {
        line.split()[0]: line.split(maxsplit=2)[1:]
        for line in call("config", "shop:app", "--changed", "--backlog", "77").stdout.splitlines()
    }
    assert rows["KEEP_ALIVE_TIMEOUT"] == ["7", "application code"]
    assert rows["BACKLOG"] == ["77", "command line --backlog"]
    hosted = call("config", "plain:app", "--changed", VIVACE_THREADS="3")
    assert (hosted.exit_code, ["THREADS", "3"]) == (0, hosted.stdout.split()[:2])
    assert call("config").exit_code == 0


@pytest.mark.parametrize(
    ("target", "code", "hint"),
    [("nothing:app", 3, "nothing"), ("uwsgi.ini", 2, "--from-uwsgi"), ("a", 3, "a")],
)
def test_config_of_what_is_no_app(folder: Path, target: str, code: int, hint: str) -> None:
    (folder / "uwsgi.ini").write_text("[uwsgi]\nprocesses = 2\n")
    result = call("config", target)
    assert result.exit_code == code
    assert hint in result.stderr
    assert "Traceback" not in result.output


def test_config_prints_the_reference() -> None:
    assert "| `KEEP_ALIVE_TIMEOUT` | `5` | s |" in call("config", "--reference").stdout


def test_config_with_an_unknown_variable() -> None:
    result = call("config", VIVACE_PROT="1")
    assert result.exit_code == 2
    assert "did you mean PORT?" in result.stderr


@pytest.mark.parametrize("target", ["shop.py", "shop:app", ""])
def test_routes(folder: Path, target: str) -> None:
    (folder / "shop.py").write_text(APP)
    result = call("routes", *([target] if target else []), VIVACE_APP="shop:app")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first.split()[:3] == ["GET,HEAD", "/items/<item:int>", "commands.one_item"]
    assert second.split()[:3] == ["POST", "/items", "commands.add_item"]
    assert first.count("one_item") == 1
    assert "shop.py:" in first


def test_routes_tell_handlers_of_other_names_heads_and_mounts(folder: Path) -> None:
    (folder / "shop.py").write_text(
        APP
        + "\n\n@app.get('/x', name='other')\nasync def shown(request): ...\n"
        + "\n\n@app.head('/x')\nasync def head(request): ...\n"
        + "\n\ninner = Vivace('inner')\ninner.add_route(shown, '/deep')\napp.mount('/inner', inner)\n"
        + "\n\nasync def asgi(scope, receive, send): ...\n\n\ninner.mount('/asgi', asgi)\n"
    )
    lines = [line.split() for line in call("routes", "shop").stdout.splitlines()[2:]]
    assert lines[0][:4] == ["GET", "/x", "commands.other", "shop.shown"]
    assert lines[1][:3] == ["HEAD", "/x", "commands.head"]
    assert lines[2][:3] == ["GET,HEAD", "/inner/deep", "inner.shown"]
    assert lines[3][:3] == ["*", "/inner/asgi/*", "(asgi:"]


def test_routes_of_a_foreign_app_and_of_none(folder: Path) -> None:
    (folder / "foreign.py").write_text("def app(environ, start_response):\n    return []\n")
    result = call("routes", "foreign")
    assert (result.exit_code, "WSGI" in result.stderr) == (3, True)
    assert "its routes are those of its framework" in result.stderr
    result = call("routes", "nothing")
    assert (result.exit_code, "there is no module nothing" in result.stderr) == (3, True)


def test_check_names_python_build_and_limits() -> None:
    result = call("check")
    assert result.exit_code == 0, result.output
    for text in (
        "CPython" if sys.implementation.name == "cpython" else "",
        sys.executable,
        "uvloop",
        "open files",
    ):
        assert text in result.stdout
    build = next(line for line in result.stdout.splitlines() if line.startswith("build"))
    assert "compiled: vivace." in build or "pure Python" in build


def test_check_looks_at_the_app(folder: Path) -> None:
    (folder / "shop.py").write_text(APP)
    assert "shop:app (native" in call("check", "shop:app").stdout
    (folder / "broken.py").write_text("1 / 0\n")
    result = call("check", "broken")
    assert result.exit_code == 3
    assert "ZeroDivisionError" in result.stderr


BESIDE = """
from vivace import Vivace

app = Vivace("shop")


@app.service
async def counter(service): ...


@app.pool(size=2)
def voucher(name): ...


@app.every("30s")
def report(): ...
"""


def test_check_names_what_would_run_beside_the_workers(folder: Path) -> None:
    (folder / "shop.py").write_text(BESIDE)
    (folder / "vivace.toml").write_text("""
app = "shop"
[[daemon]]
name = "clock"
cmd = ["sleep", "9"]
[[daemon]]
name = "gone"
cmd = "no-such-program --at all"
[hooks]
before_start = ["./no-such-script"]
after_ready = ["true"]
""")
    result = call("check")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("beside")]
    assert line.split(maxsplit=1)[1] == (
        "clock (daemon), gone (daemon), counter (service), voucher (pool, 2 processes),"
        " shop.tasks (runner), shop.scheduler (scheduler)"
    )
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "problem: daemon gone: there is no program no-such-program",
        "problem: before_start of [hooks]: there is no program ./no-such-script",
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what apprise imports
def test_check_names_places_and_targets_that_cannot_be_used(folder: Path) -> None:
    (folder / "vivace.toml").write_text(
        'log_to = ["syslog+tls://logs.test?ca=none.pem", "udp+aead://logs.test?key=none.key", "file:///no/where"]\n'
        '[[alarm]]\non = "*"\nto = ["exec:nowhere-to-be-found x", "nosuch://host", "https://hooks.test/x"]\n'
    )
    result = call("check")
    assert result.exit_code == 1
    said = [line for line in result.stderr.splitlines() if line.startswith("problem: ")]
    assert len(said) == 4
    for line, part in zip(said, ("none.pem", "none.key", "nosuch://...", "nowhere-to-be-found"), strict=True):
        assert part in line


def test_check_doubts_events_that_are_almost_those_of_the_server(folder: Path) -> None:
    (folder / "vivace.toml").write_text("""
[[alarm]]
on = ["worker.crashed", "worker.*", "payment.failed", "task.dead"]
to = "exec:true"
""")
    notes = [line for line in call("check").stdout.splitlines() if "no event" in line]
    assert notes == ["note: alarms: the server knows no event worker.crashed; did you mean worker.crash?"]


def test_check_reads_a_file_of_uwsgi(folder: Path) -> None:
    (folder / "foreign.py").write_text("def app(environ, start_response):\n    return []\n")
    (folder / "uwsgi.ini").write_text("[uwsgi]\nmodule = foreign:app\nprocesses = 3\nmule = true\n")
    result = call("check", "uwsgi.ini")
    assert result.exit_code == 0, result.output
    assert "WORKERS=3" in result.stdout
    assert "foreign:app (wsgi" in result.stdout
    assert "note: uwsgi.ini, line 4: mule has no effect here" in result.stdout


def test_check_reports_a_broken_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivace.cli.check.PURE", False)
    monkeypatch.setattr("vivace.cli.check._extensions", lambda: ["vivace.wire.no_such_part"])
    result = call("check")
    assert result.exit_code == 1
    assert "problem: the compiled module vivace.wire.no_such_part does not load" in result.stderr


def test_check_refuses_a_broken_configuration() -> None:
    assert call("check", VIVACE_PORT="x").exit_code == 2


def test_check_tells_the_kind_and_why(folder: Path) -> None:
    (folder / "foreign.py").write_text("async def app(scope, receive, send):\n    pass\n")
    assert "foreign:app (asgi: the function app called with scope" in call("check", "foreign:app").stdout
    assert "(wsgi: as it was declared)" in call("check", "foreign:app", VIVACE_INTERFACE="wsgi").stdout


TWICE = (
    APP
    + """

@app.post("/items", name="again")
async def add_again(request):
    return {}
"""
)


@pytest.mark.parametrize("command", ["run", "routes", "check"])
def test_two_routes_for_one_path_are_the_fault_of_the_app(folder: Path, command: str) -> None:
    (folder / "shop.py").write_text(TWICE)
    result = call(command, "shop", VIVACE_PORT="0")
    assert result.exit_code == 3
    assert "Route already registered: items [POST]: " in result.stderr
    assert '@app.post("/items", name="again")' in result.stderr  # the line that declares the second


def test_check_tells_what_is_mounted(folder: Path) -> None:
    (folder / "shop.py").write_text(APP)
    (folder / "old.py").write_text("def app(environ, start_response):\n    return []\n")
    for target in ("shop", "old"):
        assert (
            "mounted    /old (wsgi: the function app"
            in call("check", target, VIVACE_MOUNTS="/old=old").stdout
        )


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_hub_that_cannot_be_is_said_before_anything_begins(folder: Path, command: str) -> None:
    (folder / "shop.py").write_text(APP)
    result = call(command, "shop:app", VIVACE_HUB_URL="kafka://me:secret@h", VIVACE_WORKERS="2")
    assert result.exit_code == {"run": 2, "check": 1}[command]
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert "HUB_URL kafka://me:***@h: there is no engine for kafka://" in lines[0]


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_journal_that_cannot_be_is_said_before_anything_begins(folder: Path, command: str) -> None:
    (folder / "shop.py").write_text(APP)
    (folder / "link").symlink_to("elsewhere")
    for place, why in (
        ("none/journal", "No such file"),
        (".", "directory"),
        ("shop.py/x", "no file can be made in shop.py"),
        ("link", "symbolic link"),
    ):
        result = call(command, "shop:app", VIVACE_HUB_JOURNAL=place, VIVACE_WORKERS="2")
        assert result.exit_code == {"run": 2, "check": 1}[command]
        assert f"HUB_JOURNAL {place} cannot be used: " in result.stderr
        assert why in result.stderr
        assert "Traceback" not in result.output
    assert not (folder / "elsewhere").exists()


def test_a_journal_beside_an_engine_is_of_no_use(folder: Path) -> None:
    result = call("check", VIVACE_HUB_JOURNAL="journal", VIVACE_HUB_URL="redis://localhost")
    assert "note: HUB_JOURNAL is of no use with HUB_URL" in result.stdout
    assert call("check", VIVACE_HUB_JOURNAL="journal").exit_code == call("check").exit_code
    assert not (folder / "journal").exists()
