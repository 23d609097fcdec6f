"""Clients of npm, none of which is ours, go through one story against schemas of three libraries."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, ServerProcess, clean_environment, find_free_port
from tests.services.chromium import Tab, open_browser
from tests.services.npm import Npm, npm_clients

__all__ = ["npm_clients", "open_browser"]

CLIENTS = ("legacy", "modern", "apollo-legacy", "apollo-modern")
LIBRARIES = ("graphene", "strawberry", "ariadne")
NPM = Path(__file__).parent / "npm"
STORY, AUDIT, EVENTS = NPM / "graphql.cjs", NPM / "audit.cjs", NPM / "sse.cjs"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    port, log = find_free_port(), tmp_path_factory.mktemp("graphql") / "log"
    argv = [sys.executable, "-m", "vivace", "run", "tests.peers.graphql_app:app", "--port", str(port)]
    server = ServerProcess(argv, port, clean_environment(), ROOT, log)
    try:
        server.wait_until_serving()
        yield server
    finally:
        server.remove()


def without_typename(value: Any) -> Any:
    """Apollo asks for the names of types too."""
    if isinstance(value, dict):
        return {key: without_typename(one) for key, one in value.items() if key != "__typename"}
    return [without_typename(one) for one in value] if isinstance(value, list) else value


@pytest.mark.once
@pytest.mark.parametrize("client", CLIENTS)
def test_clients_of_npm(server: ServerProcess, npm_clients: Npm, client: str) -> None:
    urls = [f"ws://127.0.0.1:{server.port}/{library}" for library in LIBRARIES]
    lines = npm_clients.run(STORY, client, *urls).stdout.splitlines()
    seen = [without_typename(json.loads(line)) for line in lines]
    assert len(seen) == 9 * len(LIBRARIES)
    for library in range(len(LIBRARIES)):
        check(seen[9 * library : 9 * library + 9])
    assert "a secret" in server.output


def check(seen: list[Any]) -> None:
    hello, renamed, counted, wrong, failed, many, some, left, refused = seen
    assert hello == {"seen": [{"hello": "hello you from good"}]}
    assert renamed == {"seen": [{"rename": {"name": "x"}}]}
    assert counted == {"seen": [{"count": 0}, {"count": 1}, {"count": 2}]}
    assert wrong["seen"] == []
    assert "nothing" in wrong["error"]
    assert "a secret" not in str(failed)
    assert "Internal Server Error" in str(failed)
    assert [len(one["seen"]) for one in many] == [1, 2, 3]
    assert some == [{"forever": 0}, {"forever": 1}, {"forever": 2}]
    assert left == "nothing is left"
    assert refused in {"a bad token", "4403 a bad token"}


@pytest.mark.once
def test_audits_of_the_specification(server: ServerProcess, npm_clients: Npm) -> None:
    audits = json.loads(npm_clients.run(AUDIT, f"http://127.0.0.1:{server.port}/graphene").stdout)
    assert len(audits) > 60
    assert [audit for audit in audits if audit["status"] != "ok"] == []


@pytest.mark.once
def test_subscriptions_as_server_sent_events(server: ServerProcess, npm_clients: Npm) -> None:
    queries = ("subscription { count(to: 2) }", "{ nothing }", 'mutation { rename(name: "x") { name } }')
    lines = npm_clients.run(EVENTS, f"http://127.0.0.1:{server.port}/graphene", *queries).stdout.splitlines()
    counted, wrong, renamed = (json.loads(line) for line in lines)
    assert counted == {"seen": [{"data": {"count": 0}}, {"data": {"count": 1}}]}
    assert wrong == {"seen": [], "error": "Server responded with 400: Bad Request"}
    assert renamed == {"seen": [{"data": {"rename": {"name": "x"}}}]}


@pytest.mark.once
def test_the_page_works_in_a_browser_and_loads_nothing_else(
    server: ServerProcess, open_browser: Callable[[], Callable[[], Tab]]
) -> None:
    tab = open_browser()()
    tab.go(f"http://127.0.0.1:{server.port}/graphene")
    tab.until(lambda: tab.texts(".graphiql-execute-button"), "GraphiQL does not come up")

    def execute(query: str) -> None:
        tab.run(
            "document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.setValue(arguments[0])",
            query,
        )
        tab.run("document.querySelector('.graphiql-execute-button').click()")

    execute('{ hello(name: "page") }')
    tab.until(lambda: "hello page from nobody" in tab.text(".result-window"), "no answer to a query")
    execute("subscription { count(to: 3) }")
    tab.until(lambda: '"count": 2' in tab.text(".result-window"), "no event of a subscription")
    loaded = tab.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert {url.partition("/graphene")[0] for url in loaded} == {f"http://127.0.0.1:{server.port}"}
