"""Every setting: its default fits, its edges hold, and anything else is refused with a message that helps."""

import math
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from vivace.config import SETTINGS, Config, Setting
from vivace.errors import ConfigError

NUMBERS = [s for s in SETTINGS if s.kind in {"int", "float", "workers", "mode"}]
BY_NAME = {s.name: s for s in SETTINGS}
TYPES = {"bool": bool, "choice": str, "float": float, "header": str, "int": int, "logo": str, "mode": int}
TEXTS = ("binds", "alarms", "budgets", "daemons", "hooks", "mounts", "networks", "paths", "places", "str")
TYPES |= dict.fromkeys(TEXTS, str) | {"workers": int}


def name_of(setting: Setting) -> str:
    return setting.name


def refuse(setting: Setting, value: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        setting.parse(value, "somewhere")
    assert setting.name in str(caught.value)
    assert "somewhere" in str(caught.value)
    assert caught.value.key == setting.name
    assert caught.value.source == "somewhere"
    return caught.value


@pytest.mark.parametrize("setting", SETTINGS, ids=name_of)
def test_default_is_a_value_of_the_setting(setting: Setting) -> None:
    assert setting.parse(setting.default, "default") == setting.default
    assert type(getattr(Config(), setting.name)) is type(setting.default)


@pytest.mark.parametrize("setting", SETTINGS, ids=name_of)
def test_annotation_of_config_agrees_with_the_declaration(setting: Setting) -> None:
    expected: Any = TYPES[setting.kind]
    if setting.default is None:
        expected |= None
    assert get_type_hints(Config)[setting.name] == expected


def test_config_annotates_settings_only() -> None:
    upper = [name for name in get_type_hints(Config) if name.isupper()]
    assert upper == [s.name for s in SETTINGS]


def test_names_options_and_variables_are_unique() -> None:
    options = [s.option for s in SETTINGS if s.option]
    variables = [v for s in SETTINGS for v in (s.variable, *s.env)]
    assert len(set(options)) == len(options)
    assert len(set(variables)) == len(variables)
    assert len(BY_NAME) == len(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS, ids=name_of)
def test_help_is_a_sentence(setting: Setting) -> None:
    assert setting.help.endswith(".")
    assert len(setting.help) < 100


@pytest.mark.parametrize("setting", NUMBERS, ids=name_of)
def test_edges_of_a_number(setting: Setting) -> None:
    assert setting.minimum is not None, "a number has a least value, or nonsense gets in"
    for value in (setting.minimum, int(setting.minimum)):
        assert setting.parse(value, "code") == setting.minimum
    refuse(setting, setting.minimum - 1)
    if setting.maximum is not None:
        assert setting.parse(setting.maximum, "code") == setting.maximum
        message = str(refuse(setting, setting.maximum + 1))
        assert f"{setting.maximum:.0f}" in message
    else:
        assert setting.parse(10**12, "code") == 10**12


@pytest.mark.parametrize("setting", NUMBERS, ids=name_of)
@pytest.mark.parametrize(
    "value", ["", " ", "x", "1x", "--1", "1__0", "٣", "nan", "inf", "-inf", "1e999", "0x10"]
)
def test_text_that_is_no_number_is_refused(setting: Setting, value: str) -> None:
    refuse(setting, value)


@pytest.mark.parametrize("setting", NUMBERS, ids=name_of)
@pytest.mark.parametrize("value", [True, [], {}, b"1", math.nan, math.inf, "9" * 5000])
def test_values_that_are_no_numbers_are_refused(setting: Setting, value: object) -> None:
    refuse(setting, value)


@pytest.mark.parametrize("setting", [s for s in NUMBERS if s.kind != "float"], ids=name_of)
def test_whole_numbers_have_no_fraction(setting: Setting) -> None:
    assert setting.minimum is not None
    refuse(setting, setting.minimum + 0.5)
    refuse(setting, "300.5")


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.default is not None], ids=name_of)
def test_none_is_refused_where_a_value_is_needed(setting: Setting) -> None:
    refuse(setting, None)


@pytest.mark.parametrize("name", ["LOGO", "FORWARDED_SECRET", "REAL_IP_HEADER", "PROXIES_COUNT"])
def test_none_is_taken_where_a_setting_may_be_absent(name: str) -> None:
    assert BY_NAME[name].parse(None, "code") is None


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.kind == "bool"], ids=name_of)
def test_yes_and_no(setting: Setting) -> None:
    for word in ("1", "true", "True", "YES", "on", "t", "y", True, 1):
        assert setting.parse(word, "x") is True
    for word in ("0", "false", "No", "OFF", "f", "n", False, 0):
        assert setting.parse(word, "x") is False
    refused: list[object] = ["", "2", "maybe", 2, None, [], 1.0]
    for value in refused:
        refuse(setting, value)


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.kind == "choice"], ids=name_of)
def test_choices(setting: Setting) -> None:
    for word in setting.choices:
        assert setting.parse(word.upper() + " ", "x") == word
    error = refuse(setting, "nonsense")
    assert error.allowed == setting.choices
    assert ", ".join(setting.choices) in str(error)
    refuse(setting, 1)


def test_permission_bits_are_octal_in_text_and_plain_in_code() -> None:
    setting = BY_NAME["UNIX_MODE"]
    assert [setting.parse(v, "x") for v in ("660", "0o660", "0660", 0o660)] == [0o660] * 4
    assert setting.show(0o660) == "0o660"
    for value in ("8", "0x1", "1777", 0o1000, -1, "66_0"):
        refuse(setting, value)


@pytest.mark.parametrize(
    "value",
    [
        "/old=legacy.wsgi:app  /=new.py",
        ["/old=legacy.wsgi:app", "/=new.py"],
        {"/old": "legacy.wsgi:app", "/": "new.py"},
    ],
)
def test_mounts_are_taken_as_text_list_or_table(value: object) -> None:
    assert BY_NAME["MOUNTS"].parse(value, "somewhere") == "/old=legacy.wsgi:app /=new.py"
    assert BY_NAME["MOUNTS"].parse("", "somewhere") == ""


@pytest.mark.parametrize(
    "value", ["old=x", "/old", "/old=", "=x", "/a=b=c", ["/a b=c"], [3], {"/a": 3, "b": "c"}, 3]
)
def test_mounts_that_are_none(value: object) -> None:
    refuse(BY_NAME["MOUNTS"], value)


def test_workers_may_be_left_to_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivace.config.setting.available_cpus", lambda: 7)
    assert BY_NAME["WORKERS"].parse(" Auto ", "x") == 7
    assert BY_NAME["WORKERS"].parse("3", "x") == 3
    refuse(BY_NAME["WORKERS"], "all")


def test_available_cpus_heed_the_quota_of_the_control_group(monkeypatch: pytest.MonkeyPatch) -> None:
    from vivace.config import available_cpus

    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    for text, expected in (("150000 100000\n", 2), ("max 100000\n", 8), ("1000 100000\n", 1), ("junk", 8)):
        monkeypatch.setattr(Path, "read_text", lambda self, encoding, text=text: text)
        assert available_cpus() == expected


def test_header_names_are_tokens() -> None:
    setting = BY_NAME["REQUEST_ID_HEADER"]
    assert setting.parse("X-Trace", "x") == "X-Trace"
    assert setting.parse("", "x") == ""
    for value in ("X Trace", "X:", "X\r\nY", "é", 1):
        refuse(setting, value)


def test_text_stays_on_one_line() -> None:
    assert BY_NAME["HOST"].parse("::1", "x") == "::1"
    assert BY_NAME["UNIX"].parse(Path("/run/x.sock"), "x") == "/run/x.sock"
    for value in ("a\nb", "a\0b", 1, b"x"):
        refuse(BY_NAME["HOST"], value)
    assert BY_NAME["LOGO"].parse("a\nb", "x") == "a\nb"
    refuse(BY_NAME["LOGO"], 1)


def test_secrets_of_the_app_and_of_daemons_are_not_shown() -> None:
    config = Config(
        SECRET_KEY="s1",
        DATABASE_URL="postgres://ann:s2@db/x",
        OPTIONS={"password": "s3 and more", "port": 5},
        EMPTY_TOKEN="",
        GREETING="hello",
        PIN="s4",
        LOG_REDACT="pin",
        CORS_ALLOW="authorization, content-type",
        DAEMON=[{"name": "redis", "cmd": "redis-server", "env": {"REDIS_PASSWORD": "s5"}}],
    )
    shown = {name: text for name, text, _ in config.as_rows()}
    assert shown["SECRET_KEY"] == shown["PIN"] == "********"
    assert shown["DATABASE_URL"] == "'postgres://ann:***@db/x'"
    assert shown["OPTIONS"] == "{'password': '***', 'port': 5}"
    assert (shown["EMPTY_TOKEN"], shown["GREETING"]) == ("''", "'hello'")
    assert '"REDIS_PASSWORD":"***"' in shown["DAEMON"]
    assert not any(secret in repr(config) for secret in ("s1", "s2", "s3", "s4", "s5"))


def test_a_secret_is_not_shown() -> None:
    setting = BY_NAME["FORWARDED_SECRET"]
    assert "hush" not in setting.show("hush")
    assert setting.show(None) == ""
    assert "hush" not in str(refuse(setting, "hush\n"))


def test_a_message_says_value_expectation_and_place() -> None:
    message = str(refuse(BY_NAME["PORT"], "80x"))
    assert "'80x'" in message
    assert "a whole number from 0 to 65535" in message


def test_values_are_shown_as_one_would_type_them() -> None:
    assert BY_NAME["KEEP_ALIVE_TIMEOUT"].show(5.0) == "5"
    assert BY_NAME["KEEP_ALIVE_TIMEOUT"].show(0.25) == "0.25"
    assert BY_NAME["ACCESS_LOG"].show(True) == "true"
    assert BY_NAME["LOGO"].show(None) == ""
