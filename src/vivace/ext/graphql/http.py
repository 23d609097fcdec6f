"""GraphQL over HTTP: queries and mutations, and subscriptions as server-sent events.

Rules of this file:

- It follows the GraphQL-over-HTTP specification: ``application/graphql-response+json`` says with its status
  what became of an operation; ``application/json``, which old clients want, says 200 to all that could be
  read.
- A body is JSON and says so: what a form of another site can send (text, forms) is refused with 415, so that
  no page makes its visitors' browsers change anything. Mutations by GET are refused with 405.
- Server-sent events are the "distinct connections mode" of graphql-sse.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from vivace.errors import BadRequest, HTTPException, PayloadTooLarge
from vivace.ext.graphql.context import Context
from vivace.ext.graphql.endpoint import Answer, Batch, Endpoint, Refused, close
from vivace.ext.graphql.engine import Document, Kind
from vivace.ext.graphql.page import show_page
from vivace.ext.graphql.params import Params, read_params, read_query
from vivace.framework.response import HTTPResponse

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["answer_request"]

RESPONSE: Final = "application/graphql-response+json; charset=utf-8"
JSON: Final = "application/json; charset=utf-8"
EVENTS: Final = "text/event-stream"
PAGE: Final = "text/html"

EVENTS_KEEP_ALIVE: Final = 15.0
"""Seconds without an event after which a comment keeps the connection open."""

_READS: Final[frozenset[Kind]] = frozenset({"query"})
_ALL: Final[frozenset[Kind]] = frozenset({"query", "mutation"})
_STREAMED: Final[frozenset[Kind]] = frozenset({"query", "mutation", "subscription"})
_STREAMED_READS: Final[frozenset[Kind]] = frozenset({"query", "subscription"})

_encoder: Final = msgspec.json.Encoder(enc_hook=str)


async def answer_request(endpoint: Endpoint, request: "Request") -> HTTPResponse | None:
    """Answer a GET or a POST; None if the response was sent piece by piece."""
    is_get = request.method != "POST"
    media = _choose_media(endpoint, request, is_get)
    if media == PAGE:
        return show_page(request)
    given = None if is_get else _read_body(endpoint, request)
    context = await endpoint.make_context(Context(request))
    if isinstance(given, list):
        return await _answer_batch(endpoint, given, context, media)
    params = read_query(request.args) if is_get else read_params(given)
    if media == EVENTS:
        return await _stream(endpoint, request, params, context, is_get)
    try:
        document, _ = endpoint.choose(params, _READS if is_get else _ALL)
        answer, status = await endpoint.execute(document, params, context), 200
    except Refused as refused:
        answer, status = {"errors": refused.errors}, refused.status
    return _respond(answer, status, media, is_get)


def _choose_media(endpoint: Endpoint, request: "Request", is_get: bool) -> str:
    """The media type of the response.

    Raises:
        HTTPException: 406: the client takes none that there is.
    """
    offered = [JSON, RESPONSE]
    if endpoint.subscriptions:
        offered.append(EVENTS)
    if endpoint.graphiql and is_get and "query" not in request.args:
        offered.append(PAGE)
    found = request.accept.match(*offered)
    if not found:
        raise HTTPException(
            f"what can be had here is {'; '.join(kind.partition(';')[0] for kind in offered)}", 406
        )
    return found.mime


def _read_body(endpoint: Endpoint, request: "Request") -> Any:
    """The JSON of a body.

    Raises:
        HTTPException: 415: it does not say that it is JSON; 413: it is too large; 400: it is none.
    """
    kind, _, parameters = request.content_type.partition(";")
    charset = parameters.lower().replace(" ", "").replace('"', "")
    if kind.strip().lower() != "application/json" or (
        "charset=" in charset and "charset=utf-8" not in charset
    ):
        raise HTTPException(
            f"a GraphQL request is application/json in UTF-8, not {request.content_type[:100]!r}", 415
        )
    body = request.body
    if len(body) > endpoint.max_message:
        raise PayloadTooLarge(
            f"{len(body)} octets are more than the {endpoint.max_message} of GRAPHQL_MAX_MESSAGE"
        )
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadRequest("the body is not JSON, or nests too deeply") from None


async def _answer_batch(endpoint: Endpoint, given: list[Any], context: Any, media: str) -> HTTPResponse:
    """Answer a list of operations by a list, one after the other.

    Raises:
        BadRequest: There are none, or too many.
    """
    if not endpoint.max_batch:
        raise BadRequest("one operation at a time: lists are not taken here (GRAPHQL_MAX_BATCH)")
    if not 0 < len(given) <= endpoint.max_batch:
        most = endpoint.max_batch
        raise BadRequest(f"a list may have 1 to {most} operations (GRAPHQL_MAX_BATCH), not {len(given)}")
    if media == EVENTS:
        raise BadRequest("a list of operations cannot be answered by events")
    read = [read_params(one) for one in given]
    batch = Batch(endpoint.max_tokens)
    answers: list[Answer] = []
    for params in read:
        await asyncio.sleep(0)  # to check a document takes a while: others come in between
        try:
            document, _ = endpoint.choose(params, _ALL, batch)
            answers.append(await endpoint.execute(document, params, context))
        except Refused as refused:
            answers.append({"errors": refused.errors})
    return HTTPResponse(_encoder.encode(answers), content_type=media)


def _respond(answer: Answer, status: int, media: str, is_get: bool) -> HTTPResponse:
    headers = {"Allow": "POST"} if status == 405 and is_get else None
    if status == 405 and not is_get:
        status = 400
    if media == JSON and status != 405:
        status = 200
    return HTTPResponse(_encoder.encode(answer), status, headers, media)


# Server-sent events


async def _stream(
    endpoint: Endpoint, request: "Request", params: Params, context: Any, is_get: bool
) -> HTTPResponse | None:
    """Send the results of any operation as events; what was not begun is an ordinary response."""
    try:
        document, kind = endpoint.choose(params, _STREAMED_READS if is_get else _STREAMED)
        results: Any
        if kind == "subscription":
            results = await endpoint.subscribe(document, params, context)
        else:
            results = _once(endpoint, document, params, context)
    except Refused as refused:
        return _respond({"errors": refused.errors}, refused.status, RESPONSE, is_get)
    try:
        await _send_events(endpoint, request, results)
    finally:
        await close(results)
    return None


async def _once(endpoint: Endpoint, document: Document, params: Params, context: Any) -> Any:
    try:
        yield await endpoint.execute(document, params, context)
    except Refused as refused:
        yield {"errors": refused.errors}


async def _send_events(endpoint: Endpoint, request: "Request", results: Any) -> None:
    response = await request.respond(content_type=EVENTS, headers={"Cache-Control": "no-store"})
    await response.send(":\n\n")
    waiting: asyncio.Task[Any] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(_next(results))
            done, _ = await asyncio.wait([waiting], timeout=EVENTS_KEEP_ALIVE)
            if not done:
                await response.send(":\n\n")
                continue
            answer, waiting = waiting.result(), None
            if answer is None:
                break
            answer = answer if isinstance(answer, dict) else endpoint.format(answer)
            await response.send(b"event: next\ndata: " + _encoder.encode(answer) + b"\n\n")
    except Exception as error:  # noqa: BLE001  # it becomes an event
        told: Answer = {"errors": [endpoint.errors.format(error)]}
        await response.send(b"event: next\ndata: " + _encoder.encode(told) + b"\n\n")
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
    await response.send("event: complete\ndata: \n\n", True)


async def _next(results: Any) -> Any:
    return await anext(results, None)
