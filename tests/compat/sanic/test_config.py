"""The configuration through the alias: keys in any case, variables, files, defaults, and its mistakes."""

import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.config import DEFAULT_CONFIG, Config
from vivace.compat.sanic.helpers import default
from vivace.errors import PyFileError, SanicException


def test_keys_may_be_in_any_case() -> None:
    config = Config(env_prefix=None)
    config.lower = 1
    config["other"] = 2
    assert (config["lower"], config.other, "lower" in config) == (1, 2, True)
    assert {"lower", "other"} <= set(config)
    before = len(config)
    del config["lower"]
    assert len(config) == before - 1
    with pytest.raises(KeyError):
        config["lower"]
    with pytest.raises(KeyError):
        del config["lower"]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(AttributeError, match="Config has no 'NOPE'"):
        Config().NOPE  # noqa: B018  # raises


def test_only_upper_case_is_loaded() -> None:
    config = Config(env_prefix=None)
    config.update_config({"UPPER": 1, "lower": 2})
    assert config.UPPER == 1
    assert "lower" not in config


def test_variables_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"A": "5", "B": "1.5", "C": "true", "D": "No", "E": "text", "F": ""}.items():
        monkeypatch.setenv(f"SANIC_TEST_{name}", text)
        monkeypatch.setenv(f"OWN_TEST_{name}", f"own {text}")
    made = Config()
    assert [made[f"TEST_{name}"] for name in "ABCDEF"] == [5, 1.5, True, False, "text", ""]
    assert Sanic("plain").config.TEST_A == 5
    own = Sanic("own", env_prefix="OWN_").config
    assert own.TEST_A == "own 5"
    assert "TEST_A" not in Config(env_prefix=None)
    assert "TEST_A" not in Sanic("none", env_prefix=None).config


def test_names_and_defaults_of_sanic() -> None:
    assert DEFAULT_CONFIG["REQUEST_MAX_SIZE"] == 100_000_000
    assert DEFAULT_CONFIG["REQUEST_MAX_HEADER_SIZE"] == 8192
    assert DEFAULT_CONFIG["WEBSOCKET_MAX_SIZE"] == 2**20
    assert DEFAULT_CONFIG["USE_UVLOOP"] is default
    assert DEFAULT_CONFIG["AUTO_EXTEND"] is True
    config = Sanic("defaults").config
    assert all(name in config for name in DEFAULT_CONFIG)
    config.MOTD_DISPLAY["own"] = "1"
    assert Config().MOTD_DISPLAY == {}


def test_a_form_of_error_pages_that_is_not_there() -> None:
    config = Config()
    with pytest.raises(SanicException, match="Unknown format: bad"):
        config.FALLBACK_ERROR_FORMAT = "bad"
    with pytest.raises(SanicException, match="Unknown format: bad"):
        config.update({"FALLBACK_ERROR_FORMAT": "bad"})


def test_a_converter_that_is_registered_twice_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    config = Config(env_prefix=None, converters=[int])
    with caplog.at_level(logging.WARNING, "sanic.error"):
        config.register_type(int)
    assert caplog.messages == ["Configuration value converter 'int' has already been registered"]


def test_properties_with_setters_decide() -> None:
    class Own(Config):
        @property
        def DOUBLE(self) -> int:  # a setting
            return self._double

        @DOUBLE.setter
        def DOUBLE(self, value: int) -> None:
            self._double = value * 2

    config = Own()
    config.update({"DOUBLE": 5})
    assert config.DOUBLE == 10
    config["DOUBLE"] = 7
    assert config.DOUBLE == 14


def test_files_that_fail(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("1 / 0\n")
    (tmp_path / "bad").write_text("1 / 0\n")
    config = Config()
    with pytest.raises(ZeroDivisionError) as caught:
        config.update_config(tmp_path / "bad.py")
    assert any("bad.py" in note for note in caught.value.__notes__)
    with pytest.raises(PyFileError, match="could not execute config file"):
        config.update_config(tmp_path / "bad")
    with pytest.raises(ModuleNotFoundError):
        config.update_config("nosuch.module")


def test_a_copy_is_a_dictionary() -> None:
    found: Any = Config(env_prefix=None).copy()
    assert type(found) is dict
    assert found["KEEP_ALIVE"] is True


def test_more_is_loaded_into_a_configuration() -> None:
    class Values:
        X = 1
        y = 2

    config: Any = Config(env_prefix=None)
    assert config.load({"A": 1, "b": 2}) is None
    config.load(Values)
    assert (config.A, config.get("b"), config.X, config.get("y")) == (1, None, 1, None)
    assert isinstance(Config.load({}), Config)


def test_a_class_with_many_options_converts_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    key = UUID("c83fd4a5-0e5d-4b2c-bc83-9d7a6e11a3a5")
    monkeypatch.setenv("SANIC_KEY", str(key))
    assert Config(converters=[UUID])["KEY"] == key
