"""Addresses to listen on: what may be written, and which of several settings counts."""

import re
from pathlib import Path

import pytest

from vivace.config import Config
from vivace.config.binds import Bind, binds_of, parse_bind
from vivace.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "bind", "shown"),
    [
        ("127.0.0.1:80", Bind("tcp", "127.0.0.1", 80), "127.0.0.1:80"),
        ("localhost:0", Bind("tcp", "localhost", 0), "localhost:0"),
        ("[::]:8000", Bind("tcp", "::", 8000), "[::]:8000"),
        ("[fe80::1%eth0]:1", Bind("tcp", "fe80::1%eth0", 1), "[fe80::1%eth0]:1"),
        (":65535", Bind("tcp", "", 65535), "*:65535"),
        ("*:1", Bind("tcp", "", 1), "*:1"),
        ("unix:/run/x.sock", Bind("unix", "/run/x.sock"), "unix:/run/x.sock"),
        ("unix:///run/x.sock", Bind("unix", "/run/x.sock"), "unix:/run/x.sock"),
        ("unix:x.sock", Bind("unix", "x.sock"), "unix:x.sock"),
        ("fd://3", Bind("fd", "3"), "fd://3"),
        ("fd://shop.socket", Bind("fd", "shop.socket"), "fd://shop.socket"),
        ("proxy+[::1]:81", Bind("tcp", "::1", 81, True), "proxy+[::1]:81"),
        ("proxy+unix:/x", Bind("unix", "/x", proxied=True), "proxy+unix:/x"),
    ],
)
def test_an_address_is_taken_apart_and_shown_again(text: str, bind: Bind, shown: str) -> None:
    assert parse_bind(text) == bind
    assert str(bind) == shown
    assert parse_bind(shown) == bind


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8000",
        "host",
        "host:",
        "h:65536",
        "h:-1",
        "h:\u0661",
        "::1:80",
        "[h]:1",
        "a/b:1",
        "unix:",
        "fd://",
        "proxy+",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_bind(text)


@pytest.mark.parametrize("value", ["a:1 b:2", "a:1, b:2", ["a:1", "b:2"], ("a:1", "b:2"), ["a:1 b:2"]])
def test_several_are_text_or_a_list(value: object) -> None:
    config = Config(BIND=value)
    assert config.BIND == "a:1 b:2"
    assert binds_of(config) == [Bind("tcp", "a", 1), Bind("tcp", "b", 2)]


@pytest.mark.parametrize("value", [5, [1], "8000", ["unix:/with space"]])
def test_a_wrong_value_is_named_with_what_is_expected(value: object) -> None:
    with pytest.raises(ConfigError, match=r"BIND: .* expected host:port, \[address\]:port"):
        Config(BIND=value)


def test_without_it_host_port_and_unix_count() -> None:
    assert binds_of(Config()) == [Bind("tcp", "127.0.0.1", 8000)]
    assert binds_of(Config(HOST="::", PORT=1)) == [Bind("tcp", "::", 1)]
    assert binds_of(Config(HOST="*", PORT=1)) == [Bind("tcp", "", 1)]
    assert binds_of(Config(HOST="::", UNIX="/x")) == [Bind("unix", "/x")]


def load(tmp_path: Path, overrides: dict[str, object], **environ: str) -> list[str]:
    return [str(bind) for bind in binds_of(Config.load(environ, tmp_path, overrides))]


def test_the_port_of_a_platform_counts_least(tmp_path: Path) -> None:
    assert load(tmp_path, {}, PORT="5000") == ["*:5000"]
    assert load(tmp_path, {}, PORT="5000", VIVACE_BIND="unix:/x") == ["unix:/x"]
    (tmp_path / "vivace.toml").write_text('bind = ["127.0.0.1:1", "[::1]:1"]\n')
    assert load(tmp_path, {}, PORT="5000") == ["127.0.0.1:1", "[::1]:1"]


def test_the_command_line_beats_files_and_variables(tmp_path: Path) -> None:
    assert load(tmp_path, {"PORT": "1"}, VIVACE_BIND="unix:/x") == ["127.0.0.1:1"]
    assert load(tmp_path, {"BIND": ("*:1", "*:2")}, VIVACE_UNIX="/x") == ["*:1", "*:2"]
    assert load(tmp_path, {"BIND": "*:1", "PORT": "2"}) == ["*:1"]


def test_arguments_of_the_program_beat_variables(tmp_path: Path) -> None:
    config = Config.load({"VIVACE_BIND": "*:1"}, tmp_path)
    config.override({"PORT": 5}, "app.run()")
    assert [str(bind) for bind in binds_of(config)] == ["127.0.0.1:5"]
