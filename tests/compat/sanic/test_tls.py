"""Sanic's contexts, its test client over HTTPS, and what `conn_info` says there."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Pair
from tests.conftest import find_free_port
from vivace import Request, text
from vivace.compat.sanic import tls
from vivace.compat.sanic.app import Sanic
from vivace.errors import SanicException
from vivace.framework.response import HTTPResponse
from vivace.testing.pairs import SanicTestClient


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("localhost", "*.shop.test")


@pytest.fixture
def app() -> Sanic:
    made: Sanic = Sanic("secure")

    @made.get("/")
    async def where(request: Request) -> HTTPResponse:
        info = request.conn_info
        return text(f"{request.scheme} {info.server_name} {info.cert.get('names')}")

    return made


def folder_of(pair: Pair) -> str:
    return str(Path(pair.cert).parent)


KINDS: list[Callable[[Pair], Any]] = [
    lambda pair: {"cert": pair.cert, "key": pair.key},
    folder_of,
    lambda pair: [folder_of(pair)],
    lambda pair: [None, {"cert": pair.cert, "key": pair.key}],
    lambda pair: tls.CertSimple(*pair),
    lambda pair: tls.CertSelector([folder_of(pair)]),
    lambda pair: tls.CertSelector([None, folder_of(pair)]),
]


@pytest.mark.parametrize("given", KINDS)
def test_client_asks_over_https(app: Sanic, pair: Pair, given: Callable[[Pair], Any]) -> None:
    port = find_free_port()
    client = SanicTestClient(app, port=port)
    request, response = client.get(f"https://localhost:{port}/", server_kwargs={"ssl": given(pair)})
    assert response.text == "https localhost ['localhost', '*.shop.test']"
    assert request.scheme == "https"


def test_context_of_the_program_says_nothing_of_its_certificate(app: Sanic, pair: Pair) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*pair)
    port = find_free_port()
    _, response = SanicTestClient(app, port=port).get(
        f"https://localhost:{port}/", server_kwargs={"ssl": context}
    )
    assert response.text.endswith("localhost None")


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (5, ValueError, "Invalid ssl argument <class 'int'>. Expecting a list of certdirs, a dict or an"),
        ("/none", ValueError, "Certificate not found or permission denied /none/privkey.pem"),
        ([None], ValueError, "No certificates with SubjectAlternativeNames found."),
        ({"cert": "", "key": ""}, ValueError, "SSL dict needs filenames for cert and key."),
        ({"cert": "/none", "key": "/none"}, FileNotFoundError, "No such file"),
    ],
)
def test_errors_of_the_client(app: Sanic, given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says.replace("(", r"\(")):
        app.test_client.get("/", server_kwargs={"ssl": given})


def test_simple_context(pair: Pair) -> None:
    context = tls.process_to_context({"cert": pair.cert, "key": pair.key, "note": 1})
    assert isinstance(context, tls.CertSimple)
    assert context.sanic["names"] == ["localhost", "*.shop.test"]
    assert (context.sanic["cert"], context.sanic["key"], context.sanic["note"]) == (*pair, 1)
    assert [c["name"] for c in context.get_ciphers() if c["protocol"] == "TLSv1.2"] == tls.CIPHERS_TLS12
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_parts_of_a_dict_are_arguments(pair: Pair) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'key'"):
        tls.process_to_context({"cert": pair.cert})


def test_selector(authority: Authority, pair: Pair) -> None:
    other = authority.issue("other.test")
    strict = tls.CertSelector([None, folder_of(pair), folder_of(other)])
    lax = tls.CertSelector([folder_of(pair), folder_of(other)])
    first, second = strict.sanic_select
    assert strict.sanic_fallback is None
    assert tls.find_cert(strict, "A.shop.test") is first
    assert tls.find_cert(strict, "other.test") is second
    assert tls.find_cert(lax, "unknown.test") is lax.sanic_fallback is lax.sanic_select[0]
    with pytest.raises(ValueError, match="No certificate found matching hostname"):
        tls.find_cert(strict, "unknown.test")
    with pytest.raises(ValueError, match="The client provided no SNI to match for certificate"):
        tls.find_cert(strict, "")


def test_none_stays_none() -> None:
    assert tls.process_to_context(None) is tls.shorthand_to_ctx(None) is None


def test_certificate_for_development(app: Sanic) -> None:
    with pytest.raises(SanicException, match="Cannot run Sanic as an HTTPS server in PRODUCTION mode"):
        tls.get_ssl_context(app, None)
    app.config.DEBUG = True
    assert isinstance(tls.get_ssl_context(app, None), ssl.SSLContext)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert tls.get_ssl_context(app, own) is own


def test_loader(app: Sanic, pair: Pair) -> None:
    assert tls.CertLoader(None).load(app) is None
    assert isinstance(tls.CertLoader({"cert": pair.cert, "key": pair.key}).load(app), tls.CertSimple)
