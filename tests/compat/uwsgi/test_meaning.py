"""What each option of uWSGI becomes, and what is said about the others."""

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from vivace.compat.uwsgi import Meaning, read_meaning, to_toml
from vivace.compat.uwsgi.rules import ACTS, ALIASES, ELSEWHERE, NOT_NEEDED
from vivace.config import Config
from vivace.errors import ConfigError
from vivace.tasks.sqlite import path_of


@pytest.fixture
def meaning(tmp_path: Path) -> Any:
    def read(*lines: str) -> Meaning:
        path = tmp_path / "uwsgi.ini"
        path.write_text("\n".join(["[uwsgi]", *lines]))
        return read_meaning(str(path))

    return read


@pytest.mark.parametrize(
    ("line", "setting", "value"),
    [
        ("http-socket = :8000", "BIND", ":8000"),
        ("http = 127.0.0.1:80", "BIND", "127.0.0.1:80"),
        ("http-socket = /run/a.sock", "BIND", "unix:/run/a.sock"),
        ("https = :443,a.crt,a.key", "TLS_KEY", "a.key"),
        ("processes = 4", "WORKERS", 4),
        ("p = 4", "WORKERS", 4),
        ("threads = 2", "THREADS", 2),
        ("master = true", "THREADS", 1),
        ("listen = 100", "BACKLOG", 100),
        ("touch-reload = /srv/a.txt", "TOUCH_RELOAD", "/srv/a.txt"),
        ("http-keepalive = 30", "KEEP_ALIVE_TIMEOUT", 30),
        ("chmod-socket = 660", "UNIX_MODE", "660"),
        ("harakiri = 30", "RESPONSE_TIMEOUT", 30),
        ("harakiri = 30", "SUPERVISE", "on"),
        ("max-requests = 100", "WORKER_MAX_REQUESTS", 100),
        ("max-worker-lifetime = 60", "WORKER_MAX_LIFETIME", 60),
        ("reload-on-rss = 200", "WORKER_MAX_MEMORY", 200 << 20),
        ("evil-reload-on-rss = 300", "WORKER_MEMORY_LIMIT", 300 << 20),
        ("reload-mercy = 8", "GRACEFUL_SHUTDOWN_TIMEOUT", 8),
        ("lazy-apps = true", "PRELOAD", "off"),
        ("buffer-size = 65535", "REQUEST_MAX_HEADER_SIZE", 65535),
        ("static-map = /s=files", "STATIC", "/s=files"),
        ("static-map2 = /s=/srv", "STATIC", "/s=/srv/s"),
        ("mount = /api=api.py", "MOUNTS", "/api=api.py:application"),
        ("disable-logging = true", "ACCESS_LOG", False),
        ("logto = /var/log/a.log", "LOG_TO", "file:///var/log/a.log"),
        ("logger = socket:10.0.0.1:514", "LOG_TO", "syslog+udp://10.0.0.1:514"),
        ("logger = systemd", "LOG_TO", "journald://"),
        ("logger = mine rsyslog:10.0.0.1:514,shop", "LOG_TO", "syslog+udp://10.0.0.1:514?app=shop"),
        ("memory-report = true", "MEMORY_REPORT", 60),
        ("stats = 127.0.0.1:9191", "STATS_BIND", "127.0.0.1:9191"),
        ("stats = /run/stats.sock", "STATS_BIND", "unix:/run/stats.sock"),
        ("py-autoreload = 1", "AUTO_RELOAD", True),
        ("spooler = /srv/spool", "TASKS_URL", "sqlite:////srv/spool/tasks.sqlite3"),
        ("exec-pre-app = ls /", "HOOKS", {"before_start": [["sh", "-c", "ls /"]]}),
        ("hook-accepting1 = exec:ls", "HOOKS", {"after_ready": [["sh", "-c", "ls"]]}),
        ("exec-as-user-atexit = ls", "HOOKS", {"before_stop": [["sh", "-c", "ls"]]}),
    ],
)
def test_what_an_option_becomes(meaning: Any, line: str, setting: str, value: object) -> None:
    found = meaning(line)
    assert found.settings[setting] == value
    assert not found.warnings
    Config().override(found.settings, "uwsgi file")  # each is what its setting takes


def test_who_has_several_workers_has_a_supervisor_all_the_same(meaning: Any) -> None:
    assert "SUPERVISE" not in meaning("harakiri = 30", "processes = 2").settings


@pytest.mark.parametrize("value", ["true", "1", "0", "false"])
def test_keeping_connections_as_a_switch_is_no_time(meaning: Any, value: str) -> None:
    found = meaning(f"http-keepalive = {value}")
    assert "KEEP_ALIVE_TIMEOUT" not in found.settings
    assert not found.warnings


def test_several_files_may_be_touched(meaning: Any) -> None:
    found = meaning("chdir = /srv", "touch-reload = a.txt", "touch-chain-reload = /b c.txt")
    assert found.settings["TOUCH_RELOAD"] == "/srv/a.txt:/b c.txt"


def test_the_spool_is_in_the_folder_that_is_named(meaning: Any) -> None:
    assert str(path_of(meaning("spooler = /srv/spool").settings["TASKS_URL"])) == "/srv/spool/tasks.sqlite3"


def test_cheaper_makes_a_range_of_workers(meaning: Any) -> None:
    assert meaning("processes = 8", "cheaper = 2").settings["WORKERS"] == "2..8"
    assert meaning("processes = 8", "cheaper = 8").settings["WORKERS"] == 8


def test_daemons(meaning: Any) -> None:
    found = meaning(
        "attach-daemon = memcached -p 11311",
        "attach-daemon = memcached -p 11312 | cat",
        "attach-daemon2 = cmd=redis-server --save 1,2,stopsignal=2,touch=/a;/b,control=true",
        "smart-attach-daemon = /tmp/x.pid postgres -D x",
    ).settings["DAEMON"]
    assert [one["name"] for one in found] == ["memcached", "memcached-2", "redis-server", "postgres"]
    assert [one["cmd"] for one in found[:2]] == ["exec memcached -p 11311", "memcached -p 11312 | cat"]
    assert found[2]["cmd"] == "exec redis-server --save 1,2"
    assert (found[2]["stop_signal"], found[2]["watch"], found[2]["critical"]) == (
        "SIGINT",
        ["/a", "/b"],
        True,
    )
    assert found[3]["adopt"]
    Config().override({"DAEMON": found})


@pytest.mark.parametrize(
    ("lines", "target"),
    [
        (["module = a.b:app"], "a.b:app"),
        (["module = a"], "a:application"),
        (["callable = app", "module = a"], "a:app"),
        (["module = a", "callable = app"], "a:app"),
        (["module = a:make()"], "a:make"),
        (["wsgi-file = a.py"], "a.py:application"),
        (["master = 1"], ""),
    ],
)
def test_what_is_served(meaning: Any, lines: list[str], target: str) -> None:
    assert meaning(*lines).target == target


@pytest.mark.parametrize("name", ["socket", "uwsgi-socket", "fastcgi-socket", "s"])
def test_a_socket_of_another_protocol_is_refused_with_what_to_write(meaning: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=r"write http-socket = :3031, and proxy_pass instead of uwsgi_pass"):
        meaning(f"{name} = :3031")


@pytest.mark.parametrize("line", ["processes = many", "https = :443", "static-map = /x", "mount = /x",
                                  "attach-daemon2 = freq=3", "smart-attach-daemon = a.pid",
                                  "attach-daemon = echo it's", "attach-daemon2 = cmd=x,stopsignal=99",
                                  "smart-attach-daemon = a.pid it's"])  # fmt: skip
def test_a_value_that_cannot_be_is_refused_with_its_line(meaning: Any, line: str) -> None:
    with pytest.raises(ConfigError, match=r"uwsgi.ini, line 2: .* cannot be used; expected"):
        meaning(line)


@pytest.mark.parametrize("line", ["harakiri = -1", "threads = 1025", "processes = -1", "listen = 0",
                                  "http = a", "stats = :x", "reload-on-rss = -1", "logto = a b"])  # fmt: skip
def test_a_value_that_its_setting_does_not_take_is_refused_with_its_line(meaning: Any, line: str) -> None:
    name = line.partition(" ")[0]
    with pytest.raises(ConfigError, match=rf"\(from uwsgi.ini, line 2, {name}\)"):
        meaning(line)


@pytest.mark.parametrize("number", ["9", "2", "-1"])
def test_a_cheaper_that_is_not_below_processes_is_named(meaning: Any, number: str) -> None:
    found = meaning("processes = 2", f"cheaper = {number}")
    assert found.settings["WORKERS"] == 2
    (said,) = found.warnings
    assert said.startswith(f"uwsgi.ini, line 3: cheaper = {number} has no effect here")


def test_a_logger_without_a_place_is_named(meaning: Any) -> None:
    assert "there is no place '' for logs" in meaning("logger =").warnings[0]


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_an_option_without_a_counterpart_is_named_once(meaning: Any, name: str) -> None:
    found = meaning(f"{name} = x", f"{name} = y")
    (warning,) = found.warnings
    assert f"{name} has no effect here: " in warning
    assert len(meaning(f"{name} =").warnings) == 1
    assert not meaning(f"{name} = false").warnings


@pytest.mark.parametrize("name", sorted(NOT_NEEDED))
def test_of_what_is_not_needed_nothing_is_said(meaning: Any, name: str) -> None:
    assert not meaning(f"{name} = true").warnings


def test_an_unknown_option_is_named_unless_it_is_a_name_of_the_file(meaning: Any) -> None:
    found = meaning("base = /srv", "chdir = %(base)", "harakri = 3", "zzz = 0")
    assert found.folder == "/srv"
    first, second = found.warnings
    assert first.endswith("line 4: harakri is no option of uWSGI that is known here; did you mean harakiri?")
    assert "zzz is no option" in second


def test_statistics_for_everybody_stay_on_this_machine(meaning: Any) -> None:
    found = meaning("stats = :22222")
    assert found.settings["STATS_BIND"] == "127.0.0.1:22222"
    assert "would tell every machine" in found.warnings[0]


def test_an_address_of_the_command_line_takes_the_place_of_all(meaning: Any) -> None:
    found = meaning("http = :1", "http = :2", "processes = 2")
    assert found.settings["BIND"] == ":1 :2"
    assert found.beaten_by({"PORT": "3"}) == {"PORT": "3", "WORKERS": 2, "THREADS": 1}
    assert found.beaten_by({"WORKERS": "3"})["BIND"] == ":1 :2"


def test_the_process_is_brought_to_its_place(
    meaning: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GONE", "1")
    monkeypatch.setenv("PYTHONPATH", "/else")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("MODE", "before")
    (tmp_path / "in").mkdir()
    meaning("chdir = in", "env = MODE=x=y", "unenv = GONE", "pythonpath = lib").prepare()
    assert Path.cwd() == tmp_path / "in"
    assert (os.environ["MODE"], os.environ.get("GONE")) == ("x=y", None)
    assert sys.path[0] == str(tmp_path / "in" / "lib")
    assert os.environ["PYTHONPATH"] == f"{tmp_path}/in/lib{os.pathsep}/else"


def test_the_environment_that_vivace_runs_in_needs_no_word(meaning: Any) -> None:
    assert not meaning(f"virtualenv = {sys.prefix}").warnings
    assert "install it in that environment" in meaning("home = /elsewhere").warnings[0]


def test_what_is_printed_is_read_back_as_the_same(
    meaning: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "5000")
    found = meaning(
        "http-socket = :$(PORT)", "module = a:b", "processes = 4", "harakiri = 30", "attach-daemon = sleep 9",
        'exec-pre-app = echo "x"', "mule = m.py", "env = A=1", "static-map = /s=files",
    )  # fmt: skip
    text = to_toml(found)
    table = tomllib.loads(text)
    assert "bind" not in table  # PORT is read by itself
    assert "# environment: A=1" in text
    assert "mule has no effect here" in text
    (tmp_path / "vivace.toml").write_text(text)
    config, direct = Config.load({}, tmp_path), Config()
    direct.override(found.settings)
    for name in ("WORKERS", "RESPONSE_TIMEOUT", "DAEMON", "HOOKS", "STATIC", "THREADS"):
        assert config[name] == direct[name]
    assert config.APP == "a:b"


def test_no_option_stands_in_two_tables() -> None:
    tables = [set(ACTS), set(NOT_NEEDED), set(ELSEWHERE)]
    assert len(set().union(*tables)) == sum(map(len, tables))
    assert all(target in set().union(*tables) or target in ALIASES for target in ALIASES.values())
