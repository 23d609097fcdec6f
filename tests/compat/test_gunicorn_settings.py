"""What gunicorn's options mean in our settings, with gunicorn's own configuration."""

import logging
from typing import Any

import pytest

from tests.server.support import hello, running
from vivace.compat.gunicorn_access import GunicornAccessLog
from vivace.compat.gunicorn_settings import (
    NO_LIMIT,
    graceful_seconds,
    ignored_options,
    settings_of,
    wants_access_log,
)
from vivace.config import Config

gunicorn_config = pytest.importorskip("gunicorn.config")


def cfg_of(**options: object) -> Any:
    cfg = gunicorn_config.Config()
    for name, value in options.items():
        cfg.set(name, value)
    return cfg


def test_options_at_their_defaults_leave_ours_as_they_are() -> None:
    assert settings_of(cfg_of(), "native", Config()) == {"WORKERS": 1}
    assert ignored_options(cfg_of()) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"workers": 3}, {"WORKERS": 3}),
        ({"threads": 3}, {"THREADS": 3}),
        ({"keepalive": 75}, {"KEEP_ALIVE": True, "KEEP_ALIVE_TIMEOUT": 75.0}),
        ({"keepalive": 0}, {"KEEP_ALIVE": False, "KEEP_ALIVE_TIMEOUT": 0.0}),
        ({"limit_request_fields": 7}, {"REQUEST_MAX_FIELDS": 7}),
        ({"limit_request_line": 100}, {"REQUEST_MAX_LINE_SIZE": 8190}),
        ({"limit_request_line": 100, "limit_request_field_size": 90}, {"REQUEST_MAX_LINE_SIZE": 100}),
        ({"limit_request_line": 1, "limit_request_field_size": 1}, {"REQUEST_MAX_LINE_SIZE": 64}),
        ({"limit_request_line": 0}, {"REQUEST_MAX_LINE_SIZE": NO_LIMIT}),
        ({"worker_connections": 10}, {"MAX_CONNECTIONS": 10}),
    ],
)
def test_options_that_were_given_become_settings(
    options: dict[str, object], expected: dict[str, object]
) -> None:
    found = settings_of(cfg_of(**options), "native", Config())
    assert found == {"WORKERS": 1, **expected}
    Config().override(found)  # and they are taken


def test_options_of_newer_versions_count_where_they_exist() -> None:
    cfg = cfg_of()
    if "asgi_loop" not in cfg.settings:
        pytest.skip("this gunicorn has no such options")
    cfg.set("asgi_loop", "asyncio")
    cfg.set("asgi_lifespan", "off")
    cfg.set("root_path", "/shop")
    found = settings_of(cfg, "asgi", Config())
    assert found == {"WORKERS": 1, "LOOP": "asyncio", "LIFESPAN": "off", "ROOT_PATH": "/shop"}


@pytest.mark.parametrize(
    ("threads", "own", "expected"), [(1, None, 1), (5, None, 5), (1, 7, None), (5, 7, 5)]
)
def test_a_wsgi_app_gets_as_many_threads_as_under_gunicorn(
    threads: int, own: int | None, expected: int | None
) -> None:
    config = Config()
    if own is not None:
        config.update(THREADS=own)
    assert settings_of(cfg_of(threads=threads), "wsgi", config).get("THREADS") == expected


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [(30, 15, 15.0), (30, 60, 29.0), (10, 15, 9.0), (1, 15, 0.5), (60, 15, 59.0), (0, 15, 0.0)],
)
def test_a_graceful_stop_is_over_before_the_arbiter_kills(theirs: int, ours: int, expected: float) -> None:
    config = Config(GRACEFUL_SHUTDOWN_TIMEOUT=ours)
    assert graceful_seconds(cfg_of(graceful_timeout=theirs), config) == expected


def test_options_without_effect_are_named() -> None:
    cfg = cfg_of(secure_scheme_headers={"X-SSL": "1"}, pre_request=lambda worker, request: None)
    assert ignored_options(cfg) == ["pre_request", "secure_scheme_headers"]


def test_proxies_are_those_of_gunicorn() -> None:
    assert not {"TRUSTED_PROXIES", "PROXY_PROTOCOL"} & set(settings_of(cfg_of(), "wsgi", Config()))
    cfg = cfg_of(forwarded_allow_ips="10.0.0.1,10.1.0.0/16", proxy_protocol=True, proxy_allow_ips="*")
    config = Config()
    config.override(settings_of(cfg, "wsgi", config), "gunicorn")
    assert config.TRUSTED_PROXIES == "10.0.0.1 10.1.0.0/16 unix"
    assert (config.PROXY_PROTOCOL, config.PROXY_PROTOCOL_FROM) == ("on", "* unix")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"accesslog": "-"}, True),
        ({"logconfig_dict": {"version": 1}}, True),
        ({"statsd_host": "localhost:8125"}, True),
        ({"syslog": True}, True),
        ({"syslog": True, "disable_redirect_access_to_syslog": True}, False),
    ],
)
def test_there_is_an_access_log_where_an_option_gives_it_a_place(
    options: dict[str, object], expected: bool
) -> None:
    assert wants_access_log(cfg_of(**options)) is expected


async def test_requests_come_in_the_format_of_gunicorns_access_log() -> None:
    glogging = pytest.importorskip("gunicorn.glogging")
    atoms = '%(h)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(m)s %(U)s %(q)s %({x-one}i)s %({x-two}o)s %(l)s'
    logger = glogging.Logger(cfg_of(accesslog="-", access_log_format=atoms))
    lines = []
    logger.access_log.handlers[:] = [handler := logging.Handler()]
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    request = b'GET /a?b=c HTTP/1.1\r\nHost: x\r\nUser-Agent: "me"\r\nX-One: 1\r\n\r\n'
    try:
        async with running(hello, access=GunicornAccessLog(logger)) as server:
            await server.exchange(request + b"GARBAGE\r\n\r\n")
    finally:
        logger.access_log.handlers.clear()
    assert lines[0] == '127.0.0.1 "GET /a?b=c HTTP/1.1" 200 8 "-" "\\"me\\"" GET /a b=c 1 - -'
    assert lines[1].startswith('127.0.0.1 "- ')
    assert ' 400 0 "-" "-" - - ' in lines[1]
