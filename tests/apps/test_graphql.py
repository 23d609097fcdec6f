"""GraphQL over HTTP under `vivace run`: strawberry's ASGI app, and its router in FastAPI."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.apps.support import Hosted, host


class Endpoint(NamedTuple):
    """Where GraphQL is answered.

    Attributes:
        hosted: The running app.
        path: Of the endpoint.
    """

    hosted: Hosted
    path: str

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer to a query."""
        answer = self.hosted.client.post(self.path, json={"query": query, "variables": variables})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        return answer.json()


@pytest.fixture(scope="module", params=["app", "api"], ids=["asgi", "fastapi"])
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    name: str = request.param
    with host(tmp_path_factory.mktemp(name), f"strawberry_app:{name}") as hosted:
        yield Endpoint(hosted, "/" if name == "app" else "/graphql")


def test_a_query_with_variables(endpoint: Endpoint) -> None:
    query = "query Late($since: Int!) { books(since: $since) { title } bothAtOnce }"
    answer = endpoint.ask(query, since=1850)
    assert answer == {"data": {"books": [{"title": "Middlemarch"}], "bothAtOnce": "one two"}}


def test_a_query_in_the_target(endpoint: Endpoint) -> None:
    answer = endpoint.hosted.client.get(endpoint.path, params={"query": "{ books { year } }"})
    assert answer.json() == {"data": {"books": [{"year": 1815}, {"year": 1871}]}}


def test_a_mutation(endpoint: Endpoint) -> None:
    answer = endpoint.ask('mutation { add(title: "Ümit", year: 1999) { title year } }')
    assert answer == {"data": {"add": {"title": "Ümit", "year": 1999}}}


def test_an_error_of_a_field_leaves_the_others(endpoint: Endpoint) -> None:
    answer = endpoint.ask("{ broken books { year } }")
    assert answer["data"]["broken"] is None
    assert len(answer["data"]["books"]) == 2
    assert answer["errors"][0]["message"] == "the shelf broke"
    assert answer["errors"][0]["path"] == ["broken"]


def test_a_query_that_is_wrong(endpoint: Endpoint) -> None:
    answer = endpoint.ask("{ shelves }")
    assert "Cannot query field 'shelves'" in answer["errors"][0]["message"]
    broken = endpoint.hosted.client.post(
        endpoint.path, content="{", headers={"content-type": "application/json"}
    )
    assert broken.status_code == 400


def test_the_page_to_try_it(endpoint: Endpoint) -> None:
    answer = endpoint.hosted.client.get(endpoint.path, headers={"accept": "text/html"})
    assert answer.status_code == 200
    assert "graphiql" in answer.text.lower()


def test_a_subscription_by_events_brings_one_by_one_and_ends_with_its_client(endpoint: Endpoint) -> None:
    hosted, word = endpoint.hosted, endpoint.hosted.word()
    query = {
        "query": "subscription Count($word: String!) { count(word: $word) }",
        "variables": {"word": word},
    }
    wanted = {"accept": "text/event-stream"}
    with hosted.client.stream("POST", endpoint.path, json=query, headers=wanted) as answer:
        events = iter(httpx2.EventSource(answer))
        for number in (1, 2):
            event = next(events)
            assert (event.event, event.json()) == ("next", {"data": {"count": number}})
            if number == 1:
                hosted.open(f"{word}-1")
    hosted.noted(f"{word} left")
