"""Where values come from, which one wins, and what happens to names that nobody knows."""

import copy
import pickle
from pathlib import Path

import pytest

from vivace.config import SETTINGS, Config, reference
from vivace.errors import ConfigError


def load(tmp_path: Path, **environ: str) -> Config:
    return Config.load(environ, tmp_path)


def test_defaults_are_those_of_the_documents() -> None:
    config = Config()
    assert (config.HOST, config.PORT, config.WORKERS, config.DEBUG) == ("127.0.0.1", 8000, 1, False)
    assert (config.KEEP_ALIVE_TIMEOUT, config.REQUEST_TIMEOUT, config.RESPONSE_TIMEOUT) == (5, 60, 60)
    assert (config.GRACEFUL_SHUTDOWN_TIMEOUT, config.REQUEST_MAX_SIZE) == (15.0, 100 * 1024 * 1024)
    assert (config.UNIX_MODE, config.ACCESS_LOG, config.MOTD, config.LOGO) == (0o666, True, True, None)
    assert config.sources == {}


def test_attributes_and_items_are_the_same() -> None:
    config = Config(PORT=1)
    config["PORT"] = 2
    assert config.PORT == config["PORT"] == config.get("PORT") == 2
    config.PORT = 3
    assert config["PORT"] == 3
    assert "PORT" in config
    assert "port" not in config
    assert object() not in config
    assert config.get("NOTHING") is None
    assert list(config)[: len(SETTINGS)] == [s.name for s in SETTINGS]
    assert len(config) == len(SETTINGS)
    with pytest.raises(KeyError):
        config["sources"]
    with pytest.raises(KeyError):
        del config["sources"]
    with pytest.raises(KeyError):
        config["NOTHING"]


def test_a_missing_attribute_names_the_near_one() -> None:
    with pytest.raises(AttributeError, match="did you mean KEEP_ALIVE_TIMEOUT"):
        _ = Config().KEEPALIVE_TIMEOUT
    assert not hasattr(Config(), "DATABASE_URL")


def test_order_of_precedence(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.vivace]\nport = 1\nbacklog = 1\nthreads = 1\nkeep_alive_timeout = 1\nhead_timeout = 1\n"
    )
    (tmp_path / "vivace.toml").write_text(
        "backlog = 2\nthreads = 2\nkeep-alive-timeout = 2\nHEAD_TIMEOUT = 2\n"
    )
    environ = {"VIVACE_THREADS": "3", "VIVACE_KEEP_ALIVE_TIMEOUT": "3", "VIVACE_HEAD_TIMEOUT": "3"}
    config = Config.load(environ, tmp_path)
    config.KEEP_ALIVE_TIMEOUT = 4
    config.HEAD_TIMEOUT = 4
    config.override({"HEAD_TIMEOUT": "5"})
    names = ("MOTD", "PORT", "BACKLOG", "THREADS", "KEEP_ALIVE_TIMEOUT", "HEAD_TIMEOUT")
    assert [config[name] for name in names] == [True, 1, 2, 3, 4, 5]
    assert [config.sources.get(name) for name in names] == [
        None,
        "pyproject.toml [tool.vivace]",
        "vivace.toml",
        "environment VIVACE_THREADS",
        "application code",
        "command line --head-timeout",
    ]


def test_load_takes_overrides_last(tmp_path: Path) -> None:
    config = Config.load({"VIVACE_PORT": "1"}, tmp_path, {"PORT": "2"})
    assert config.PORT == 2


def test_load_reads_the_process_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vivace.toml").write_text("threads = 9")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIVACE_BACKLOG", "77")
    config = Config.load()
    assert (config.THREADS, config.BACKLOG) == (9, 77)


# The platform's variables


def test_port_of_a_platform_opens_the_server_to_it(tmp_path: Path) -> None:
    config = load(tmp_path, PORT="5000")
    assert (config.HOST, config.PORT) == ("*", 5000)
    assert config.sources["HOST"] == config.sources["PORT"] == "environment PORT"


def test_port_of_a_platform_leaves_a_given_host_alone(tmp_path: Path) -> None:
    assert load(tmp_path, PORT="5000", VIVACE_HOST="::1").HOST == "::1"
    (tmp_path / "vivace.toml").write_text("host = '127.0.0.1'")
    assert load(tmp_path, PORT="5000").HOST == "127.0.0.1"
    assert Config.load({"PORT": "5000"}, tmp_path, {"HOST": "10.0.0.1"}).HOST == "10.0.0.1"


def test_our_own_port_variable_does_not_open_the_server(tmp_path: Path) -> None:
    assert load(tmp_path, VIVACE_PORT="5000").HOST == "127.0.0.1"


def test_our_own_variable_beats_that_of_the_platform(tmp_path: Path) -> None:
    config = load(tmp_path, PORT="5000", VIVACE_PORT="6000", WEB_CONCURRENCY="2", VIVACE_WORKERS="3")
    assert (config.PORT, config.WORKERS) == (6000, 3)


@pytest.mark.parametrize("variable", ["WEB_CONCURRENCY", "PORT"])
@pytest.mark.parametrize("value", ["", "  ", "many", "-1", "1.5", "99999999"])
def test_garbage_of_a_platform_is_ignored_with_one_warning(tmp_path: Path, variable: str, value: str) -> None:
    config = load(tmp_path, **{variable: value})
    assert (config.WORKERS, config.PORT, config.HOST) == (1, 8000, "127.0.0.1")
    assert len(config.warnings) == 1
    assert variable in config.warnings[0]
    assert repr(value) in config.warnings[0]


def test_web_concurrency(tmp_path: Path) -> None:
    assert load(tmp_path, WEB_CONCURRENCY="4").WORKERS == 4
    assert load(tmp_path, WEB_CONCURRENCY="0").warnings


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", True),
        ("yes", True),
        ("anything", True),
        ("", False),
        (" ", False),
        ("0", False),
        ("False", False),
        ("no", False),
        ("OFF", False),
    ],
)
def test_debug_of_a_platform(tmp_path: Path, value: str, expected: bool) -> None:
    assert load(tmp_path, DEBUG=value).DEBUG is expected


# Errors


@pytest.mark.parametrize("value", ["", "abc", "70000"])
def test_garbage_in_our_own_variables_is_an_error(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="environment VIVACE_PORT"):
        load(tmp_path, VIVACE_PORT=value)


def test_an_unknown_variable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"VIVACE_WORKRES.*did you mean WORKERS"):
        load(tmp_path, VIVACE_WORKRES="2")


def test_the_switch_of_the_build_is_no_setting(tmp_path: Path) -> None:
    assert load(tmp_path, VIVACE_PURE="1").sources == {}


@pytest.mark.parametrize("name", ["pyproject.toml", "vivace.toml"])
def test_an_unknown_key_in_a_file_is_an_error(tmp_path: Path, name: str) -> None:
    head = "[tool.vivace]\n" if name == "pyproject.toml" else ""
    (tmp_path / name).write_text(f"{head}keepalive-timeout = 5\n")
    with pytest.raises(ConfigError, match=r"did you mean keep-alive-timeout\?") as caught:
        load(tmp_path)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("prot", "port"),
        ("log_fromat", "log_format"),
        ("log-fromat", "log-format"),
        ("keepalivetimeout", "keep-alive-timeout"),
        ("LOG_FROMAT", "LOG_FORMAT"),
        ("Prot", "PORT"),
    ],
)
def test_a_key_is_suggested_as_the_file_writes_its_keys(tmp_path: Path, key: str, meant: str) -> None:
    (tmp_path / "vivace.toml").write_text(f"{key} = 5\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value).endswith(f"unknown setting {key!r}; did you mean {meant}?")


@pytest.mark.parametrize("table", ["tool.vivace", "vivace"])
def test_a_table_that_our_own_file_does_not_need(tmp_path: Path, table: str) -> None:
    (tmp_path / "vivace.toml").write_text(f"[{table}]\nport = 5\n")
    with pytest.raises(ConfigError, match=rf"vivace.toml: the line \[{table}\] is not needed here"):
        load(tmp_path)


def test_a_project_file_whose_entry_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nvivace = 5\n")
    with pytest.raises(ConfigError, match=r"tool\.vivace is 5; expected a table"):
        load(tmp_path)


def test_a_bad_value_in_a_file_names_file_and_key(tmp_path: Path) -> None:
    (tmp_path / "vivace.toml").write_text("max-connections = 'lots'")
    with pytest.raises(ConfigError, match=r"'lots' \(from vivace.toml, key max-connections\)"):
        load(tmp_path)


def test_a_broken_file_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "vivace.toml").write_text("port = 1\nport 2\n")
    with pytest.raises(ConfigError, match=r"vivace.toml is not valid TOML: .*line 2"):
        load(tmp_path)


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "vivace.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"vivace.toml cannot be read"):
        load(tmp_path)


def test_a_project_file_without_our_table_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n[tool.other]\nport = 1\n")
    assert load(tmp_path).sources == {}


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(ConfigError, match="command line: unknown setting 'PROT'; did you mean PORT"):
        Config().override({"PROT": 1})


def test_an_override_is_all_or_nothing() -> None:
    config = Config()
    with pytest.raises(ConfigError):
        config.override({"THREADS": 9, "PORT": "x"})
    assert config.THREADS == 4


# Application code


def test_application_keys_take_any_value() -> None:
    config = Config(DATABASE_URL=None)
    config.update({"POOL_SIZE": 5}, FEATURES={"a"})
    config.RETRIES = 3
    assert (None, 5, {"a"}, 3) == (config.DATABASE_URL, config.POOL_SIZE, config.FEATURES, config.RETRIES)
    assert config.sources["POOL_SIZE"] == "application code"
    assert config.warnings == []


def test_a_key_that_is_nearly_a_setting_is_kept_and_warned_about() -> None:
    config = Config()
    config.KEEP_ALIVE_TIMOUT = 3
    assert config.KEEP_ALIVE_TIMOUT == 3
    assert len(config.warnings) == 1
    assert "did you mean KEEP_ALIVE_TIMEOUT" in config.warnings[0]


def test_lower_case_is_refused() -> None:
    config = Config()
    with pytest.raises(ConfigError, match="did you mean PORT"):
        config.port = 1
    with pytest.raises(ConfigError):
        config.update(port=1)
    with pytest.raises(ConfigError):
        config["port"] = 1


def test_an_update_is_all_or_nothing() -> None:
    config = Config()
    with pytest.raises(ConfigError):
        config.update(THREADS=9, PORT=-1)
    assert config.THREADS == 4
    config.update([("THREADS", 9)], PORT="81")
    assert (config.THREADS, config.PORT) == (9, 81)


def test_a_deleted_setting_is_back_at_its_default() -> None:
    config = Config(PORT=1, MINE=2)
    del config.PORT
    del config["MINE"]
    assert config.PORT == 8000
    assert "PORT" not in config.sources
    assert "MINE" not in config
    with pytest.raises(AttributeError):
        del config.MINE


def test_a_subclass_brings_its_own_defaults() -> None:
    class Own(Config):
        PORT = 9000
        DATABASE_URL: str = "postgresql://"

    class Deeper(Own):
        PORT = 9001

    config = Deeper()
    assert (config.PORT, config.DATABASE_URL, config["DATABASE_URL"]) == (
        9001,
        "postgresql://",
        "postgresql://",
    )
    assert Deeper(PORT=3).PORT == 3
    with pytest.raises(ConfigError):
        type("Bad", (Config,), {"PORT": -1})()


def test_complete_takes_over_what_is_at_its_default_here() -> None:
    process = Config()
    process.override({"PORT": 1, "THREADS": 9})
    process.update(MINE=1)
    own = Config(THREADS=2)
    own.complete(process)
    assert (own.PORT, own.THREADS) == (1, 2)
    assert own.sources["PORT"] == "command line --port"
    assert "MINE" not in own


def test_copies_are_independent() -> None:
    config = Config(PORT=1)
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert other == config
        other.PORT = 2
        assert config.PORT == 1


def test_repr_shows_what_is_not_default_and_no_secret() -> None:
    shown = repr(Config(PORT=1, FORWARDED_SECRET="hush"))
    assert "PORT=1" in shown
    assert "hush" not in shown
    assert repr(Config()) == "<Config defaults>"


def test_the_reference_names_every_setting() -> None:
    text = reference()
    for setting in SETTINGS:
        assert f"`{setting.name}`" in text
        assert setting.help in text
    assert "`WEB_CONCURRENCY`" in text
