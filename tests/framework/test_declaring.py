"""What an app is made with: its name and registry, configuration, encoders, shared and own context."""

import json as stdlib_json
import logging
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from tests.framework.streams import ask, make_app
from vivace import Config, Request, Vivace, json
from vivace.errors import ConfigError, HTTPException, LoadFileException, PyFileError
from vivace.framework.state import Mode, Server, ServerStage


@pytest.fixture
def app() -> Vivace:
    return make_app()


# Registry


def test_an_app_is_taken_out_of_the_registry_and_put_back() -> None:
    app = Vivace("registered")
    Vivace.unregister_app(app)
    with pytest.raises(HTTPException):
        Vivace.get_app("registered")
    Vivace.register_app(app)
    assert Vivace.get_app("registered") is app
    for call in (Vivace.register_app, Vivace.unregister_app):
        with pytest.raises(HTTPException, match="must be an instance of Vivace"):
            call("app")  # type: ignore[arg-type]


def test_an_app_that_was_replaced_does_not_take_its_successor_out() -> None:
    old = Vivace("twice")
    new = Vivace("twice")
    Vivace.unregister_app(old)
    assert Vivace.get_app("twice") is new


@pytest.mark.parametrize("name", ["m", "inspector", "ext"])
def test_what_sanic_has_and_we_have_not_is_told_in_a_sentence(app: Vivace, name: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}': "):
        getattr(app, name)
    assert not hasattr(app, "nothing_of_the_kind")


# Configuration


class Settings:
    RETRIES = 5
    KEEP_ALIVE_TIMEOUT = 7
    helper = 6


def test_the_configuration_is_updated_from_anything(
    app: Vivace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.update_config({"A": 1, "b": 2})
    app.update_config(Settings)
    app.update_config(Settings())
    assert (app.config.A, app.config.RETRIES, app.config.KEEP_ALIVE_TIMEOUT) == (1, 5, 7.0)
    assert "b" not in app.config
    assert "helper" not in app.config
    path = tmp_path / "settings.py"
    path.write_text("import os\nWHERE = os.path.basename(__file__)\nlow = 1\n")
    monkeypatch.setenv("FOLDER_OF_SETTINGS", str(tmp_path))
    for source in (path, str(path), str(path).encode(), "${FOLDER_OF_SETTINGS}/settings.py"):
        app.config.WHERE = ""
        app.update_config(source)
        assert app.config.WHERE == "settings.py"
    app.config.RETRIES = 0
    app.update_config(f"{__name__}.Settings")
    assert app.config.RETRIES == 5


def test_a_source_that_cannot_be_loaded_is_named(app: Vivace, tmp_path: Path) -> None:
    with pytest.raises(LoadFileException, match="NOT_SET_ANYWHERE"):
        app.update_config("${NOT_SET_ANYWHERE}/settings.py")
    with pytest.raises(FileNotFoundError):
        app.update_config(tmp_path / "none.py")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        app.update_config("no_such_module.Thing")
    bad = tmp_path / "bad.py"
    bad.write_text("1/0")
    with pytest.raises(ZeroDivisionError) as caught:
        app.update_config(bad)
    assert caught.value.__notes__ == [f"in the file of settings {bad}"]
    bad.rename(tmp_path / "bad")
    with pytest.raises(PyFileError, match="could not execute config file"):
        app.update_config(tmp_path / "bad")
    with pytest.raises(ConfigError, match="KEEP_ALIVE_TIMEOUT"):
        app.update_config({"KEEP_ALIVE_TIMEOUT": "soon"})


def test_variables_of_ones_own_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"I": "1", "F": "1.5", "B": "yes", "O": "off", "S": "hi", "E": "", "KEEP_ALIVE_TIMEOUT": "9"}
    for name, text in given.items():
        monkeypatch.setenv(f"SHOP_{name}", text)
    monkeypatch.setenv("SHOP_low", "x")
    config = Config(env_prefix="SHOP_")
    assert [config[name] for name in ("I", "F", "B", "O", "S", "E")] == [1, 1.5, True, False, "hi", ""]
    assert config.KEEP_ALIVE_TIMEOUT == 9.0
    assert "low" not in config
    assert Vivace("a", env_prefix="SHOP_").config.I == 1
    with pytest.raises(HTTPException, match="with a config given, env_prefix cannot be"):
        Vivace("a", config=Config(), env_prefix="SHOP_")
    monkeypatch.setenv("SHOP_KEEP_ALIVE_TIMEOUT", "soon")
    with pytest.raises(ConfigError, match="KEEP_ALIVE_TIMEOUT"):
        Config(env_prefix="SHOP_")


def test_converters_are_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_COLOR", "red")
    monkeypatch.setenv("SHOP_COUNT", "3")

    def color(text: str) -> str:
        if text != "red":
            raise ValueError(text)
        return "#f00"

    def detailed(full_key: str, config_key: str, value: str, defaults: Any) -> Any:
        if config_key != "COUNT":
            raise ValueError(value)
        return full_key, value, defaults["MOTD"]

    config = Config(env_prefix="SHOP_", converters=[color, detailed])
    assert (config.COLOR, config.COUNT) == ("#f00", ("SHOP_COUNT", "3", True))
    config.register_type(color)
    assert "already been registered" in config.warnings[-1]


def test_a_subclass_may_decide_what_becomes_of_a_value() -> None:
    class Mine(Config):
        LIMIT = 3

        @property
        def DOUBLE(self) -> int:  # the name of a setting
            return self._double

        @DOUBLE.setter
        def DOUBLE(self, value: int) -> None:
            self._double = value * 2

    config = Mine({"OWN": 1}, keep_alive=False)
    config.DOUBLE = 4
    assert (config.DOUBLE, config.LIMIT, config.OWN, config.KEEP_ALIVE) == (8, 3, 1, False)
    config.update({"DOUBLE": 5}, {"OWN": 2}, LIMIT=4)
    assert (config.DOUBLE, config.OWN, config.LIMIT) == (10, 2, 4)
    assert isinstance(Vivace("mine", config=config).config, Mine)


# JSON


class Point:
    x = 1


def dumps(value: Any) -> str:
    return stdlib_json.dumps(value, default=vars, separators=(" , ", " : "))


async def test_each_app_has_its_own_encoder() -> None:
    app, other = Vivace("one", dumps=dumps), Vivace("two")

    @app.get("/")
    @other.get("/")
    async def plain(request: Request) -> Any:
        return {"a": 1, "b": 2}

    @app.get("/point")
    async def point(request: Request) -> Any:
        found = Point()
        found.x = 5
        return json({"point": found}, dumps=dumps if request.args.get("own") else None)

    assert (await ask(app)).body == b'{"a" : 1 , "b" : 2}'
    assert (await ask(other)).body == b'{"a":1,"b":2}'
    assert (await ask(app, target="/point")).body == b'{"point" : {"x" : 5}}'
    assert (await ask(app, target="/point?own=1")).body == b'{"point" : {"x" : 5}}'


async def test_each_app_has_its_own_decoder() -> None:
    app = Vivace("app", loads=lambda body: body.decode().upper())

    @app.post("/")
    async def handler(request: Request) -> str:
        return str(request.json)

    assert (await ask(app, "POST", body=b"abc")).body == b"ABC"


# Contexts and logs


async def test_what_processes_share_is_set_before_they_start(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    app.shared_ctx.total = multiprocessing.Value("i", 5)
    assert not caplog.records
    app.shared_ctx.plain = 5
    assert "shared_ctx.plain is a int" in caplog.text
    assert (app.shared_ctx.total.value, sorted(app.shared_ctx)) == (5, ["plain", "total"])
    await app.run_listeners("before_server_start")
    assert app.shared_ctx.is_locked
    with pytest.raises(RuntimeError, match="Cannot set late on locked"):
        app.shared_ctx.late = 1


async def test_the_state_follows_the_server(app: Vivace) -> None:
    app.config.update(PORT=81, HOST="h", DEBUG=True)
    state = app.state
    assert (state.app, state.host, state.port, state.unix, state.workers) == (app, "h", 81, "", 1)
    assert (state.is_debug, state.auto_reload, state.is_running) == (True, False, False)
    assert (state.mode, state.stage, state.server) == (Mode.DEBUG, ServerStage.STOPPED, Server.SANIC)
    state.mode = Mode.PRODUCTION
    assert not app.config.DEBUG
    seen = []
    for stage in ("before_server_start", "after_server_start", "before_server_stop", "after_server_stop"):
        await app.run_listeners(stage)
        seen.append((state.is_started, state.is_running, state.is_stopping))
    assert seen == [(True, False, False), (True, True, False), (True, True, True), (False, False, False)]


def test_logging_is_configured_when_asked_for() -> None:
    config = {"version": 1, "incremental": True, "loggers": {"vivace.test.logger": {"level": "ERROR"}}}
    Vivace("quiet", log_config=config, configure_logging=False)
    assert logging.getLogger("vivace.test.logger").level == logging.NOTSET
    Vivace("loud", log_config=config)
    assert logging.getLogger("vivace.test.logger").level == logging.ERROR
    logging.getLogger("vivace.test.logger").setLevel(logging.NOTSET)
