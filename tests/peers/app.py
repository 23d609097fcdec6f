"""The app that the tests of this folder serve: what real programs do, and what they do wrong.

Rules of this file:

- Whatever a test has to wait for is counted in `seen` and told by ``/seen/<what>``; nothing is timed.
- The folder that is served stands in the environment, since a test makes it.
"""

import asyncio
import hashlib
import os
from collections import Counter
from typing import Any

from vivace import HTTPResponse, Request, Vivace, html, json, raw, redirect, text
from vivace.errors import ClientDisconnected
from vivace.http.url import safe_redirect

app = Vivace("peers")
seen: Counter[str] = Counter()

FOLDER = os.environ.get("PEERS_FOLDER", "")
if FOLDER:
    app.static("/files", FOLDER)
    app.static("/linked", FOLDER, name="linked", follow_symlinks=True)


@app.get("/")
async def index(request: Request) -> HTTPResponse:
    return text("hello")


@app.get("/who")
async def who(request: Request) -> dict[str, int]:
    return {"pid": os.getpid()}


@app.get("/nap/<milliseconds:int>")
async def nap(request: Request, milliseconds: int) -> dict[str, int]:
    seen["nap"] += 1
    await asyncio.sleep(milliseconds / 1000)
    return {"pid": os.getpid()}


@app.get("/seen/<what:str>")
async def tell(request: Request, what: str) -> dict[str, int]:
    return {"count": seen[what]}


# What clients send


@app.route("/echo", methods=["POST", "PUT", "PATCH"])
async def echo(request: Request) -> HTTPResponse:
    return raw(request.body, content_type=request.content_type or "application/octet-stream")


@app.route("/digest", methods=["POST", "PUT"], stream=True)
async def digest(request: Request) -> dict[str, Any]:
    found, size = hashlib.sha256(), 0
    async for piece in request.stream:
        found.update(piece)
        size += len(piece)
    return {"size": size, "sha256": found.hexdigest()}


@app.post("/form")
async def form(request: Request) -> dict[str, Any]:
    return {
        "fields": {name: request.form.getlist(name) for name in request.form},
        "files": {
            name: [
                [one.name, one.type, hashlib.sha256(one.body).hexdigest()]
                for one in request.files.getlist(name)
            ]
            for name in request.files
        },
    }


@app.get("/fields")
async def fields(request: Request) -> HTTPResponse:
    return json([[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.head.fields()])


@app.get("/cookies/set")
async def set_cookies(request: Request) -> HTTPResponse:
    response = text("set")
    response.add_cookie("plain", "one", secure=False)
    response.add_cookie("odd", 'two, "three"; four', secure=False, max_age=60)
    return response


@app.get("/cookies")
async def show_cookies(request: Request) -> dict[str, str]:
    return {name: request.cookies.get(name) for name in request.cookies}


# What they get


@app.get("/lines/<count:int>")
async def lines(request: Request, count: int) -> None:
    response = await request.respond(content_type="text/plain")
    for number in range(count):
        await response.send(f"line {number}\n")


@app.get("/moved")
async def moved(request: Request) -> HTTPResponse:
    return redirect("/moved/again", status=301)


@app.route("/moved/again", methods=["GET", "POST"])
async def moved_again(request: Request) -> HTTPResponse:
    return redirect("/", status=303)


@app.post("/kept")
async def kept(request: Request) -> HTTPResponse:
    return redirect("/echo", status=307)


@app.get("/nothing")
async def nothing(request: Request) -> HTTPResponse:
    return HTTPResponse(None, 204, None, None)


@app.get("/page")
async def page(request: Request) -> HTTPResponse:
    return html("<h1>é</h1>", headers={"X-Many": "a, b", "Access-Control-Allow-Origin": "*"})


@app.get("/shared")
async def shared(request: Request) -> HTTPResponse:
    origin = "http://example.test:8080"
    return json(
        {},
        headers={
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Headers": "X-One, X-Two,Content-Type",
            "Content-Security-Policy": "default-src 'self'; img-src * data:; report-uri /r?a=b&c=\"d\"",
            "X-Tab": "a\tb",
            "X-Latin": "caf\xe9",
        },
    )


# What goes wrong


@app.get("/fault/raise")
async def fail(request: Request) -> HTTPResponse:
    raise RuntimeError("the password is swordfish")


@app.get("/fault/raise/plain")
def fail_in_a_thread(request: Request) -> HTTPResponse:
    raise KeyError("the password is swordfish")


@app.get("/fault/type/<kind:str>")
async def return_rubbish(request: Request, kind: str) -> Any:
    return {"none": None, "number": 42, "tuple": ("a", 1), "object": object(), "class": HTTPResponse}[kind]


@app.get("/fault/unserialisable")
async def return_what_json_cannot_hold(request: Request) -> Any:
    return {"value": object()}


@app.get("/fault/late")
async def fail_after_the_start(request: Request) -> None:
    response = await request.respond(content_type="text/plain")
    await response.send("begun")
    raise RuntimeError("the password is swordfish")


@app.get("/fault/never")
async def never(request: Request) -> HTTPResponse:
    try:
        await asyncio.Event().wait()
    finally:
        seen["never"] += 1
    return text("unreachable")


@app.post("/fault/upload", stream=True)
async def upload(request: Request) -> HTTPResponse:
    seen["upload-begun"] += 1
    try:
        async for _ in request.stream:
            seen["upload-piece"] += 1
    except (asyncio.CancelledError, ClientDisconnected):
        seen["upload-broken-off"] += 1
        raise
    return text("whole")


@app.get("/fault/download")
async def download(request: Request) -> None:
    response = await request.respond(content_type="application/octet-stream")
    try:
        while True:
            await response.send(bytes(65536))
            seen["download-piece"] += 1
    except (asyncio.CancelledError, ClientDisconnected):
        seen["download-broken-off"] += 1
        raise


@app.get("/large")
async def large(request: Request) -> HTTPResponse:
    return raw(bytes(8 << 20))


@app.get("/inject/header")
async def inject_header(request: Request) -> HTTPResponse:
    return text("injected?", headers={"X-Value": request.args.get("value", "")})


@app.get("/inject/name")
async def inject_name(request: Request) -> HTTPResponse:
    return text("injected?", headers={request.args.get("value", ""): "x"})


@app.get("/inject/type")
async def inject_type(request: Request) -> HTTPResponse:
    return text("injected?", content_type=request.args.get("value", ""))


@app.get("/inject/cookie")
async def inject_cookie(request: Request) -> HTTPResponse:
    response = text("injected?")
    response.add_cookie("name", request.args.get("value", ""))
    return response


@app.get("/inject/cookie/path")
async def inject_cookie_path(request: Request) -> HTTPResponse:
    response = text("injected?")
    response.add_cookie("name", "x", path=request.args.get("value", ""))
    return response


@app.get("/inject/cookie/name")
async def inject_cookie_name(request: Request) -> HTTPResponse:
    response = text("injected?")
    response.add_cookie(request.args.get("value", ""), "x")
    return response


@app.get("/inject/redirect")
async def inject_redirect(request: Request) -> HTTPResponse:
    return redirect(request.args.get("value", ""))


@app.get("/inject/stream")
async def inject_into_a_stream(request: Request) -> None:
    response = await request.respond(headers={"X-Value": request.args.get("value", "")})
    await response.send("injected?")


@app.get("/next")
async def follow(request: Request) -> HTTPResponse:
    return redirect(safe_redirect(request.args.get("to", "")))


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PORT", "8000")),
        workers=int(os.environ.get("WEB_CONCURRENCY", "1")),
    )
