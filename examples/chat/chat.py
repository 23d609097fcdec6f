"""A chat with rooms: what is said in one worker is heard in all, and nothing is lost when one of them goes.

Rules of this file:

- PostgreSQL is the truth: a message is kept first and published then. The group brings it to who is here.
- The topic of a room remembers its last messages. A page that comes back says what it saw last, and gets the
  rest from there; only where that does not reach does it come from the database.
- A page keeps what it said until it sees it in the room, and says it again after a lost connection.
"""

import os
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from graph import schema
from store import Store

from vivace import BadRequest, Forbidden, Request, Unauthorized, Vivace, Websocket, empty, file, json

URL: Final = os.environ.get("DATABASE_URL", "postgresql:///chat")
HERE: Final = Path(__file__).parent
BUNDLE: Final = os.environ.get("CHAT_BUNDLE", HERE / "apollo.bundle.js")
SHOWN: Final = 200
"""Messages that a page gets when it opens a room."""
LONGEST: Final = 2000
"""Characters of a message."""

app = Vivace("chat")
database = app.budget("postgres", url=URL, limit=20)
app.hub.topic("room:*", history=100, ttl=300, delivery="resume")


class Said(msgspec.Struct):
    """What a page sends: something that was said, or a wish to hear what it has missed.

    Attributes:
        id: Made by the page; None: nothing was said.
        text: What was said.
        after: The number of the message up to which the page has all.
    """

    id: UUID | None = None
    text: str = ""
    after: int | None = None


@app.before_server_start
async def open_database(app: Vivace) -> None:
    app.ctx.store = await Store.open(URL, **database.asyncpg())


@app.after_server_stop
async def close_database(app: Vivace) -> None:
    await app.ctx.store.close()


@app.get("/")
@app.get("/rooms/<room:str>")
async def page(request: Request, room: str = "") -> Any:
    return await file(HERE / "page.html", mime_type="text/html; charset=utf-8")


@app.get("/apollo/<room:str>")
async def apollo_page(request: Request, room: str) -> Any:
    return await file(HERE / "apollo.html", mime_type="text/html; charset=utf-8")


if Path(BUNDLE).exists():  # `npm run build` makes it; all the rest of the chat does without
    app.static("/apollo.bundle.js", BUNDLE, name="bundle")


@app.post("/login")
async def login(request: Request) -> Any:
    """Whoever says a name is that one: put your own login in this place."""
    name = str(request.json.get("name", "")).strip()
    if not 0 < len(name) <= 40:
        raise BadRequest("a name has 1 to 40 characters")
    response = json({"name": name})
    response.add_cookie("name", name.encode().hex(), httponly=True, secure=request.scheme == "https")
    return response


@app.put("/rooms/<room:str>")
async def enter(request: Request, room: str) -> Any:
    if not await app.ctx.store.enter(room, who(request)):
        raise Forbidden("you were removed from this room")
    return json({"room": room, "name": who(request)})


@app.delete("/rooms/<room:str>/members/<name:str>")
async def remove(request: Request, room: str, name: str) -> Any:
    """Take somebody out: their pages hear nothing any more, on whatever worker or machine they are."""
    if not await app.ctx.store.is_member(room, who(request)):
        raise Forbidden("only members of a room remove others")
    await app.ctx.store.remove(room, name)
    await app.hub.revoke(user=name, topic=topic_of(room))
    return empty()


@app.websocket("/rooms/<room:str>/socket", message=Said)
async def talk(request: Request, ws: Any, room: str) -> None:
    store, topic, ws.user = app.ctx.store, topic_of(room), who(request)
    joined = await ws.join(topic, allow=may_hear, recheck=30, since=request.args.get("since"), positions=True)
    await ws.send({"worker": os.getpid()})
    if not joined.recovered:
        await catch_up(ws, store, room, int(request.args.get("after", 0)))
    async for said in ws:
        if said.after is not None:
            await catch_up(ws, store, room, said.after)
        if said.id is not None and said.text:
            await app.hub.publish(topic, await store.keep(room, ws.user, said.id, said.text[:LONGEST]))


async def catch_up(ws: Any, store: Store, room: str, number: int) -> None:
    """Send what the database has after a number."""
    for message in await store.after(room, number, SHOWN):
        await ws.send({"data": message})


async def may_hear(ws: Websocket, topic: str) -> bool:
    """Whether somebody is in a room: asked when they come, every 30 s, and when they are removed."""
    store: Store = app.ctx.store
    return await store.is_member(topic.removeprefix("room:"), ws.user)


def know(context: Any) -> Any:
    """GraphQL clients are logged in as the page is."""
    context.user = who(context.request)
    return context


app.graphql("/graphql", schema, context=know)


def topic_of(room: str) -> str:
    return f"room:{room}"


def who(request: Request) -> str:
    """The name of the user.

    Raises:
        Unauthorized: Nobody is logged in.
    """
    name = request.cookies.get("name", "")
    try:
        return bytes.fromhex(name).decode() or _nobody()
    except ValueError:
        return _nobody()


def _nobody() -> str:
    raise Unauthorized("say who you are first")
