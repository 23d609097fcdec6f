"""A Starlette app without FastAPI: static files, mounts, sessions, a WebSocket.

Rules of this file:

- The folder that is served is made by the test; the environment names it.
"""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

FOLDER = "APPS_FOLDER"
"""The environment variable that tells which folder is served."""


class Counter(HTTPEndpoint):
    """How often this browser was here; DELETE forgets it."""

    async def get(self, request: Request) -> Response:
        request.session["count"] = request.session.get("count", 0) + 1
        return JSONResponse(request.session)

    async def delete(self, request: Request) -> Response:
        request.session.clear()
        return Response(status_code=204)


async def show_user(request: Request) -> Response:
    link = str(request.url_for("api:user", name="bob"))
    path, root = request.scope["path"], request.scope["root_path"]
    return JSONResponse({"name": request.path_params["name"], "link": link, "path": path, "root": root})


async def move(request: Request) -> Response:
    return RedirectResponse(request.url_for("api:user", name="ada"))


async def download(request: Request) -> Response:
    return FileResponse(Path(os.environ[FOLDER]) / "a.txt", filename="größe.txt")


async def vanished(request: Request) -> Response:
    return FileResponse(Path(os.environ[FOLDER]) / "gone.txt")


async def admin(request: Request) -> Response:
    return PlainTextResponse("admin")


async def chat(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


app = Starlette(
    routes=[
        Route("/count", Counter),
        Route("/move", move),
        Route("/download", download),
        Route("/vanished", vanished),
        WebSocketRoute("/chat", chat),
        Mount("/api", routes=[Route("/users/{name}", show_user, name="user")], name="api"),
        Mount("/static", StaticFiles(directory=os.environ.get(FOLDER, "."), html=True), name="static"),
        Host("admin.example", Starlette(routes=[Route("/", admin)])),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key="not a secret")],
)
