"""Whatever happens to a Redis: nothing is raised, what is kept is complete, what is lost is said once."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.conftest import find_free_port
from tests.hub.engines.lab import FAST, QUICK, RESUME, Lab, Machine, Traffic, until
from tests.services.redis import RedisServer, StartRedis
from vivace.errors import ConfigError, HubUnavailable
from vivace.hub import Hub
from vivace.hub.engines import make_engine
from vivace.hub.engines.resp import connect
from vivace.hub.engines.urls import parse_address
from vivace.hub.records import Rule


async def pair(lab: Lab, url: str) -> tuple[Machine, Machine]:
    """Two machines, of which the second follows ``fast`` and ``resume``."""
    one, two = [await (await lab(url, name)).up() for name in "ab"]
    await two.follow("fast")
    await two.follow("resume", rule=RESUME)
    return one, two


def assert_lossless(two: Machine, traffic: Traffic) -> None:
    """Everything of the ordered topic came, in order and once; nothing was refused."""
    got = two.payloads("resume")
    assert [one for one in got if one in set(traffic.sent)] == traffic.sent
    assert len(set(got)) == len(got)
    assert not traffic.refused
    assert "resume" not in [topic for topic, _ in two.gaps]


async def test_there_are_two_connections_with_the_name_of_the_machine(
    redis_server: RedisServer, lab: Lab
) -> None:
    machine = await (await lab(redis_server.url, "web-1 7")).up()
    await machine.follow(*(f"room:{number}" for number in range(50)))
    await asyncio.gather(*(machine.send(f"room:{number}", b"x") for number in range(50)))
    mine = [one for one in redis_server.clients() if one["name"] == "shop@web-1-7/hub"]
    assert sorted(one["flags"] for one in mine) == ["N", "P"]
    assert machine.engine.connections == 2


async def test_a_program_without_a_name_waits_for_none(redis_server: RedisServer) -> None:
    async with Hub(redis_server.url) as hub:
        await until(lambda: hub.up)
        assert {one["name"] for one in redis_server.clients()} >= {f"vivace@{socket.gethostname()}/hub"}


async def test_the_kernel_looks_after_the_connection_too(redis_server: RedisServer) -> None:
    loop = asyncio.get_running_loop()
    made: list[asyncio.BaseTransport] = []
    create = loop.create_connection

    async def remember(*args: Any, **kwargs: Any) -> Any:
        transport, protocol = await create(*args, **kwargs)
        made.append(transport)
        return transport, protocol

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "create_connection", remember)
        connection = await connect(parse_address(redis_server.url), "shop@a/hub", QUICK)
    own = made[0].get_extra_info("socket")
    assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
    connection.close("the test ends")


async def test_no_message_is_lost_when_connections_are_cut_again_and_again(
    redis_server: RedisServer, lab: Lab
) -> None:
    one, two = await pair(lab, redis_server.url)
    async with Traffic(one, "fast", FAST, 0.002) as fast, Traffic(one, "resume", RESUME, 0.002) as resume:
        for _ in range(8):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(redis_server.kill_clients)
        await until(lambda: two.engine.up and one.engine.up)
        count = len(two.got)
        await until(lambda: len(two.got) > count + 20)
    await until(lambda: two.payloads("resume")[-1] == resume.sent[-1])
    await until(lambda: two.payloads("fast")[-1] == fast.sent[-1])
    assert_lossless(two, resume)
    got = two.payloads("fast")
    assert not fast.refused
    assert got == sorted(set(got), key=int)
    assert {topic for topic, _ in two.gaps} == {"fast"}
    assert 1 <= len(two.gaps) <= 8


async def test_cutting_only_the_commands_loses_nothing_at_all(redis_server: RedisServer, lab: Lab) -> None:
    one, two = await pair(lab, redis_server.url)
    async with Traffic(one, "fast", FAST, 0.001) as fast:
        for _ in range(6):
            await asyncio.sleep(0.08)
            await asyncio.to_thread(redis_server.kill_clients, "normal")
        await until(lambda: one.engine.up)
    await until(lambda: two.payloads("fast")[-1:] == fast.sent[-1:])
    assert two.payloads("fast") == fast.sent
    assert two.gaps == []


async def test_a_restart_loses_nothing_of_what_redis_keeps_and_says_one_gap_else(
    start_redis: StartRedis, lab: Lab
) -> None:
    server = start_redis(appendonly="yes", appendfsync="always")
    one, two = await pair(lab, server.url)
    async with Traffic(one, "fast", FAST) as fast, Traffic(one, "resume", RESUME) as resume:
        await until(lambda: len(two.got) > 40)
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.start)
        await until(lambda: two.engine.up)
        count = len(two.got)
        await until(lambda: len(two.got) > count + 40)
    await until(lambda: two.payloads("resume")[-1] == resume.sent[-1])
    await until(lambda: two.payloads("fast")[-1] == fast.sent[-1])
    assert_lossless(two, resume)
    ((topic, reason),) = two.gaps
    assert topic == "fast"
    assert reason.startswith("engine: the connection to redis was lost for 0.")
    assert not fast.refused  # they waited for less than the patience


async def test_a_redis_that_forgets_is_a_gap_and_then_goes_on(start_redis: StartRedis, lab: Lab) -> None:
    server = start_redis()
    one, two = await pair(lab, server.url)
    await one.send("resume", b"before", RESUME)
    await until(lambda: two.got)
    await asyncio.to_thread(server.stop)
    await until(lambda: not two.engine.up)
    waiting = asyncio.ensure_future(one.send("resume", b"meanwhile", RESUME))
    await asyncio.to_thread(server.start)
    first = await waiting
    await until(lambda: len(two.got) == 2)
    await one.send("resume", b"after", RESUME)
    await until(lambda: len(two.got) == 3)
    assert two.payloads("resume") == [b"before", b"meanwhile", b"after"]
    assert first is not None
    assert first.offset == 1
    assert [topic for topic, _ in two.gaps if topic == "resume"] == ["resume"]


async def test_more_than_is_kept_is_a_gap(redis_server: RedisServer, lab: Lab) -> None:
    rule = Rule("*", "resume", 3, 60.0)
    one, two = [await (await lab(redis_server.url, name)).up() for name in "ab"]
    await two.follow("short", rule=rule)
    await one.send("short", b"0", rule)
    await until(lambda: two.got)
    key = next(key for key in redis_server.ask("KEYS", "*short*messages"))
    redis_server.ask("XTRIM", key, "MAXLEN", 0)  # as if many had come in between
    redis_server.ask("HINCRBY", key.replace("messages", "position"), "o", 7)
    await asyncio.to_thread(redis_server.kill_clients, "pubsub")
    await until(lambda: two.gaps)
    await one.send("short", b"9", rule)
    await until(lambda: len(two.got) == 2)
    assert two.gaps == [("short", "history: more was published than is kept")]


async def test_a_frozen_server_is_noticed_and_nothing_kept_is_lost(start_redis: StartRedis, lab: Lab) -> None:
    server = start_redis()
    one, two = await pair(lab, server.url)
    async with Traffic(one, "resume", RESUME) as resume:
        await until(lambda: len(two.got) > 10)
        server.freeze()
        try:
            await until(lambda: not one.engine.connections and not two.engine.connections)
        finally:
            server.thaw()
        count = len(two.got)
        await until(lambda: len(two.got) > count + 20)
    await until(lambda: two.payloads("resume")[-1] == resume.sent[-1])
    assert_lossless(two, resume)
    assert [topic for topic, _ in two.gaps] == ["fast"]
    assert any("the server hangs, or the way to it is cut" in why for why in one.problems)


async def test_a_server_that_drops_silent_clients_is_not_silent_for_us(
    start_redis: StartRedis, lab: Lab
) -> None:
    server = start_redis(timeout="1")
    timing = QUICK._replace(ping_after=60.0)
    machine = await (await lab(server.url, timing=timing)).up()
    await machine.follow("room")
    await until(lambda: machine.problems)  # the connection for commands was cut once
    assert "from now on it gets a PING more often" in machine.problems[0]
    await until(lambda: machine.engine.up)
    await asyncio.sleep(2.5)
    assert len(machine.problems) == 1
    await machine.send("room", b"x")
    await until(lambda: machine.got)
    assert machine.gaps == []


async def test_a_full_server_is_explained_and_used_when_it_has_room(
    start_redis: StartRedis, lab: Lab
) -> None:
    server = start_redis(maxclients="3")
    others = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
    machine = await lab(server.url)
    await until(lambda: machine.problems)
    assert "raise maxclients, take a larger plan" in machine.problems[-1]
    for other in others:
        other.close()
    await machine.up()
    await machine.follow("room")
    await machine.send("room", b"x")
    await until(lambda: machine.got)


async def test_a_small_output_buffer_does_not_cut_us_off(start_redis: StartRedis, lab: Lab) -> None:
    server = start_redis(client_output_buffer_limit="pubsub 64kb 32kb 1")
    one, two = await pair(lab, server.url)
    for _ in range(20):
        await asyncio.gather(*(one.send("fast", b"x" * 2000) for _ in range(20)))
    await until(lambda: len(two.got) == 400)
    assert two.gaps == []


async def test_scripts_that_were_flushed_are_loaded_again(redis_server: RedisServer, lab: Lab) -> None:
    one, two = await pair(lab, redis_server.url)
    redis_server.ask("SCRIPT", "FLUSH")
    assert await one.send("resume", b"x", RESUME) is not None
    await until(lambda: two.payloads("resume"))


async def test_a_message_that_cannot_be_stored_is_refused_with_the_reason(
    redis_server: RedisServer, lab: Lab
) -> None:
    redis_server.ask("DEL", "vivace:{odd}:position")
    redis_server.ask("SET", "vivace:{odd}:position", "not ours")
    machine = await (await lab(redis_server.url)).up()
    with pytest.raises(HubUnavailable, match="WRONGTYPE"):
        await machine.send("odd", b"x", RESUME)
    with pytest.raises(HubUnavailable, match="WRONGTYPE"):
        await machine.engine.history("odd", RESUME, None, 1)
    assert machine.engine.up


# What a server that cannot be used says, and what we say then


@asynccontextmanager
async def answering(line: bytes, *, at_once: bool = False) -> AsyncIterator[str]:
    """A server that gives one answer to everything."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if at_once:
            writer.write(line)
        while not at_once and await reader.read(65536):
            writer.write(line * 5)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        (b"-ERR max number of clients reached\r\n", "raise maxclients"),
        (b"-NOAUTH Authentication required.\r\n", "redis://:password@host"),
        (b"-WRONGPASS invalid username-password pair\r\n", "does not accept the user or the password"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "wait, it is tried again"),
        (b"-READONLY You can't write against a read only replica.\r\n", "let HUB_URL name the primary"),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "part of a cluster"),
        (b"-NOPERM this user has no permissions to run the 'set' command\r\n", "its rules (ACL)"),
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "raise maxmemory"),
        (b"-MISCONF Redis is configured to save RDB snapshots\r\n", "cannot save to its disk"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers is no Redis"),
    ],
)
async def test_each_refusal_is_said_once_with_its_remedy(
    line: bytes, remedy: str, lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "vivace"):
        async with answering(line) as url:
            machine = await lab(url)
            await until(lambda: machine.problems)
            await asyncio.sleep(0.2)  # some more attempts
    said = [record.getMessage() for record in caplog.records if remedy in record.getMessage()]
    assert len(said) == 1, caplog.text
    assert remedy in machine.problems[0]
    assert url in machine.problems[0]


async def test_a_password_that_is_missing_or_wrong(start_redis: StartRedis, lab: Lab) -> None:
    server = start_redis(requirepass="secret")
    right = server.url.replace("//", "//:secret@")
    wrong = server.url.replace("//", "//:guess@")
    for url, remedy in ((server.url, "HUB_URL has none"), (wrong, "does not accept")):
        machine = await lab(url)
        await until(lambda machine=machine: machine.problems)  # type: ignore[misc]
        assert remedy in machine.problems[0]
        assert "guess" not in machine.problems[0]
    await (await lab(right)).up()


async def test_a_user_whose_rules_allow_only_the_names_of_the_hub(start_redis: StartRedis, lab: Lab) -> None:
    server = start_redis()
    server.ask("ACL", "SETUSER", "hub", "on", ">pw", "+@all", "~vivace*", "&vivace*")
    url = server.url.replace("//", "//hub:pw@")
    machine = await (await lab(url)).up()
    await machine.follow("room", rule=RESUME)
    await machine.send("room", b"x", RESUME)
    await until(lambda: machine.got)
    strange = await lab(url, prefix="blog")
    await until(lambda: strange.problems)
    assert "give the user in HUB_URL +@all ~PREFIX* &PREFIX*" in strange.problems[0]


async def test_nothing_there_and_a_name_that_nobody_knows(lab: Lab) -> None:
    for url, words in (
        (f"redis://127.0.0.1:{find_free_port()}", "nothing listens there"),
        ("redis://no-such-host.invalid", "its name cannot be found"),
    ):
        machine = await lab(url)
        await until(lambda machine=machine: machine.problems)  # type: ignore[misc]
        assert words in machine.problems[0]


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_tls_is_verified_unless_the_url_says_otherwise(
    start_redis: StartRedis, lab: Lab, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pair = authority.issue("127.0.0.1")
    server = start_redis(tls=(pair.cert, pair.key))
    strict = await lab(server.url)
    await until(lambda: strict.problems)
    assert "its certificate is not trusted" in strict.problems[0]
    assert "?tls_ca=FILE" in strict.problems[0]
    assert "?tls_verify=none" in strict.problems[0]
    await (await lab(f"{server.url}?tls_ca={authority.path}")).up()
    assert "is used with" not in caplog.text
    machine = await (await lab(f"{server.url}?tls_verify=none")).up()
    assert "is used with tls_verify=none: whoever is in between can read along" in caplog.text
    await machine.follow("room")
    await machine.send("room", b"x" * 100_000)
    await until(lambda: machine.got)


async def test_a_certificate_for_another_name(
    start_redis: StartRedis, lab: Lab, authority: Authority
) -> None:
    pair = authority.issue("redis.example")
    server = start_redis(tls=(pair.cert, pair.key))
    strict = await lab(f"{server.url}?tls_ca={authority.path}")
    await until(lambda: strict.problems)
    assert "its certificate is for another name" in strict.problems[0]
    assert "?tls_verify=ca" in strict.problems[0]
    await (await lab(f"{server.url}?tls_ca={authority.path}&tls_verify=ca")).up()


async def test_tls_on_one_side_only(start_redis: StartRedis, lab: Lab, authority: Authority) -> None:
    pair = authority.issue("127.0.0.1")
    server = start_redis(tls=(pair.cert, pair.key))
    plain = await lab(server.url.replace("rediss", "redis"))
    await until(lambda: plain.problems)
    assert "if it wants TLS, use rediss:// for redis://" in plain.problems[0]
    server = start_redis()
    tls = await lab(server.url.replace("redis", "rediss"), timing=QUICK._replace(connect_timeout=0.3))
    await until(lambda: tls.problems)
    assert "speak no TLS? Then use redis://" in tls.problems[0]


def test_a_file_of_certificates_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no file of certificates"):
        make_engine(f"rediss://localhost?tls_ca={tmp_path}/missing.pem")
