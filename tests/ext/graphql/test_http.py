"""GraphQL over HTTP: what may be asked in which way, and what the status says about it."""

import asyncio
import gzip
import json
import logging
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.ext.graphql.schema import JSON, PATH, RESPONSE, ask, make_schema, serve
from tests.framework.streams import make_app
from vivace import Unauthorized, Vivace
from vivace.errors import DeclarationError
from vivace.ext.graphql import Context
from vivace.ext.graphql.page import FILE
from vivace.testing import Client


@pytest.fixture
def app() -> Vivace:
    return make_app()


@pytest.mark.parametrize(
    ("query", "json_status", "response_status", "has_data"),
    [
        ('{ hello(name: "you") }', 200, 200, True),
        ("mutation { change }", 200, 200, True),
        ("{ fail }", 200, 200, True),
        ("{ must }", 200, 200, True),
        ("{", 200, 400, False),
        ("{ nothing }", 200, 400, False),
        ("query A { fail } query B { fail }", 200, 400, False),
        (
            "query ($a: String!) { hello(name: $a) }",
            200,
            400,
            False,
        ),
        ("subscription { count(to: 1) }", 200, 400, False),
    ],
)
async def test_what_the_status_says(
    app: Vivace, query: str, json_status: int, response_status: int, has_data: bool
) -> None:
    async with serve(app) as client:
        for accept, status in ((JSON, json_status), (RESPONSE, response_status)):
            answer = await ask(client, query, accept)
            assert (answer.status, answer.headers["content-type"]) == (status, f"{accept}; charset=utf-8")
            assert ("data" in answer.json) is has_data


async def test_a_wrong_variable_is_told_before_anything_runs(app: Vivace) -> None:
    async with serve(app) as client:
        answer = await ask(client, "query ($n: String!) { hello(name: $n) }", RESPONSE, variables={"n": 1})
        assert answer.status == 400
        assert "data" not in answer.json
        answer = await ask(client, "query ($n: String!) { hello(name: $n) }", RESPONSE, variables={"n": "x"})
        assert (answer.status, answer.json) == (200, {"data": {"hello": "hello x"}})


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, JSON),
        ("*/*", JSON),
        (RESPONSE, RESPONSE),
        (f"{RESPONSE}, {JSON};q=0.9", RESPONSE),
        ("application/json; charset=utf-8", JSON),
        ("image/png", None),
    ],
)
async def test_the_client_chooses_the_type(app: Vivace, accept: str | None, kind: str | None) -> None:
    async with serve(app) as client:
        headers = {} if accept is None else {"accept": accept}
        answer = await client.post(PATH, json={"query": "{ __typename }"}, headers=headers)
        if kind is None:
            assert answer.status == 406
        else:
            assert (answer.status, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")


async def test_get_reads(app: Vivace) -> None:
    async with serve(app) as client:
        query = {"query": "query A($n: String!) { hello(name: $n) } query B { fail }", "operationName": "A"}
        answer = await client.get(PATH, params={**query, "variables": '{"n": "x"}'})
        assert (answer.status, answer.json) == (200, {"data": {"hello": "hello x"}})
        answer = await client.get(PATH, params={**query, "variables": "{"})
        assert (answer.status, "variables" in answer.text) == (400, True)
        assert (await client.get(PATH)).status == 400


@pytest.mark.parametrize("accept", [JSON, RESPONSE, "text/event-stream"])
async def test_get_changes_nothing(app: Vivace, accept: str) -> None:
    async with serve(app) as client:
        answer = await client.get(PATH, params={"query": "mutation { change }"}, headers={"accept": accept})
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert "mutation" in answer.json["errors"][0]["message"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None]
)
async def test_what_a_page_of_another_site_can_send_is_refused(app: Vivace, kind: str | None) -> None:
    async with serve(app) as client:
        body = b'{"query": "mutation { change }"}'
        if kind and "boundary" in kind:
            body = (
                b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\nmutation { change }\r\n--x--\r\n'
            )
        headers = {} if kind is None else {"content-type": kind}
        answer = await client.post(PATH, content=body, headers=headers)
        assert (answer.status, JSON in answer.text) == (415, True)


@pytest.mark.parametrize(("charset", "status"), [("latin-1", 415), ('"UTF-8"', 200), ("utf-8", 200)])
async def test_a_body_is_utf_8(app: Vivace, charset: str, status: int) -> None:
    async with serve(app) as client:
        headers = {"content-type": f"{JSON}; charset={charset}"}
        assert (await client.post(PATH, content=b'{"query": "{ fail }"}', headers=headers)).status == status


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"\xff",
        b"1",
        b"null",
        b"{}",
        b'{"query": 1}',
        b'{"query": ""}',
        b'{"query": "{ a }", "variables": []}',
        b'{"query": "{ a }", "extensions": 1}',
        b'{"query": "{ a }", "operationName": 1}',
        b"[]",
        b"[1]",
        b'{"query": "{ a }", "variables": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    ],
)
async def test_what_cannot_be_read_is_400(app: Vivace, body: bytes) -> None:
    async with serve(app) as client:
        answer = await client.post(PATH, content=body, headers={"content-type": JSON})
        assert answer.status == 400
        assert "Traceback" not in answer.text


async def test_failures_are_masked_and_logged(app: Vivace, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(app) as client:
        with caplog.at_level(logging.ERROR, "vivace.error"):
            answer = await ask(client, "{ fail }")
        assert answer.json["errors"][0]["message"] == "Internal Server Error"
        assert "a secret" not in answer.text
        assert "a secret" in caplog.text


@pytest.mark.parametrize(
    ("query", "message", "extensions"),
    [("{ forbid }", "not you", {"status": 403}), ("{ refuse }", "no", {"code": "NO"})],
)
async def test_what_is_for_clients_is_told(
    app: Vivace, query: str, message: str, extensions: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(app) as client:
        (error,) = (await ask(client, query)).json["errors"]
        assert (error["message"], error["extensions"]) == (message, extensions)
    assert "failed" not in caplog.text


async def test_exceptions_can_be_exposed(app: Vivace) -> None:
    async with serve(app, expose=(ValueError,)) as client:
        assert (await ask(client, "{ fail }")).json["errors"][0]["message"] == "a secret"


async def test_debug_tells_more(app: Vivace) -> None:
    app.config.DEBUG = True
    async with serve(app) as client:
        assert (await ask(client, "{ fail }")).json["errors"][0]["message"] == "ValueError: a secret"


# Lists


async def test_a_list_is_answered_by_a_list(app: Vivace) -> None:
    async with serve(app, max_batch=3) as client:
        queries = [{"query": "{ __typename }"}, {"query": "{"}, {"query": "mutation { change }"}]
        answer = await client.post(PATH, json=queries)
        assert answer.status == 200
        first, second, third = answer.json
        assert (first, third) == ({"data": {"__typename": "Query"}}, {"data": {"change": "changed"}})
        assert "data" not in second
        answer = await client.post(PATH, json=[*queries, queries[0]])
        assert (answer.status, "GRAPHQL_MAX_BATCH" in answer.text) == (400, True)
        answer = await client.post(PATH, json=queries, headers={"accept": "text/event-stream"})
        assert answer.status == 400


async def test_a_list_lets_others_come_in_between(app: Vivace) -> None:
    turns: list[int] = []

    def root(context: Context) -> int:
        asyncio.get_running_loop().call_soon(turns.append, 1)
        return len(turns)

    async with serve(app, max_batch=3, root=root) as client:
        answer = await client.post(PATH, json=[{"query": "{ where }"}] * 3)
    assert [one["data"]["where"][0] for one in answer.json] == ["0", "1", "2"]


async def test_lists_can_be_off(app: Vivace) -> None:
    async with serve(app, max_batch=0) as client:
        answer = await client.post(PATH, json=[{"query": "{ __typename }"}])
        assert (answer.status, "GRAPHQL_MAX_BATCH" in answer.text) == (400, True)


# Limits


async def test_depth_at_its_edge(app: Vivace) -> None:
    app.config.GRAPHQL_MAX_DEPTH = 3
    async with serve(app) as client:
        assert "errors" not in (await ask(client, "{ again { again { __typename } } }")).json
        (error,) = (await ask(client, "{ again { again { again { __typename } } } }")).json["errors"]
        assert error["message"] == "the operation nests 4 levels deep; 3 are allowed"
        spread = (
            "{ again { ...A } } fragment A on Query { again { ...B } } fragment B on Query { again { fail } }"
        )
        assert "4 levels" in (await ask(client, spread)).text


async def test_tokens_at_their_edge(app: Vivace) -> None:
    async with serve(app, max_tokens=5) as client:
        assert "errors" not in (await ask(client, "{ __typename __typename }")).json
        assert "more than 5 tokens" in (await ask(client, "{ __typename a: __typename }")).text


async def test_the_documents_of_a_list_share_the_tokens(app: Vivace) -> None:
    three, other = {"query": "{ __typename }"}, {"query": "{fail}"}
    async with serve(app, max_tokens=6, max_batch=5) as client:
        fits = await client.post(PATH, json=[three, other, three, other])
        assert all("data" in one for one in fits.json)
        *fit, last = (await client.post(PATH, json=[three, other, {"query": "{must}"}])).json
        assert all("data" in one for one in fit)
        assert last["errors"][0]["message"] == (
            "the documents of a list may have 6 tokens together (GRAPHQL_MAX_TOKENS)"
        )


async def test_the_documents_of_a_list_may_be_of_any_length(app: Vivace) -> None:
    async with serve(app, max_tokens=0) as client:
        assert all("data" in one for one in (await client.post(PATH, json=[{"query": "{where}"}] * 3)).json)


async def test_size_at_its_edge(app: Vivace) -> None:
    body = b'{"query": "{ __typename }"}'
    headers = {"content-type": JSON}
    async with serve(app, max_message=len(body)) as client:
        assert (await client.post(PATH, content=body, headers=headers)).status == 200
        answer = await client.post(PATH, content=body + b" ", headers=headers)
        assert (answer.status, "GRAPHQL_MAX_MESSAGE" in answer.text) == (413, True)


@pytest.mark.parametrize("size", [0, 8, 15, 16])
async def test_documents_are_remembered(app: Vivace, size: int) -> None:
    endpoint = app.graphql(PATH, make_schema(), cache=size)
    first, second = endpoint.read("{ fail }"), endpoint.read("{ must }")
    assert (endpoint.read("{ must }") is second) is (size >= 8)
    assert (endpoint.read("{ fail }") is first) is (size >= 16)
    wrong = endpoint.read("{ wrong }")
    assert endpoint.read("{ wrong }") is not wrong


async def test_introspection_can_be_off(app: Vivace) -> None:
    async with serve(app, introspection=False) as client:
        assert "introspection" in (await ask(client, "{ __schema { types { name } } }")).text.lower()


@pytest.mark.parametrize(
    ("options", "error"),
    [({"max_depth": -1}, DeclarationError), ({"max_queue": 0}, DeclarationError), ({"depth": 1}, TypeError)],
)
def test_options_that_cannot_be(app: Vivace, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        app.graphql(PATH, make_schema(), **options)


def test_what_to_install_is_said(app: Vivace, monkeypatch: pytest.MonkeyPatch) -> None:
    def miss(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr("vivace.framework.graphql.import_module", miss)
    missing = "graphql"
    with pytest.raises(DeclarationError, match=r"pip install vivace\[graphql\]"):
        app.graphql(PATH, make_schema())
    missing = "something"
    with pytest.raises(ModuleNotFoundError, match="something"):
        app.graphql(PATH, make_schema())


def test_what_is_no_schema(app: Vivace) -> None:
    with pytest.raises(DeclarationError, match="no GraphQL schema"):
        app.graphql(PATH, {"type": "Query"})


# Context


async def test_resolvers_get_the_context_and_the_root(app: Vivace) -> None:
    @app.on_request
    async def know(request: Any) -> None:
        request.ctx.user = "ann"

    async with serve(app, root="root") as client:
        assert (await ask(client, "{ where }")).json == {"data": {"where": "root POST ann {}"}}


async def test_the_program_makes_the_context(app: Vivace) -> None:
    async def make(context: Context) -> Context:
        if "authorization" not in context.request.headers:
            raise Unauthorized("who are you?")
        context["user"] = "bob"
        return context

    async with serve(app, context=make, root=lambda context: context.user) as client:
        assert (await ask(client, "{ where }")).status == 401
        answer = await client.post(PATH, json={"query": "{ where }"}, headers={"authorization": "x"})
        assert answer.json == {"data": {"where": "bob POST bob {}"}}


# Server-sent events


async def events(client: Client, query: str, method: str = "POST") -> tuple[int, list[tuple[str, Any]]]:
    headers = {"accept": "text/event-stream"}
    if method == "GET":
        answer = await client.get(PATH, params={"query": query}, headers=headers)
    else:
        answer = await client.post(PATH, json={"query": query}, headers=headers)
    if answer.status != 200:
        return answer.status, []
    assert answer.headers["content-type"] == "text/event-stream"
    found = []
    for block in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if lines:
            found.append((lines["event"], json.loads(lines.get("data") or "null")))
    return 200, found


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_subscriptions_as_events(app: Vivace, method: str) -> None:
    async with serve(app) as client:
        status, seen = await events(client, "subscription { count(to: 2) }", method)
        numbers = [("next", {"data": {"count": number}}) for number in range(2)]
        assert (status, seen) == (200, [*numbers, ("complete", None)])


async def test_other_operations_as_events(app: Vivace) -> None:
    async with serve(app) as client:
        assert await events(client, "mutation { change }") == (
            200,
            [("next", {"data": {"change": "changed"}}), ("complete", None)],
        )
        assert (await events(client, "{ nothing }"))[0] == 400
        assert (await events(client, "subscription { fail }"))[0] == 400


async def test_a_subscription_that_breaks_off_says_so_in_an_event(app: Vivace) -> None:
    async with serve(app) as client:
        _, seen = await events(client, "subscription { breakOff }")
        first, error, last = seen
        assert (first[1]["data"], last[0]) == ({"breakOff": 1}, "complete")
        assert error[1]["errors"][0]["message"] == "Internal Server Error"


# The page


@pytest.mark.parametrize("encoding", ["gzip, br", "identity"])
async def test_browsers_get_a_page(app: Vivace, encoding: str) -> None:
    async with serve(app, graphiql=True) as client:
        headers = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-encoding": encoding}
        answer = await client.get(PATH, headers=headers)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.headers.get("content-encoding") == ("gzip" if "gzip" in encoding else None)
        assert answer.text.startswith("<!DOCTYPE html>")
        assert "Permission is hereby granted" in answer.text
        assert "connect-src 'self';" in answer.headers["content-security-policy"]
        answer = await client.get(PATH, params={"query": "{ __typename }"}, headers=headers)
        assert answer.json == {"data": {"__typename": "Query"}}


def test_the_page_is_built_from_its_source() -> None:
    source = (ROOT / "scripts" / "graphiql" / "page.html").read_text()
    script = source.rpartition("<script>")[2].partition("</script>")[0]
    assert script.replace("{{", "{").replace("}}", "}") in gzip.decompress(FILE.read_bytes()).decode()


@pytest.mark.parametrize(
    ("debug", "graphiql", "status"), [(True, None, 200), (False, None, 406), (True, False, 406)]
)
async def test_the_page_is_for_development(
    app: Vivace, debug: bool, graphiql: bool | None, status: int
) -> None:
    app.config.DEBUG = debug
    async with serve(app, graphiql=graphiql) as client:
        assert (await client.get(PATH, headers={"accept": "text/html"})).status == status


async def test_without_subscriptions_there_is_neither(app: Vivace) -> None:
    async with serve(app, subscriptions=False) as client:
        assert (await ask(client, "subscription { count(to: 1) }", RESPONSE)).status == 400
        assert (await ask(client, "{ __typename }", "text/event-stream")).status == 406
        answer = await client.get(PATH, headers={"connection": "Upgrade", "upgrade": "websocket"})
        assert answer.status == 400
