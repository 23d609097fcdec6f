"""A FastAPI app that does what its users do.

It is run by `vivace run tests.apps.fastapi_app:app`. Where a test has to see what happened, the app says it
by `note`, with a word that the test chose.
"""

import hashlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio.lowlevel
import anyio.to_thread
from fastapi import (
    BackgroundTasks,
    Cookie,
    Depends,
    FastAPI,
    Form,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
    UploadFile,
)
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect

from tests.apps.support import note, wait_for_gate, wait_for_gate_in_thread


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    note("lifespan began")
    yield {"greeting": "made at the start"}
    note("lifespan ended")


@asynccontextmanager
async def failing_lifespan(app: FastAPI) -> AsyncIterator[None]:
    await connect()
    yield


async def connect() -> None:
    raise RuntimeError("the database db.example does not answer")


app = FastAPI(title="Shop", lifespan=lifespan)
failing = FastAPI(lifespan=failing_lifespan)
wrapped = FastAPI()
app.mount("/wrapped", wrapped)


class Line(BaseModel):
    name: str = Field(min_length=1)
    amount: int = Field(ge=1)


class Order(BaseModel):
    customer: str
    lines: list[Line]


class Receipt(BaseModel):
    customer: str
    total: int


class Sold(Exception):
    """What is asked for is gone."""


@app.exception_handler(Sold)
async def explain(request: Request, error: Sold) -> JSONResponse:
    return JSONResponse({"sold": str(error)}, 410)


# What is validated


@app.get("/items/{number}")
async def show_item(
    number: Annotated[int, Path(ge=1)],
    tag: Annotated[list[str] | None, Query()] = None,
    x_token: Annotated[str | None, Header()] = None,
    seat: Annotated[str | None, Cookie()] = None,
) -> dict[str, Any]:
    if number == 410:
        raise Sold("item 410")
    if number == 404:
        raise HTTPException(404, "no such item", headers={"x-reason": "sold"})
    return {"number": number, "tags": tag, "token": x_token, "seat": seat}


@app.post("/orders", status_code=201)
async def order(order: Order) -> Receipt:
    return Receipt(customer=order.customer, total=sum(line.amount for line in order.lines))


@app.post("/echo")
async def echo(body: dict[str, Any]) -> dict[str, Any]:
    return body


# Dependencies, and what is done after the response


async def session(word: str) -> AsyncIterator[str]:
    note(f"{word} opened")
    try:
        yield word
    except ValueError as error:
        note(f"{word} rolled back: {error}")
        raise
    finally:
        note(f"{word} closed")


@app.get("/depends")
async def depends(session: Annotated[str, Depends(session)]) -> str:
    note(f"{session} used")
    return session


@app.get("/depends/fails")
async def depends_and_fails(session: Annotated[str, Depends(session)]) -> str:
    raise ValueError("swordfish")


async def send_mail(word: str) -> None:
    note(f"{word} task began")
    await wait_for_gate(word)
    note(f"{word} task ended")


def write_report(word: str) -> None:
    note(f"{word} report by {threading.current_thread().name}")


@app.post("/mails", status_code=202)
async def mail(word: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(send_mail, word)
    tasks.add_task(write_report, word)
    return "accepted"


@app.post("/slow-mails", status_code=202)
async def slow_mail(word: str, tasks: BackgroundTasks) -> str:
    note(f"{word} handler began")
    await wait_for_gate(word)
    tasks.add_task(send_mail, word)
    return "accepted"


# Streams out


@app.get("/lines/async")
async def lines(word: str) -> StreamingResponse:
    async def produce() -> AsyncIterator[str]:
        yield "first\n"
        await wait_for_gate(word)
        yield "second\n"

    return StreamingResponse(produce(), media_type="text/plain")


@app.get("/lines/sync")
def lines_in_thread(word: str) -> StreamingResponse:
    def produce() -> Iterator[str]:
        yield "first\n"
        wait_for_gate_in_thread(word)
        yield "second\n"

    return StreamingResponse(produce(), media_type="text/plain")


@app.get("/lines/breaks")
async def lines_that_break() -> StreamingResponse:
    async def produce() -> AsyncIterator[str]:
        yield "first\n"
        raise RuntimeError("swordfish")

    return StreamingResponse(produce(), media_type="text/plain")


@app.get("/lines/{style}/endless")
async def endless(style: str, word: str, request: Request) -> StreamingResponse:
    """Lines for ever: `busy` never asks, `idle` waits for what never comes, `asks` asks for its client."""

    async def produce() -> AsyncIterator[str]:
        try:
            yield "first\n"
            while style == "busy":
                yield "more " * 100
                await anyio.lowlevel.checkpoint()
            while style == "asks" and not await request.is_disconnected():
                await anyio.sleep(0.005)
            if style == "idle":
                await anyio.sleep_forever()
        finally:
            note(f"{word} left")

    return StreamingResponse(produce(), media_type="text/plain")


@app.get("/events", response_class=EventSourceResponse)
async def events(word: str, last_event_id: Annotated[int, Header()] = 0) -> AsyncIterator[ServerSentEvent]:
    try:
        for number in range(last_event_id + 1, 4):
            yield ServerSentEvent(data={"number": number}, event="tick", id=str(number))
            await wait_for_gate(f"{word}-{number}")
    finally:
        note(f"{word} left")


# Bodies in


@app.post("/upload")
async def upload(title: Annotated[str, Form()], files: list[UploadFile]) -> dict[str, Any]:
    found = [
        {"name": f.filename, "type": f.content_type, "sha256": hashlib.sha256(await f.read()).hexdigest()}
        for f in files
    ]
    return {"title": title, "files": found}


@app.put("/octets")
async def octets(request: Request, word: str = "") -> dict[str, Any]:
    count, pieces = 0, 0
    try:
        async for piece in request.stream():
            note(f"{word} piece")
            count, pieces = count + len(piece), pieces + 1
    except ClientDisconnect:
        note(f"{word} left")
        raise
    return {"octets": count, "pieces": pieces}


# Threads

busy = 0
most = 0
lock = threading.Lock()


@app.get("/thread")
def thread() -> dict[str, Any]:
    """How many were in here at a time."""
    global busy, most
    with lock:
        busy += 1
        most = max(most, busy)
    time.sleep(0.05)
    with lock:
        busy -= 1
    return {"thread": threading.current_thread().name, "most": most}


@app.get("/limiter")
async def limiter() -> float:
    return anyio.to_thread.current_default_thread_limiter().total_tokens


# What the app sees of a request


@app.api_route("/about/{name:path}", methods=["GET", "HEAD", "POST"])
async def about(request: Request, response: Response, name: str) -> dict[str, Any]:
    response.set_cookie("one", "1")
    response.set_cookie("two", "2", httponly=True)
    scope = request.scope
    return {
        "name": name,
        "client": request.client and [request.client.host, request.client.port],
        "server": scope["server"],
        "http_version": scope["http_version"],
        "scheme": request.url.scheme,
        "url": str(request.url),
        "base_url": str(request.base_url),
        "link": str(request.url_for("show_item", number=7)),
        "root_path": scope["root_path"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "greeting": request.state.greeting,
        "fields": request.headers.getlist("x-many"),
    }


@app.get("/fails")
async def fails() -> None:
    raise RuntimeError("swordfish")


@app.get("/fails/in-thread")
def fails_in_thread() -> None:
    raise RuntimeError("swordfish")


@app.get("/nothing", status_code=204)
async def nothing() -> None:
    return None


# Middleware


async def count(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers["x-counted"] = request.url.path
    return response


wrapped.add_middleware(BaseHTTPMiddleware, dispatch=count)
wrapped.add_middleware(GZipMiddleware, minimum_size=500)
wrapped.add_middleware(CORSMiddleware, allow_origins=["https://shop.example"], allow_methods=["PUT"])


@wrapped.get("/big")
async def big() -> dict[str, str]:
    return {"text": "again and " * 1000}


@wrapped.get("/here")
async def here(request: Request) -> dict[str, str]:
    return {"link": str(request.url_for("here")), "root_path": request.scope["root_path"]}


@wrapped.get("/gated")
async def gated(word: str) -> StreamingResponse:
    return await lines(word)


@wrapped.get("/fails")
async def wrapped_fails() -> None:
    raise RuntimeError("swordfish")
