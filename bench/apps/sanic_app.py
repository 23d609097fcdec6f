"""The measured app on Sanic: sanic_app.py PORT."""

import sys
from typing import Any

from sanic import Sanic  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
from sanic.response import json, text  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

app = Sanic("bench", log_config={"version": 1, "disable_existing_loggers": True})
app.config.KEEP_ALIVE_TIMEOUT = 600


@app.get("/")
async def hello(request: Any) -> Any:
    return text("Hello, World!")


@app.get("/items/<item:int>")
async def item(request: Any, item: int) -> Any:
    return json({"id": item, "name": "item", "tags": ["a", "b"]})


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]), access_log=False, single_process=True, motd=False)
