"""Whatever happens to a PostgreSQL: nothing is raised, nothing is missed; it publishes in transactions."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest

from tests.hub.engines.lab import FAST, QUICK, RESUME, Lab, Machine, Traffic, empty, until
from tests.services.postgres import Postgres
from vivace.errors import HubUnavailable
from vivace.hub.engines.postgres_rows import CHUNK, went_back
from vivace.hub.engines.postgres_schema import Names, bucket_of, script
from vivace.hub.records import Position, Rule


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """Where a server is that has forgotten all topics."""
    empty(postgres)
    yield postgres.url
    if postgres.ask("SELECT to_regclass('vivace_hub_messages')")[0][0]:
        postgres.ask("DROP TABLE vivace_hub_messages, vivace_hub_topics CASCADE")


async def pair(lab: Lab, url: str) -> tuple[Machine, Machine]:
    """Two machines, of which the second follows ``fast`` and ``resume``."""
    one, two = [await (await lab(url, name)).up() for name in "ab"]
    await two.follow("fast")
    await two.follow("resume", rule=RESUME)
    return one, two


def assert_lossless(two: Machine, *traffics: tuple[str, Traffic]) -> None:
    """Everything came, in order and once, without a gap; nothing was refused."""
    for topic, traffic in traffics:
        assert two.payloads(topic) == traffic.sent
        assert not traffic.refused
    assert two.gaps == []


async def ask(server: Postgres, query: str) -> list[tuple[Any, ...]]:
    return await asyncio.to_thread(server.ask, query)


async def test_there_are_two_connections_with_the_name_of_the_machine(
    postgres: Postgres, url: str, lab: Lab
) -> None:
    machine = await (await lab(url, "web-7")).up()
    await machine.follow(*(f"room:{number}" for number in range(50)))
    await asyncio.gather(*(machine.send(f"room:{number}", b"x") for number in range(50)))
    assert await asyncio.to_thread(postgres.connections, "shop@web-7/hub") == 2
    assert machine.engine.connections == 2


async def test_nothing_is_lost_when_connections_are_cut_again_and_again(
    postgres: Postgres, url: str, lab: Lab
) -> None:
    one, two = await pair(lab, url)
    async with Traffic(one, "fast", FAST) as fast, Traffic(one, "resume", RESUME) as resume:
        for _ in range(6):
            await asyncio.sleep(0.15)
            await asyncio.to_thread(postgres.cut, "shop@")
        await until(lambda: one.engine.up and two.engine.up)
        count = len(two.got)
        await until(lambda: len(two.got) > count + 20)
    await until(
        lambda: (two.payloads("resume")[-1], two.payloads("fast")[-1]) == (resume.sent[-1], fast.sent[-1])
    )
    assert_lossless(two, ("fast", fast), ("resume", resume))


async def test_nothing_is_lost_when_the_server_is_restarted(postgres: Postgres, url: str, lab: Lab) -> None:
    one, two = await pair(lab, url)
    async with Traffic(one, "fast", FAST) as fast, Traffic(one, "resume", RESUME) as resume:
        await until(lambda: len(two.got) > 30)
        await asyncio.to_thread(postgres.stop)
        await until(lambda: not one.engine.up and not two.engine.up)
        await asyncio.to_thread(postgres.start)
        await until(lambda: one.engine.up and two.engine.up)
        count = len(two.got)
        await until(lambda: len(two.got) > count + 20)
    await until(
        lambda: (two.payloads("resume")[-1], two.payloads("fast")[-1]) == (resume.sent[-1], fast.sent[-1])
    )
    assert_lossless(two, ("fast", fast), ("resume", resume))


async def test_a_machine_that_was_away_reads_all_that_it_missed_in_parts(
    postgres: Postgres, url: str, lab: Lab
) -> None:
    _, two = await pair(lab, url)
    await ask(
        postgres,
        "BEGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'shop@b/hub';"
        f" SELECT hub_publish('fast', to_jsonb(n)) FROM generate_series(1, {CHUNK + 500}) AS n; COMMIT",
    )
    await until(lambda: len(two.got) >= CHUNK + 500)
    assert [msgspec.msgpack.decode(one) for one in two.payloads("fast")] == list(range(1, CHUNK + 501))
    assert two.gaps == []


async def test_sql_publishes_with_its_transaction(postgres: Postgres, url: str, lab: Lab) -> None:
    _, two = await pair(lab, url)
    with psycopg.connect(host=str(postgres.folder), user=postgres.user, dbname="postgres") as late:
        late.execute("SELECT hub_publish('fast', %s)", [json.dumps({"t": "late"})])
        await ask(postgres, 'SELECT hub_publish(\'fast\', \'{"t": "early", "n": [1, 2.5, null]}\')')
        await until(lambda: two.got)
        assert [msgspec.msgpack.decode(one) for one in two.payloads("fast")] == [
            {"t": "early", "n": [1, 2.5, None]}
        ]
        late.commit()
        await until(lambda: len(two.got) == 2)  # its id is lower than that of the one before
        assert msgspec.msgpack.decode(two.payloads("fast")[1]) == {"t": "late"}
        late.execute("SELECT hub_publish('fast', '1')")
        late.rollback()
    assert (await ask(postgres, "SELECT hub_publish('fast', '\"last\"')")) == [(None,)]
    await until(lambda: len(two.got) == 3)
    assert msgspec.msgpack.decode(two.payloads("fast")[2]) == "last"
    assert [(one.origin, one.pos) for one in two.got] == [("sql", None)] * 3
    assert len({one.id for one in two.got}) == 3


async def test_sql_keeps_the_order_of_a_topic_that_has_one(postgres: Postgres, url: str, lab: Lab) -> None:
    one, two = await pair(lab, url)
    first = await one.send("resume", b"\x01", RESUME)
    assert first is not None
    ((text,),) = await ask(postgres, "SELECT hub_publish('resume', '2')")
    assert Position.parse(text) == Position(first.epoch, 2)
    ((text,),) = await ask(postgres, "SELECT hub_publish('fresh', '1', history => 5, ttl => 60)")
    assert Position.parse(text) is not None
    await until(lambda: len(two.got) == 2)
    assert two.payloads("resume") == [b"\x01", b"\x02"]
    past = await two.engine.history("fresh", RESUME, None, 10)
    assert [message.payload for message in past.messages] == [b"\x01"]


async def test_what_is_kept_no_longer_is_a_gap(postgres: Postgres, url: str, lab: Lab) -> None:
    one, two = await pair(lab, url)
    await one.send("resume", b"1", RESUME)
    await until(lambda: two.got)
    await ask(
        postgres,
        "BEGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'shop@b/hub';"
        " SELECT hub_publish('resume', '2'); SELECT hub_publish('resume', '3');"
        " DELETE FROM vivace_hub_messages WHERE place < 3; COMMIT",
    )
    await until(lambda: len(two.got) == 2)
    assert two.gaps == [("resume", "history: more was published than is kept")]


async def test_old_messages_go(postgres: Postgres, url: str, lab: Lab) -> None:
    machine = await (await lab(url, "a")).up()
    rule = Rule("*", "resume", 2, 0.0)
    for number in range(5):
        await machine.send("resume", b"%d" % number, rule)
    await machine.send("fast", b"x")
    await ask(
        postgres,
        "UPDATE vivace_hub_messages SET made = now() - interval '2 min', until = until - interval '2 min'",
    )
    await machine.engine.stop()
    again = await (await lab(url, "again")).up()  # it looks at its start
    while (await ask(postgres, "SELECT count(*) FROM vivace_hub_messages")) != [(2,)]:
        await asyncio.sleep(0.02)
    past = await again.engine.history("resume", rule, None, 10)
    assert [one.payload for one in past.messages] == [b"3", b"4"]


async def test_a_role_that_may_not_create_is_told_what_to_do(postgres: Postgres, url: str, lab: Lab) -> None:
    await ask(postgres, "DROP TABLE IF EXISTS vivace_hub_messages, vivace_hub_topics CASCADE")
    await ask(postgres, "DROP ROLE IF EXISTS humble")
    await ask(postgres, "CREATE ROLE humble LOGIN")
    humble = url.replace(f"user={postgres.user}", "user=humble")
    machine = await lab(humble)
    try:
        await until(lambda: machine.problems)
        assert "the output of python -m vivace.hub.engines.postgres_schema" in machine.problems[0]
        await ask(postgres, script(Names("vivace")))
        await ask(
            postgres,
            "GRANT ALL ON vivace_hub_messages, vivace_hub_topics, vivace_hub_hubs, vivace_hub_present"
            " TO humble",
        )
        await machine.up()
        await machine.follow("room")
        await machine.send("room", b"x", RESUME)
    finally:
        await machine.engine.stop()
        await ask(postgres, "DROP OWNED BY humble; DROP ROLE humble")


async def test_a_message_that_is_not_taken_is_refused_and_the_others_are_stored(
    postgres: Postgres, url: str, lab: Lab
) -> None:
    one, two = await pair(lab, url)
    await ask(postgres, "ALTER TABLE vivace_hub_messages ADD CONSTRAINT odd CHECK (topic <> 'bad')")
    answers = await asyncio.gather(
        one.send("fast", b"1"), one.send("bad", b"2"), one.send("fast", b"3"), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [type(None), HubUnavailable, type(None)]
    await until(lambda: len(two.got) == 2)
    assert one.engine.up


async def test_a_server_that_is_not_there_is_explained(lab: Lab, tmp_path: Any) -> None:
    machine = await lab(f"postgresql://me:secret@127.0.0.1:1/shop?host={tmp_path}")
    await until(lambda: machine.problems)
    assert machine.problems[0].startswith("postgres at postgresql://me:***@127.0.0.1:1/shop: ")


async def test_a_pooler_that_swallows_notifications_is_named_and_bridged(
    url: str, lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def swallow(*_: object) -> None:
        return

    monkeypatch.setattr("asyncpg.Connection.add_listener", swallow)
    monkeypatch.setattr("asyncpg.Connection.remove_listener", swallow)
    timing = QUICK._replace(ping_after=60.0, ping_timeout=0.2)
    machine = await (await lab(url, timing=timing)).up()
    assert "let it lead to the server itself" in caplog.text.lower()
    await machine.follow("room")
    await machine.send("room", b"x")
    await until(lambda: machine.got)


async def test_any_prefix_makes_names(postgres: Postgres, url: str, lab: Lab) -> None:
    machine = await (await lab(url, prefix='it\'s "odd" {0} %s')).up()
    await machine.follow("room", rule=RESUME)
    await machine.send("room", b"x", RESUME)
    await until(lambda: machine.got)
    assert (await ask(postgres, 'SELECT count(*) FROM "it_s__odd___0___s_hub_messages"')) == [(1,)]


def test_topics_are_spread_over_the_channels() -> None:
    assert len({bucket_of(f"room:{number}") for number in range(1000)}) == 64


def test_a_server_that_was_restored_is_noticed() -> None:
    assert went_back("700:710:703", "600:605:")
    assert not went_back("700:710:703", "710:710:")


async def test_the_server_agrees_about_the_channels(postgres: Postgres, url: str, lab: Lab) -> None:
    await (await lab(url)).up()
    with psycopg.connect(
        host=str(postgres.folder), user=postgres.user, dbname="postgres", autocommit=True
    ) as sql:
        for topic in ("room:1", "räume/ü", "x"):
            sql.execute(f'LISTEN "vivace_hub_{bucket_of(topic)}"'.encode())
            sql.execute("SELECT hub_publish(%s, '1')", [topic])
            (note,) = sql.notifies(timeout=5, stop_after=1)
            assert note.channel == f"vivace_hub_{bucket_of(topic)}"
            sql.execute("UNLISTEN *")
