"""The measured app on Vivace: a greeting, a small JSON document, files, and an upload that is counted."""

import os

from vivace import Request, Vivace, text

app = Vivace("bench")


@app.get("/")
async def hello(request: Request) -> object:
    return text("Hello, World!")


@app.get("/items/<item:int>")
async def item(request: Request, item: int) -> object:
    return {"id": item, "name": "item", "tags": ["a", "b"]}


@app.put("/upload", stream=True)
async def upload(request: Request) -> object:
    size = 0
    async for piece in request.stream:
        size += len(piece)
    return text(str(size))


if folder := os.environ.get("BENCH_FILES"):
    app.static("/files", folder)
