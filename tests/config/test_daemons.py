"""What DAEMON, PROCFILE and HOOKS take, and what they refuse."""

from pathlib import Path
from typing import Any

import pytest

from vivace.config import Config
from vivace.config.daemons import Daemon, daemons_of_procfile, in_order, parse_daemons, show_daemons
from vivace.config.stages import parse_stages, show_stages
from vivace.errors import ConfigError

REDIS = {"name": "redis", "cmd": ["redis-server", "--port", "6379"], "ready": "tcp:6379"}


def test_tables_of_a_file_text_and_lists_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "vivace.toml").write_text(
        '[[daemon]]\nname = "redis"\ncmd = "redis-server --port 6379"\nready = "tcp:6379"\n'
    )
    read = Config.load({}, tmp_path)
    assert parse_daemons(read.DAEMON) == parse_daemons([REDIS])
    assert show_daemons(parse_daemons([REDIS])) == read.DAEMON
    assert Config.load({"VIVACE_DAEMON": read.DAEMON}, tmp_path / "none").DAEMON == read.DAEMON
    assert Config().DAEMON == ""


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"name": "a b"}, "a name has letters"),
        ({"cmd": []}, "cmd is empty"),
        ({"cmd": "redis-server 'x"}, "cannot be split"),
        ({"cmd": None}, "Expected `array`"),
        ({"cmd": ["a", "b"], "shell": True}, "with shell=true cmd is one text"),
        ({"restart": "often"}, "expected one of always, on-failure, never"),
        ({"ready": "tcp:port"}, "expected tcp:6379"),
        ({"ready": "log:("}, "is no regular expression"),
        ({"stop_signal": "SOON"}, "expected one such as TERM"),
        ({"grace": -0.1}, "seconds of at least 0"),
        ({"ready_timeout": -1}, "seconds of at least 0"),
        ({"start_after": "postgres"}, "'postgres', which is not there"),
        ({"adopt": True, "ready": "notify"}, "one that is adopted"),
        ({"retries": 3}, "unknown field `retries`"),
    ],
)
def test_what_a_daemon_cannot_be_is_said_with_its_name(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(DAEMON=[{**REDIS, **table}])
    assert said in str(caught.value)
    assert "a b" in str(caught.value) or "'redis'" in str(caught.value) or "redis:" in str(caught.value)


@pytest.mark.parametrize("value", ["[", "3", 7, [3]])
def test_what_is_no_table_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="DAEMON"):
        Config(DAEMON=value)


def test_the_edges_are_taken() -> None:
    (one,) = parse_daemons([{**REDIS, "grace": 0, "ready-timeout": 0, "stop-signal": "SIGQUIT"}])
    assert (one.grace, one.ready_timeout, one.stop_number) == (0.0, 0.0, 3)


def test_they_are_put_in_order_and_a_circle_is_named() -> None:
    def one(name: str, *after: str) -> Daemon:
        return Daemon(name=name, cmd=["x"], start_after=list(after))

    assert [d.name for d in in_order([one("c", "b"), one("b", "a"), one("a")])] == ["a", "b", "c"]
    with pytest.raises(ConfigError, match="a, b wait for each other"):
        in_order([one("a", "b"), one("b", "a")])
    with pytest.raises(ConfigError, match="two are called 'a'"):
        in_order([one("a"), one("a")])


def test_a_procfile_gives_all_but_web_and_release(tmp_path: Path) -> None:
    path = tmp_path / "Procfile"
    path.write_text("web: vivace run app\nrelease: x\nmail: python mail.py\nboth: a && b\nset: A=1 b\n")
    found = daemons_of_procfile(str(path))
    assert [(one.name, one.cmd[0]) for one in found] == [
        ("mail", "exec python mail.py"),
        ("both", "a && b"),
        ("set", "A=1 b"),
    ]
    assert all(one.shell and one.env == {"PORT": None} for one in found)
    path.write_text("web vivace run app\n")
    with pytest.raises(ConfigError, match="line 1: 'web vivace run app' is no process"):
        daemons_of_procfile(str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        daemons_of_procfile(str(tmp_path / "none"))


def test_hooks_are_commands_by_stage() -> None:
    stages = parse_stages({"before-start": "python 'a b'", "after_ready": [["x"], ["y", "z"]], "timeout": 3})
    assert stages.at("before_start") == [["python", "a b"]]
    assert stages.at("after_ready") == [["x"], ["y", "z"]]
    assert (stages.at("before_stop"), stages.timeout) == ([], 3)
    assert parse_stages(show_stages(stages)) == stages
    assert Config().HOOKS == ""


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"before_launch": "x"}, "there is no stage 'before_launch'; expected one of before_start"),
        ({"before_start": []}, "is no command"),
        ({"before_start": [1]}, "is no command"),
        ({"before_start": "a 'b"}, "cannot be split"),
        ({"timeout": 0}, "expected seconds above 0"),
        ({"timeout": "long"}, "expected seconds above 0"),
        ("[1]", "is no table"),
        ("{", "is no JSON"),
    ],
)
def test_what_a_hook_cannot_be_is_said(table: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(HOOKS=table)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["STAGE", "SUPERVISOR", "GENERATION", "RUN", "HUB"])
def test_a_command_of_a_hook_may_read_settings(name: str, tmp_path: Path) -> None:
    assert Config.load({f"VIVACE_{name}": "1", "VIVACE_PORT": "7"}, tmp_path).PORT == 7
