"""What HUB_URL may say."""

import re
import ssl

import pytest

from vivace.config import Config
from vivace.errors import ConfigError
from vivace.hub import engines
from vivace.hub.engines import check_url, make_engine, resolve_url
from vivace.hub.engines.upkeep import Backoff, Timing
from vivace.hub.engines.urls import hide_password, parse_address, same_server
from vivace.hub.limits import Limits


@pytest.mark.parametrize(
    ("said", "environ", "meant"),
    [
        ("redis://host/1", {}, "redis://host/1"),
        ("redis", {"REDIS_URL": "redis://a", "REDIS_TLS_URL": "rediss://b"}, "rediss://b"),
        ("redis", {"REDIS_URL": "redis://a", "REDIS_TLS_URL": ""}, "redis://a"),
        ("redis?tls_verify=none", {"REDIS_TLS_URL": "rediss://b"}, "rediss://b?tls_verify=none"),
        ("redis?tls_verify=ca", {"REDIS_URL": "rediss://b?db=1"}, "rediss://b?db=1&tls_verify=ca"),
        ("Postgres", {"DATABASE_URL": "postgres://p"}, "postgres://p"),
        ("nats", {"NATS_URL": "nats://n"}, "nats://n"),
    ],
)
def test_a_name_means_the_url_of_the_platform(said: str, environ: dict[str, str], meant: str) -> None:
    assert resolve_url(said, environ) == meant


def test_what_is_no_url_says_what_would_be() -> None:
    with pytest.raises(ConfigError, match="takes its URL from REDIS_TLS_URL or REDIS_URL"):
        resolve_url("redis", {})
    with pytest.raises(ConfigError, match="'kafka' is no URL: expected redis://host:6379/0"):
        resolve_url("kafka", {})
    with pytest.raises(ConfigError, match="there is no engine for kafka://"):
        make_engine("kafka://host")


def test_a_url_says_where_and_who() -> None:
    address = parse_address("redis://me:p%40ss@Host:7000/3")
    assert (address.host, address.port, address.user, address.password) == ("host", 7000, "me", "p@ss")
    assert (address.database, address.tls) == (3, None)
    assert address.shown == "redis://me:***@Host:7000/3"
    address = parse_address("valkey+unix:///run/v.sock?db=2")
    assert (address.path, address.database, address.host) == ("/run/v.sock", 2, "")
    assert parse_address("redis://").host == "127.0.0.1"


def test_tls_is_strict_unless_it_is_said() -> None:
    for options, name, mode in (
        ("", True, ssl.CERT_REQUIRED),
        ("?tls_verify=full", True, ssl.CERT_REQUIRED),
        ("?tls_verify=ca", False, ssl.CERT_REQUIRED),
        ("?tls_verify=none", False, ssl.CERT_NONE),
    ):
        context = parse_address(f"rediss://host{options}").tls
        assert context is not None
        assert (context.check_hostname, context.verify_mode) == (name, mode)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rediss://h?tls_verify=no", "tls_verify='no' is none of full, ca, none"),
        ("redis://h?ssl_cert_reqs=none", "options that nobody knows: ssl_cert_reqs"),
        ("redis://h/x", "cannot be read"),
        ("redis://h:port", "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_address(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("kafka://h", "there is no engine for kafka://"),
        ("somewhere", "is no URL"),
        ("redis://h:port", "cannot be read"),
        ("redis://h?what=1", "options that nobody knows"),
        ("postgres://me:pa@h:5x/db", "postgres://me:.*@h:5x/db cannot be read: the port"),
        ("postgres://a:5432,b:65536/db", "cannot be read: the port"),
        ("nats://a:4222,nats://b:port", "cannot be read: the port"),
        ("nats://[::1]:port", "cannot be read: the port"),
    ],
)
def test_no_engine_can_be_made_for_it(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:65535/0",
        "valkey://[::1]",
        "redis+unix:///run/redis.sock?db=1",
        "rediss://:pass@h?tls_verify=none",
        "postgres://me:p:1@h/db?host=/run/x:y",
        "postgresql://a:5432,b/db",
        "postgres:///db?host=/run/pg",
        "nats://me:secret@a:4222,me:secret@b:4222",
        "nats://token@a,nats://token@[::1]:4222",
    ],
)
def test_an_engine_can_be_made_for_it(url: str, caplog: pytest.LogCaptureFixture) -> None:
    check_url(url)
    assert caplog.text == ""


@pytest.mark.parametrize("library", ["hiredis", "asyncpg", "nats"])
def test_a_missing_library_is_said_without_loading_it(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    scheme = {"hiredis": "redis", "asyncpg": "postgres"}.get(library, library)
    words = f"needs {library}, which is not installed: pip install 'vivace.{scheme}"
    with pytest.raises(ConfigError, match=words):
        check_url(f"{scheme}://h")


@pytest.mark.parametrize(
    ("hub", "url", "same"),
    [
        ("redis://h:1/0", "rediss://:p@h:1/3", True),
        ("redis://h:1", "redis://h:2", False),
        ("postgres://me@h/a", "postgresql+asyncpg://me:p@h/b", True),
        ("postgres://me@h/a", "postgres://you@h/a", False),
        ("postgres:///a?host=/run/pg&user=me", "postgres:///b?host=/run/pg&user=me", True),
        ("redis+unix:///a.sock", "redis+unix:///b.sock", False),
        ("redis", "redis://h", False),
        ("", "redis://h", False),
        ("redis://h:port", "redis://h", False),
    ],
)
def test_the_hub_and_a_budget_may_be_about_one_server(
    hub: str, url: str, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("REDIS_TLS_URL", raising=False)
    assert same_server(hub, url) is same


def test_no_password_is_shown() -> None:
    assert hide_password("postgres://me:secret@h/db?x=1") == "postgres://me:***@h/db?x=1"
    assert hide_password("redis://h") == "redis://h"
    with pytest.raises(ConfigError) as caught:
        parse_address("redis://:secret@h?what=1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:sec/ret@h/0",
        "redis://me:sec?ret@h/0",
        "redis://me:sec@ret@h/0",
        "nats://me:secret@a,nats://me:secret@b",
        "nats://me:secret@a,me:secret@b",
        "nats://secret@a",
        "postgres://h/db?user=me&password=secret&sslpassword=secret",
    ],
)
def test_no_part_of_a_password_is_shown(url: str) -> None:
    assert not {"sec", "ret", "secret"} & set(re.split(r"\W", hide_password(url)))


def test_a_password_that_was_not_quoted_is_not_told_but_how_to_write_it() -> None:
    with pytest.raises(ConfigError, match="%2F") as caught:
        parse_address("redis://me:sec/ret@h/0")
    assert "sec/" not in str(caught.value)
    assert "'sec'" not in str(caught.value)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "hiredis", None)
    with pytest.raises(ConfigError, match=r"needs hiredis, which is not.*pip install 'vivace\[redis\]'"):
        make_engine("redis://h")


def test_the_times_are_settings() -> None:
    limits = Limits.of(Config(HUB_PING_INTERVAL=1, HUB_PING_TIMEOUT=1, HUB_OUTBOX=1, HUB_TIMEOUT=0))
    assert (limits.ping_interval, limits.ping_timeout, limits.outbox, limits.timeout) == (1, 1, 1, 0)
    assert (Timing().ping_after, Timing().ping_timeout) == (Limits().ping_interval, Limits().ping_timeout)
    assert (Timing().outbox, Timing().patience) == (Limits().outbox, Limits().timeout)
    assert "secret" not in str(Config(HUB_URL="redis://:secret@h"))


def test_pauses_grow_up_to_a_bound_and_are_any_length_below() -> None:
    backoff = Backoff(Timing(first_delay=0.1, last_delay=5.0))
    pauses = []
    for _ in range(50):
        backoff.reset()
        pauses.append([backoff.next() for _ in range(10)])
    for number, bound in enumerate((0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0)):
        column = [row[number] for row in pauses]
        assert max(column) <= bound + 0.01
        assert max(column) > bound / 2
        assert min(column) < bound / 2
