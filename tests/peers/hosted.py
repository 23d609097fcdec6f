"""The app that `test_hosts` runs under every server: what of the framework a server could spoil.

Rules of this file:

- Whatever a test has to wait for is counted in `seen` and told by ``/seen/<what>``; nothing is timed.
- Stop listeners write to standard error, since nobody can be asked any more by then.
"""

import asyncio
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from vivace import HTTPResponse, Request, Vivace, empty, json, raw, redirect, text
from vivace.framework.files import file

app = Vivace("hosted")
seen: Counter[str] = Counter()
order: list[str] = []
released: dict[str, asyncio.Event] = {}
visitor: ContextVar[str] = ContextVar("visitor", default="nobody")

FOLDER = os.environ.get("HOSTED_FOLDER", "")
if FOLDER:
    app.static("/files", FOLDER)


# Mounted apps


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    """Tells where it is, echoes, and is told when its client leaves."""
    if scope["type"] == "lifespan":
        await receive()
        order.append("lifespan")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("ran lifespan.shutdown", file=sys.stderr, flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    data, message = b"", {"more_body": True}
    while message["more_body"]:
        message = await receive()
        data += message["body"]
    if scope["path"].endswith("/hang"):
        seen["mounted"] += 1
        seen["mounted-" + (await receive())["type"]] += 1
    place = f"{scope['root_path']} {scope['path']} ".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": place, "more_body": True})
    await send({"type": "http.response.body", "body": data})


def wsgi_app(environ: Any, start_response: Any) -> Iterator[bytes]:
    """Tells where it is, and echoes."""
    start_response("201 Created", [("Content-Type", "text/plain")])
    yield f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']} ".encode()
    while piece := environ["wsgi.input"].read(65536):
        yield piece


app.mount("/asgi", asgi_app)
app.mount("/wsgi", wsgi_app)


@app.before_server_start
async def before_start(app: Vivace) -> None:
    order.append("before_server_start")
    app.ctx.made_by_listener = "yes"


@app.after_server_start
async def after_start(app: Vivace) -> None:
    order.append("after_server_start")


@app.before_server_stop
async def before_stop(app: Vivace) -> None:
    print("ran before_server_stop", file=sys.stderr, flush=True)


@app.after_server_stop
async def after_stop(app: Vivace) -> None:
    print("ran after_server_stop", file=sys.stderr, flush=True)


@app.on_request
async def note(request: Request) -> HTTPResponse | None:
    request.ctx.noted = True
    return text("by middleware") if request.path == "/middleware/stops" else None


@app.on_response
async def mark(request: Request, response: HTTPResponse) -> None:
    response.headers["X-Marked"] = "yes" if request.ctx.noted else "no"


@app.exception(ZeroDivisionError)
async def divided(request: Request, error: Exception) -> HTTPResponse:
    return text("divided by zero", 418)


# The request


@app.get("/")
async def index(request: Request) -> HTTPResponse:
    return text("hello")


@app.get("/seen/<what:str>")
async def tell(request: Request, what: str) -> dict[str, int]:
    return {"count": seen[what]}


@app.get("/order")
async def tell_order(request: Request) -> dict[str, Any]:
    return {"order": order, "ctx": request.app.ctx.made_by_listener}


@app.get("/hello/<name>/<number:int>")
async def hello(request: Request, name: str, number: int) -> dict[str, Any]:
    return {"name": name, "number": number, "args": request.query_args, "path": request.path}


@app.get("/about")
async def about(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "scheme": request.scheme,
        "host": request.host,
        "ip": request.ip,
        "url": request.url_for("about"),
        "two": request.headers.get_all("x-two"),
        "latin": request.headers.get("x-latin"),
    }


@app.post("/json")
async def take_json(request: Request) -> HTTPResponse:
    return json(request.json, 201)


@app.post("/echo")
async def echo(request: Request) -> HTTPResponse:
    return raw(request.body)


@app.post("/digest", stream=True)
async def digest(request: Request) -> dict[str, Any]:
    found, size = hashlib.sha256(), 0
    async for piece in request.stream:
        found.update(piece)
        size += len(piece)
    return {"size": size, "sha256": found.hexdigest()}


@app.post("/form")
async def form(request: Request) -> dict[str, Any]:
    files = {name: files[0].body.decode() for name, files in request.files.items()}
    return {"fields": {name: request.form.getlist(name) for name in request.form}, "files": files}


@app.get("/cookies")
async def cookies(request: Request) -> HTTPResponse:
    response = json({name: request.cookies.get(name) for name in request.cookies})
    response.add_cookie("one", "1", secure=False)
    response.add_cookie("two", "a b", secure=False)
    return response


@app.get("/context/<name>")
async def context(request: Request, name: str) -> HTTPResponse:
    before = visitor.get()
    visitor.set(name)
    await asyncio.sleep(0)
    return text(f"{before} {visitor.get()}")


@app.get("/plain")
def plain(request: Request) -> HTTPResponse:
    return text("from a plain function")


# The response


@app.get("/drip/<name>")
async def drip(request: Request, name: str) -> None:
    response = await request.respond(content_type="text/plain")
    await response.send("one,")
    event = released[name] = asyncio.Event()
    await event.wait()
    await response.send("two")


@app.get("/release/<name>")
async def release(request: Request, name: str) -> HTTPResponse:
    released[name].set()
    return empty()


@app.get("/counted")
async def counted(request: Request) -> None:
    response = await request.respond(headers={"Content-Length": "6"})
    await response.send("abc")
    await response.send("def")


@app.get("/file")
async def one_file(request: Request) -> HTTPResponse:
    return await file(os.path.join(FOLDER, "a.txt"), filename="b.txt")


@app.get("/nothing/<status:int>")
async def nothing(request: Request, status: int) -> HTTPResponse:
    return HTTPResponse(b"", status, {"ETag": '"x"'}, None)


@app.get("/moved")
async def moved(request: Request) -> HTTPResponse:
    return redirect("/hello/a b/1?x=é")


@app.get("/early")
async def early(request: Request) -> None:
    response = await request.respond()
    await response.send("done", True)
    event = released["early"] = asyncio.Event()
    await event.wait()
    seen["early"] += 1


@app.get("/connection")
async def connection_fields(request: Request) -> HTTPResponse:
    return text("x", headers={"Keep-Alive": "timeout=5", "Upgrade": "h2c", "X-Kept": "yes"})


# What goes wrong


@app.get("/fails")
async def fails(request: Request) -> None:
    raise RuntimeError("swordfish")


@app.get("/divides")
async def divides(request: Request) -> None:
    raise ZeroDivisionError


@app.get("/cut")
async def cut(request: Request) -> None:
    response = await request.respond()
    await response.send("some")
    raise RuntimeError("after the start")


@app.get("/short")
async def short(request: Request) -> None:
    response = await request.respond(headers={"Content-Length": "6"})
    await response.send("abc")


@app.get("/long")
async def long(request: Request) -> None:
    response = await request.respond(headers={"Content-Length": "3"})
    await response.send("abc")
    await response.send("def")


@app.get("/inject")
async def inject(request: Request) -> HTTPResponse:
    response = text("injected?")
    response.headers["X-Value"] = request.args.get("value", "")
    return response


@app.get("/hang")
async def hang(request: Request) -> None:
    seen["hang"] += 1
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        seen["timed-out" if request.transport.timed_out else "hang-cancelled"] += 1
        raise


@app.get("/endless")
async def endless(request: Request) -> None:
    response = await request.respond()
    seen["endless"] += 1
    try:
        while True:
            await response.send(b"x" * 1000)
            await asyncio.sleep(0.01)
    finally:
        seen["endless-ended"] += 1


@app.post("/swallow", stream=True)
async def swallow(request: Request) -> None:
    seen["swallow"] += 1
    try:
        while await request.stream.read():
            pass
    finally:
        seen["swallow-ended"] += 1
