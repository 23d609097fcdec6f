"""What proxies tell reaches ASGI and WSGI apps: as far as settings say so."""

import json
from typing import Any

import pytest

from tests.interfaces.wsgi_support import request, split
from tests.server.support import serving
from vivace.config import Config
from vivace.interfaces.choose import make_interface

BY_ADDRESS: dict[str, Any] = {"TRUSTED_PROXIES": "127.0.0.1 10.0.0.0/8"}
ELEMENTS: dict[str, Any] = {**BY_ADDRESS, "FORWARDED_FOR_HEADER": "Forwarded"}


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    host = dict(scope["headers"])[b"host"].decode()
    seen = {"client": scope["client"][0], "port": scope["client"][1], "scheme": scope["scheme"], "host": host}
    fields = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    seen = {
        "client": environ["REMOTE_ADDR"],
        "port": int(environ["REMOTE_PORT"]),
        "scheme": environ["wsgi.url_scheme"],
        "host": environ["HTTP_HOST"],
    }
    return [json.dumps(seen).encode()]


@pytest.fixture(params=["asgi", "wsgi", "inline wsgi"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def ask(kind: str, *fields: str, **settings: Any) -> dict[str, Any]:
    config = Config(ACCESS_LOG=False, LIFESPAN="off", THREADS=0 if "inline" in kind else 2, **settings)
    app: Any = asgi if kind == "asgi" else wsgi
    interface = make_interface(app, kind.rpartition(" ")[2], config)
    async with serving(interface, config) as server:
        status, _, body = split(await server.exchange(request("/", "GET", *fields)))
        assert status == 200
        seen: dict[str, Any] = json.loads(body)
        return seen


async def test_without_a_setting_nothing_is_believed(kind: str) -> None:
    seen = await ask(kind, "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "Forwarded: for=1.2.3.4")
    assert (seen["client"], seen["scheme"], seen["host"]) == ("127.0.0.1", "http", "here")


async def test_a_trusted_peer_tells_client_and_scheme(kind: str) -> None:
    fields = ("X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example")
    seen = await ask(kind, *fields, **BY_ADDRESS)
    assert seen == {"client": "203.0.113.7", "port": 0, "scheme": "https", "host": "here"}
    assert (await ask(kind, *fields, TRUSTED_PROXIES="10.0.0.0/8"))["client"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("chain", "client", "port"),
    [
        ("9.9.9.9, 203.0.113.7, 10.0.0.3, 10.0.0.2", "203.0.113.7", 0),
        ("9.9.9.9, 203.0.113.7:4711, 10.0.0.2:80", "203.0.113.7", 4711),
        ("[2001:db8::7]:55", "2001:db8::7", 55),
        ("2001:DB8::7", "2001:db8::7", 0),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3", 0),
        ("9.9.9.9, unknown, 10.0.0.2", "127.0.0.1", None),
        ("9.9.9.9, <script>, 10.0.0.2", "127.0.0.1", None),
        ("9.9.9.9, 1.2.3.400", "127.0.0.1", None),
        (", ,203.0.113.7, ,", "203.0.113.7", 0),
    ],
)
async def test_the_client_is_the_last_that_is_no_proxy(chain: str, client: str, port: int | None) -> None:
    seen = await ask("asgi", f"X-Forwarded-For: {chain}", **BY_ADDRESS)
    assert seen["client"] == client
    assert port is None or seen["port"] == port


async def test_fields_that_were_repeated_are_one_list() -> None:
    seen = await ask("wsgi", "X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 203.0.113.7", **BY_ADDRESS)
    assert seen["client"] == "203.0.113.7"


async def test_who_trusts_everybody_believes_the_one_that_connects() -> None:
    seen = await ask("asgi", "X-Forwarded-For: 9.9.9.9, 10.0.0.2", TRUSTED_PROXIES="*")
    assert seen["client"] == "10.0.0.2"


async def test_the_scheme_alone_is_believed_too(kind: str) -> None:
    assert (await ask(kind, "X-Forwarded-Proto: HTTPS", **BY_ADDRESS))["scheme"] == "https"
    assert (await ask(kind, "X-Forwarded-Proto: wss", **BY_ADDRESS))["scheme"] == "https"
    assert (await ask(kind, "X-Forwarded-Proto: gopher", **BY_ADDRESS))["scheme"] == "http"
    twice = ("X-Forwarded-Proto: https", "X-Forwarded-Proto: http")
    assert (await ask(kind, *twice, **BY_ADDRESS))["scheme"] == "http"


async def test_an_element_of_forwarded_tells_the_host_too(kind: str) -> None:
    element = 'for="[2001:db8::7]:5";proto=https;host="Shop.example:444"'
    told = f"Forwarded: for=9.9.9.9;host=evil, {element}, for=10.0.0.9"
    seen = await ask(kind, told, "X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: http", **ELEMENTS)
    assert seen == {"client": "2001:db8::7", "port": 5, "scheme": "https", "host": "shop.example:444"}


async def test_a_list_that_is_not_named_is_not_read(kind: str) -> None:
    fields = ("Forwarded: for=9.9.9.9;proto=https", "X-Forwarded-For: 203.0.113.7")
    seen = await ask(kind, *fields, **BY_ADDRESS)
    assert (seen["client"], seen["scheme"]) == ("203.0.113.7", "http")


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=203.0.113.7, for=10.0.0.9", "203.0.113.7"),
        ("for=9.9.9.9, for=203.0.113.7, for=10.0.0.9", "203.0.113.7"),
        ("for=10.0.0.9", "10.0.0.9"),
        ('for="broken, for=203.0.113.7', "203.0.113.7"),
        ("for=203.0.113.7, for=broken=, for=10.0.0.9", "10.0.0.9"),
        ("for=_hidden", "127.0.0.1"),
        ("proto=https", "127.0.0.1"),
        (";;,,", "127.0.0.1"),
    ],
)
async def test_elements_are_read_from_the_right(value: str, client: str) -> None:
    assert (await ask("asgi", f"Forwarded: {value}", **ELEMENTS))["client"] == client


async def test_elements_may_be_counted() -> None:
    counted: dict[str, Any] = {"FORWARDED_FOR_HEADER": "forwarded", "PROXIES_COUNT": 2}
    told = "Forwarded: for=9.9.9.9, for=203.0.113.7;host=shop, for=8.8.8.8"
    seen = await ask("asgi", told, **counted)
    assert (seen["client"], seen["host"]) == ("203.0.113.7", "shop")
    assert (await ask("asgi", "Forwarded: for=9.9.9.9", **counted))["client"] == "127.0.0.1"


async def test_a_secret_a_field_and_a_count_work_as_for_our_own_apps(kind: str) -> None:
    secret = {"FORWARDED_SECRET": "s3"}
    seen = await ask(kind, "Forwarded: for=203.0.113.7;secret=s3;proto=https;host=shop", **secret)
    assert (seen["client"], seen["scheme"], seen["host"]) == ("203.0.113.7", "https", "shop")
    assert (await ask(kind, "Forwarded: for=203.0.113.7;secret=no", **secret))["client"] == "127.0.0.1"
    named = {"REAL_IP_HEADER": "X-Real-IP"}
    assert (await ask(kind, "X-Real-IP: 203.0.113.7", **named))["client"] == "203.0.113.7"
    counted = {"PROXIES_COUNT": 1}
    assert (await ask(kind, "X-Forwarded-For: 9.9.9.9, 203.0.113.7", **counted))["client"] == "203.0.113.7"


async def test_both_the_address_and_the_secret_have_to_fit(kind: str) -> None:
    told = "Forwarded: for=203.0.113.7;secret=s3"
    both = {"FORWARDED_SECRET": "s3", "TRUSTED_PROXIES": "127.0.0.1"}
    assert (await ask(kind, told, **both))["client"] == "203.0.113.7"
    both["TRUSTED_PROXIES"] = "10.0.0.1"
    assert (await ask(kind, told, **both))["client"] == "127.0.0.1"


async def test_each_request_of_a_connection_has_its_own_client(kind: str) -> None:
    config = Config(ACCESS_LOG=False, LIFESPAN="off", THREADS=0 if "inline" in kind else 2, **BY_ADDRESS)
    app: Any = asgi if kind == "asgi" else wsgi
    async with serving(make_interface(app, kind.rpartition(" ")[2], config), config) as server:
        client = await server.connect()
        for address in ("203.0.113.1", "203.0.113.2", None):
            fields = [f"X-Forwarded-For: {address}"] if address else []
            await client.send(request("/", "GET", *fields, close=False))
            _, _, body = await client.read_response()
            assert json.loads(body)["client"] == (address or "127.0.0.1")
